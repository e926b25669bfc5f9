//! Where a registry is asked, and how far it is trusted there.

use std::net::IpAddr;

/// Where something is: a repository of a registry, after what the configuration says of mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `docker.io`, `127.0.0.1:5000`: for messages, and the key of credentials.
    pub(crate) registry: String,
    /// The path in the registry; empty when the registry itself is meant.
    pub(crate) repository: String,
    /// Whether its certificate is not checked, and plain http is spoken.
    pub(crate) insecure: bool,
}

/// One way to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://registry-1.docker.io`, without a slash at the end.
    pub(crate) base: String,
    /// What connections there, and to where it sends us, have to prove.
    pub(crate) trust: Trust,
}

/// What a peer has to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// A certificate that this machine trusts.
    Certificate,
    /// Nothing: the user has said so, or it is this very machine.
    Anything,
}

impl Endpoint {
    /// Whether what is said there can be read on the way.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }
}

/// The ways to a registry, in the order in which they are tried: https first, and plain http only where that is allowed.
pub(crate) fn ways(place: &Place) -> Vec<Endpoint> {
    // Docker Hub's name is not its registry's host.
    let host = if place.registry == "docker.io" { "registry-1.docker.io" } else { &place.registry };
    let lax = is_loopback(host) || place.insecure;
    let way = |scheme, trust| Endpoint { base: format!("{scheme}://{host}"), trust };
    if lax {
        vec![way("https", Trust::Anything), way("http", Trust::Anything)]
    } else {
        vec![way("https", Trust::Certificate)]
    }
}

/// Whether `host` or `host:port` is this machine: 127.0.0.0/8, ::1 or localhost.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && !name.ends_with(':') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(registry: &str, insecure: bool) -> Vec<String> {
        let place = Place { registry: registry.to_owned(), repository: String::new(), insecure };
        ways(&place).into_iter().map(|way| way.base).collect()
    }

    #[test]
    fn plain_http_only_where_it_is_allowed() {
        assert_eq!(bases("docker.io", false), ["https://registry-1.docker.io"]);
        assert_eq!(bases("127.0.0.1:5000", false), ["https://127.0.0.1:5000", "http://127.0.0.1:5000"]);
        assert_eq!(bases("a.example:5000", false), ["https://a.example:5000"]);
        assert_eq!(bases("a.example:5000", true).len(), 2);
    }

    #[test]
    fn loopback_is_no_prefix_match() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example", "127.0.0.1.example:80", "128.0.0.1", "[2001:db8::1]:80", "example"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
