//! hosts(5) and resolv.conf(5). Pure but for [`read`].

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The most that is read of either file, in bytes.
const LIMIT: u64 = 4 << 20;

/// Whom to ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// In order; at most three, as glibc.
    pub(super) servers: Vec<IpAddr>,
    /// Domains that short names are completed with.
    pub(super) search: Vec<String>,
    /// A name with this many dots is tried as it stands first.
    pub(super) ndots: usize,
    /// For one answer of one server.
    pub(super) timeout: Duration,
    /// Rounds over all servers.
    pub(super) attempts: u32,
}

/// A file's text; nothing when it cannot be read, as for glibc.
pub(super) fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    if let Err(error) = read {
        log::debug!("cannot read {path}: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The addresses of `name` (in lower case), IPv4 first.
pub(super) fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// What resolv.conf says.
pub(super) fn configuration(text: &str) -> Configuration {
    let mut configuration = Configuration {
        servers: Vec::new(),
        search: Vec::new(),
        ndots: 1,
        timeout: Duration::from_secs(5),
        attempts: 2,
    };
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                // A link-local address may name its interface; std cannot say that to a socket by name.
                let address: Option<IpAddr> =
                    words.next().and_then(|word| word.split('%').next()?.parse().ok());
                configuration.servers.extend(address);
            }
            // The last line of either kind wins.
            Some("search" | "domain") => configuration.search = words.take(6).map(str::to_owned).collect(),
            Some("options") => words.for_each(|word| option(&mut configuration, word)),
            _ => {}
        }
    }
    configuration.servers.truncate(3);
    if configuration.servers.is_empty() {
        configuration.servers.push(Ipv4Addr::LOCALHOST.into());
    }
    configuration
}

fn option(configuration: &mut Configuration, word: &str) {
    let Some((key, value)) = word.split_once(':') else { return };
    let Ok(value) = value.parse::<u32>() else { return };
    match key {
        "ndots" => configuration.ndots = value.min(15) as usize,
        "timeout" => configuration.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
        "attempts" => configuration.attempts = value.clamp(1, 5),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_by_any_name() {
        let text = "# x\n::1 a b\n10.0.0.1\tc A # d\n10.0.0.2 b\nnonsense b\n";
        let found = |name| hosts(text, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("a"), ["10.0.0.1", "::1"]);
        assert_eq!(found("b"), ["10.0.0.2", "::1"]);
        assert!(found("d").is_empty() && found("nonsense").is_empty());
    }

    #[test]
    fn resolv_conf_is_read() {
        let text = "domain old\nsearch a.example b.example\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n\
                    options ndots:2 timeout:1 attempts:3 rotate\n; nameserver 1.1.1.1";
        let read = configuration(text);
        assert_eq!(read.servers, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(read.search, ["a.example", "b.example"]);
        assert_eq!((read.ndots, read.timeout, read.attempts), (2, Duration::from_secs(1), 3));
        assert_eq!(configuration("").servers, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    }
}
