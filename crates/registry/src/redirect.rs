//! Where a redirect may lead. Pure rules, but for the look-up that tells whether a registry is on this machine.
//!
//! What began on https never continues on http; only http and https are followed; no address carries credentials; and a
//! registry elsewhere does not send us to this machine or to link-local addresses, where clouds keep their machines'
//! credentials (169.254.169.254).

use std::net::{IpAddr, Ipv6Addr};

use ureq::http::Uri;

use crate::Client;
use crate::names;

/// Which addresses a connection may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// Any: the user has named the host.
    Anywhere,
    /// None of this machine or its link: somebody else has named the host.
    NotNear,
}

/// Why a redirect to a near address is not followed.
pub(crate) const NEAR: &str = "refused, since it leads to this machine or a link-local address";

/// Where a redirect leads, or why it must not be followed.
pub(crate) fn next(from: &Uri, location: &str) -> Result<Uri, &'static str> {
    const SCHEMES: &str = "refused, since only https and http are followed";
    // Those of files have no host, and are no addresses to the parser.
    if location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !matches!(scheme, "http" | "https")
    }) {
        return Err(SCHEMES);
    }
    let absolute = if location.starts_with("//") {
        format!("{}:{location}", from.scheme_str().unwrap_or("https"))
    } else if location.starts_with('/') {
        let authority = from.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{location}", from.scheme_str().unwrap_or("https"))
    } else {
        location.to_owned()
    };
    let uri: Uri = absolute.parse().map_err(|_| "not an address")?;
    match (from.scheme_str(), uri.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) => {}
        (_, Some("http")) => return Err("refused, since it leads from https to plain http"),
        _ => return Err(SCHEMES),
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("refused, since it carries credentials");
    }
    Ok(uri)
}

pub(crate) fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// An address for people and logs: without its query, which may hold a signature that is as good as a password.
pub(crate) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    // Nobody's name or password either.
    let host = uri.authority().map_or("", |authority| authority.as_str().rsplit('@').next().unwrap_or(""));
    let query = if uri.query().is_some() { "?…" } else { "" };
    crate::error::clean(&format!("{scheme}://{host}{}{query}", uri.path()))
}

/// The same for a text that may be no address.
pub(crate) fn shown_text(text: &str) -> String {
    match text.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some() => shown(&uri),
        _ => crate::error::clean(text.split(['?', '#']).next().unwrap_or_default()),
    }
}

impl Client {
    /// How far somebody at `home` may send us by naming `uri`.
    pub(crate) fn reach_from(&self, home: &Uri, uri: &Uri) -> Result<Reach, &'static str> {
        if same_origin(home, uri) || self.is_near(home) {
            return Ok(Reach::Anywhere);
        }
        // Through a proxy no name is looked up here: what can be told from the name is told now.
        let literal = uri.host().unwrap_or_default();
        if names::literal(literal).is_some_and(|addresses| addresses.into_iter().any(is_near)) {
            return Err(NEAR);
        }
        Ok(Reach::NotNear)
    }

    /// Whether a registry is itself on this machine or its link. Asked once a registry, when it first sends us away.
    fn is_near(&self, home: &Uri) -> bool {
        let host = home.host().unwrap_or_default();
        self.remember_near(host, || names::look_up(host).unwrap_or_default().into_iter().any(is_near))
    }
}

/// Loopback, link-local, unspecified, multicast, and the metadata addresses that clouds have elsewhere.
pub(crate) fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_broadcast()
                || v4.is_multicast()
                // Alibaba's and Oracle's metadata.
                || v4.octets() == [100, 100, 100, 200]
                || v4.octets() == [192, 0, 0, 192]
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped().or_else(|| translated(v6)) {
                return is_near(v4.into());
            }
            // fd00:ec2::254 is Amazon's.
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6.segments()[..2] == [0xfd00, 0x0ec2]
        }
    }
}

/// The IPv4 address behind `64:ff9b::/96` (RFC 6052), or in `::/96` (RFC 4291, deprecated).
fn translated(v6: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let segments = v6.segments();
    let octets = v6.octets();
    let last = std::net::Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    let prefix = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
        || (segments[..6] == [0; 6] && !v6.is_loopback() && !v6.is_unspecified());
    prefix.then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(from: &str, to: &str) -> Result<String, &'static str> {
        next(&from.parse().unwrap(), to).map(|uri| uri.to_string())
    }

    #[test]
    fn redirects_lead_to_safe_places_only() {
        let home = "https://r.example/v2/a/blobs/x";
        assert_eq!(go(home, "https://cdn.example/x?y=1"), Ok("https://cdn.example/x?y=1".to_owned()));
        assert_eq!(go(home, "/other"), Ok("https://r.example/other".to_owned()));
        assert_eq!(go(home, "//cdn.example/x"), Ok("https://cdn.example/x".to_owned()));
        assert_eq!(go("http://r.example/a", "http://cdn.example/x"), Ok("http://cdn.example/x".to_owned()));
        for bad in
            ["http://cdn.example/x", "file:///etc/passwd", "ftp://x/y", "", "relative", "https://u:p@h/x"]
        {
            assert!(go(home, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn near_addresses() {
        for near in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.100.100.200",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::7f00:1",
            "224.0.0.1",
        ] {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in ["10.0.0.1", "192.168.1.1", "203.0.113.9", "2001:db8::1", "fd12::1", "100.64.0.1"] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let uri: Uri = "https://cdn.example/x?X-Amz-Signature=abc".parse().unwrap();
        assert_eq!(shown(&uri), "https://cdn.example/x?…");
        assert_eq!(shown_text("https://u:p@cdn.example/x"), "https://cdn.example/x");
        assert_eq!(shown_text("/x?sig=abc"), "/x");
    }
}
