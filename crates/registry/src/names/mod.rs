//! Host names to addresses, without glibc's name service: a static program that asks it loads plug-ins made for whatever
//! glibc the host has, and may crash there (docs/adr/0002-static-binaries.md). `/etc/hosts`, then DNS as resolv.conf(5)
//! says; no multicast DNS, no other services of nsswitch.conf. Starts no thread.

mod dns;
mod files;
pub(crate) mod message;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::redirect::{Reach, is_near};

/// As many as ureq has room for.
const ADDRESSES: usize = 16;

/// Looks names up for the HTTP agents.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) Reach);

/// All addresses of a host are ones that we must not be sent to. Told here, where a name becomes the very address that is
/// connected to: a name that changes its mind between a check and a connection gains nothing.
#[derive(Debug, thiserror::Error)]
#[error("its address is on this machine or its link")]
pub(crate) struct Near;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = look_up(host)?;
        // The proxy is the user's own word.
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.host() == host && proxy.port() == port);
        if self.0 == Reach::NotNear && !is_proxy {
            let any = !addresses.is_empty();
            addresses.retain(|address| !is_near(*address));
            if any && addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, Near).into());
            }
        }
        let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, port));
        let mut found = self.empty();
        for socket in config.ip_family().keep_wanted(sockets).take(ADDRESSES) {
            found.push(socket);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

/// The addresses of a host, IPv4 first: where IPv6 leads nowhere, it takes long to find out.
pub(crate) fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Some(addresses) = literal(host) {
        return Ok(addresses);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let listed = files::hosts(&files::read("/etc/hosts"), &name);
    if !listed.is_empty() {
        return Ok(listed);
    }
    dns::look_up(&files::configuration(&files::read("/etc/resolv.conf")), host)
}

/// The addresses of a host that needs no look-up.
pub(crate) fn literal(host: &str) -> Option<Vec<IpAddr>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // RFC 6761 section 6.3: never asked of DNS.
    let local = name == "localhost" || name.ends_with(".localhost");
    local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_server() {
        assert_eq!(look_up("127.0.0.1").unwrap(), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(look_up("[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(look_up("LocalHost.").unwrap().len(), 2);
    }
}
