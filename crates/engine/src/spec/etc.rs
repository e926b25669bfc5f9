//! /etc/hosts, /etc/hostname and /etc/resolv.conf: what the container reads of names and addresses.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::namespaces::Identity;
use super::{SpecError, SpecRequest};
use crate::options::{HOST_GATEWAY, NetworkMode};

pub(super) struct Etc {
    /// To write into the container's directory.
    pub(super) files: Vec<(&'static str, String)>,
    /// Where each is bound from, on the host, and to.
    pub(super) binds: Vec<(PathBuf, &'static str)>,
}

/// Name in the container's directory, place in the container.
const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

const HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The servers that systemd-resolved itself asks (systemd-resolved.service(8), "/ETC/RESOLV.CONF").
const BEHIND_THE_STUB: &str = "/run/systemd/resolve/resolv.conf";

pub(super) fn build(request: &SpecRequest<'_>, identity: &Identity) -> Result<Etc, SpecError> {
    let asked = &request.options.namespaces;
    let directory: &Path = match &asked.network {
        // Two containers in one network namespace read the same files.
        NetworkMode::Container(name) => {
            &request.joined("--network", name, request.joined.network.as_ref())?.directory
        }
        _ => request.directory,
    };
    let binds = FILES.map(|(file, place)| (directory.join(file), place)).to_vec();
    if matches!(asked.network, NetworkMode::Container(_)) {
        return Ok(Etc { files: Vec::new(), binds });
    }
    let on_host = asked.network == NetworkMode::Host;
    let host_file = |path: &str| {
        let failed = |source| SpecError::HostFile { what: "cannot read", path: path.into(), source };
        request.host.read(Path::new(path)).map(Option::unwrap_or_default).map_err(failed)
    };
    let mut hosts = if on_host { host_file("/etc/hosts")? } else { HOSTS.to_owned() };
    if !hosts.is_empty() && !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for (name, address) in &asked.extra_hosts {
        // On the host's network the host is here; on others it is found when there is an address (`network::files`).
        let address = if on_host && address == HOST_GATEWAY { "127.0.0.1" } else { address };
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    let everything_given =
        !asked.dns.is_empty() && !asked.dns_search.is_empty() && !asked.dns_options.is_empty();
    let mut theirs = if everything_given { String::new() } else { host_file("/etc/resolv.conf")? };
    if !on_host && only_the_stub(&theirs) {
        let behind = host_file(BEHIND_THE_STUB)?;
        if !behind.is_empty() {
            theirs = behind;
        }
    }
    let resolv = resolv_conf(&theirs, on_host, &asked.dns, &asked.dns_search, &asked.dns_options);
    let files =
        vec![("resolv.conf", resolv), ("hostname", format!("{}\n", identity.hostname)), ("hosts", hosts)];
    Ok(Etc { files, binds })
}

/// The host's file with what was asked in its place. A name server on the host's loopback cannot be reached from another network
/// namespace and is left out.
fn resolv_conf(
    host: &str,
    same_network: bool,
    servers: &[String],
    search: &[String],
    options: &[String],
) -> String {
    if same_network && servers.is_empty() && search.is_empty() && options.is_empty() {
        return host.to_owned();
    }
    let words = |keyword: &str| -> Vec<Vec<&str>> {
        let lines = host.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(|words| words.first() == Some(&keyword)).collect()
    };
    let mut text = String::new();
    if servers.is_empty() {
        for line in words("nameserver") {
            if let Some(server) = line.get(1).filter(|server| same_network || !is_loopback(server)) {
                text.push_str(&format!("nameserver {server}\n"));
            }
        }
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let from_host = |keyword: &str| words(keyword).pop().map(|line| line[1..].join(" "));
    // `--dns-search .` means no search list, as the resolver's own.
    let search = match search {
        [] => from_host("search").or_else(|| from_host("domain")).unwrap_or_default(),
        [one] if one == "." => String::new(),
        list => list.join(" "),
    };
    if !search.is_empty() {
        text.push_str(&format!("search {search}\n"));
    }
    let options = match options {
        [] => words("options").iter().flat_map(|line| &line[1..]).copied().collect::<Vec<_>>().join(" "),
        list => list.join(" "),
    };
    if !options.is_empty() {
        text.push_str(&format!("options {options}\n"));
    }
    text
}

/// Whether the host asks nobody but systemd-resolved's stub, which answers on the host's loopback alone.
fn only_the_stub(host: &str) -> bool {
    let mut servers = host
        .lines()
        .map(str::split_whitespace)
        .filter_map(|mut words| words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()))
        .peekable();
    servers.peek().is_some() && servers.all(|server| matches!(server, "127.0.0.53" | "127.0.0.54"))
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n\
        domain old.example\nsearch a.example b.example\noptions edns0 trust-ad\noptions ndots:1\n";

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_servers_are_left_out() {
        let text = resolv_conf(HOST, false, &[], &[], &[]);
        assert_eq!(
            text,
            "nameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions edns0 trust-ad ndots:1\n"
        );
        assert_eq!(
            resolv_conf("nameserver 127.0.0.1\nnameserver ::ffff:127.0.0.1", false, &[], &[], &[]),
            ""
        );
    }

    #[test]
    fn the_hosts_network_has_the_hosts_file() {
        assert_eq!(resolv_conf(HOST, true, &[], &[], &[]), HOST);
        let text = resolv_conf(HOST, true, &[], &list(&["x"]), &[]);
        assert!(
            text.starts_with("nameserver 127.0.0.53\nnameserver ::1\n") && text.contains("search x\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_asked_takes_the_place() {
        let text =
            resolv_conf(HOST, false, &list(&["8.8.8.8"]), &list(&["."]), &list(&["rotate", "timeout:1"]));
        assert_eq!(text, "nameserver 8.8.8.8\noptions rotate timeout:1\n");
    }

    proptest::proptest! {
        #[test]
        fn any_host_file_is_read(host in "((nameserver|search|options|domain)? ?[.:a-f0-9%# ]{0,20}\n){0,6}") {
            let text = resolv_conf(&host, false, &[], &[], &[]);
            proptest::prop_assert!(!text.contains("nameserver 127."));
        }
    }
}
