//! Name servers that other names are asked of: the host's, read anew when its resolv.conf changes, and which of them have not answered.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PORT: u16 = 53;
/// More than that are not read: resolv.conf(5) itself takes three.
const MOST: usize = 8;
const LARGEST: u64 = 64 << 10;
/// How long one that did not answer is asked last.
const SICK: Duration = Duration::from_secs(30);

/// The host's name servers, and how all have done lately.
#[derive(Debug)]
pub(crate) struct Upstreams {
    path: PathBuf,
    /// Device, inode, time of change: another value means another file.
    seen: Option<(u64, u64, i64, i64)>,
    servers: Vec<SocketAddr>,
    sick: Vec<(SocketAddr, Instant)>,
}

impl Upstreams {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, servers: Vec::new(), sick: Vec::new() }
    }

    /// Those to ask, in order: `own`, or without any the host's; who has not answered lately comes last.
    pub(crate) fn choose(&mut self, own: &[String], now: Instant) -> Vec<SocketAddr> {
        let mut servers = match own {
            [] => self.host().to_vec(),
            own => own.iter().filter_map(|text| server(text)).take(MOST).collect(),
        };
        self.sick.retain(|(_, until)| *until > now);
        servers.sort_by_key(|server| self.sick.iter().any(|(sick, _)| sick == server));
        servers
    }

    pub(crate) fn is_silent(&mut self, server: SocketAddr, now: Instant) {
        self.answers(server);
        // Of the servers that containers have of their own there may be any number.
        if self.sick.len() >= 4 * MOST {
            self.sick.remove(0);
        }
        self.sick.push((server, now + SICK));
    }

    pub(crate) fn answers(&mut self, server: SocketAddr) {
        self.sick.retain(|(sick, _)| *sick != server);
    }

    fn host(&mut self) -> &[SocketAddr] {
        let seen = fs::metadata(&self.path)
            .ok()
            .map(|data| (data.dev(), data.ino(), data.mtime(), data.mtime_nsec()));
        if seen != self.seen || seen.is_none() {
            self.seen = seen;
            self.servers = read(&self.path);
        }
        &self.servers
    }
}

fn read(path: &std::path::Path) -> Vec<SocketAddr> {
    use std::io::Read;
    let mut text = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(LARGEST).read_to_end(&mut text);
    }
    parse(&String::from_utf8_lossy(&text))
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| server(words.next()?)).flatten()
    });
    servers.take(MOST).collect()
}

/// `10.0.0.2`, `fd00::2`, `fe80::2%eth0`
fn server(text: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT));
    };
    let is_name = |zone: &str| !zone.is_empty() && !zone.contains('/') && zone != "." && zone != "..";
    let number = zone.parse().ok().or_else(|| {
        let path = is_name(zone).then(|| format!("/sys/class/net/{zone}/ifindex"))?;
        fs::read_to_string(path).ok()?.trim().parse().ok()
    })?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, number).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_resolv_conf() {
        let text = "# nameserver 1.1.1.1\nnameserver 127.0.0.53\nsearch a\n nameserver fd00::1 # x\nnameserver fe80::1%1\nnameserver x\n";
        let servers: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.53:53", "[fd00::1]:53", "[fe80::1%1]:53"]);
    }

    #[test]
    fn a_changed_file_is_read_anew_and_the_silent_come_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        let mut upstreams = Upstreams::new(path.clone());
        let now = Instant::now();
        assert_eq!(upstreams.choose(&[], now), []);
        fs::write(&path, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
        let [one, two] = upstreams.choose(&[], now)[..] else { panic!() };
        upstreams.is_silent(one, now);
        assert_eq!(upstreams.choose(&[], now), [two, one]);
        assert_eq!(upstreams.choose(&[], now + SICK), [one, two]);
        upstreams.is_silent(one, now);
        upstreams.answers(one);
        assert_eq!(upstreams.choose(&[], now), [one, two]);
        fs::write(directory.path().join("new"), "nameserver 10.0.0.3\n").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(upstreams.choose(&[], now), ["10.0.0.3:53".parse().unwrap()]);
        assert_eq!(upstreams.choose(&["10.9.9.9".into(), "x".into()], now), ["10.9.9.9:53".parse().unwrap()]);
    }
}
