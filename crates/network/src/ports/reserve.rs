//! Ports of the host, taken: a socket is bound to each for as long as it is published, so that no other program gets it, and a
//! port that somebody has is an error before anything starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with, sockopt};

use super::{PortSpec, Protocol, Published};
use crate::{Error, Result};

/// Where and with what ports are published if nothing is said.
const EVERYWHERE: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// Ports that are taken.
#[derive(Debug, Default)]
pub struct Reserved {
    /// Which.
    pub ports: Vec<Published>,
    /// What holds them.
    pub sockets: Vec<OwnedFd>,
    /// Whether connections that have ended are in nobody's way: a program will listen itself.
    for_listener: bool,
}

/// Takes the ports that are to be published, on `address` if one says nothing of its own, for a container that has IPv6 addresses or not.
///
/// # Errors
/// [`Error::Port`] for the first that somebody has.
pub fn reserve(specs: &[PortSpec], address: Option<IpAddr>, has_v6: bool) -> Result<Reserved> {
    take_all(Reserved::default(), specs, address, has_v6)
}

/// Finds out which ports these are, and that nobody has them, for a program that will listen there itself. They are not held.
///
/// # Errors
/// As for [`reserve`].
pub fn find_free(specs: &[PortSpec], address: Option<IpAddr>, has_v6: bool) -> Result<Vec<Published>> {
    let reserved = Reserved { for_listener: true, ..Reserved::default() };
    take_all(reserved, specs, address, has_v6).map(|reserved| reserved.ports)
}

fn take_all(
    mut reserved: Reserved,
    specs: &[PortSpec],
    address: Option<IpAddr>,
    has_v6: bool,
) -> Result<Reserved> {
    for spec in specs {
        let hosts = match spec.host.or(address) {
            Some(host) => vec![host],
            None => EVERYWHERE.into_iter().filter(|host| host.is_ipv4() || has_v6).collect(),
        };
        for index in 0..spec.container_ports.count() {
            let container_port = spec.container_ports.first + index as u16;
            let one = match spec.host_ports {
                Some(ports) if ports.count() == spec.container_ports.count() => {
                    reserved.take(&hosts, ports.first + index as u16, container_port, spec.protocol)
                }
                // One of several, the first that is free.
                Some(ports) => (ports.first..=ports.last)
                    .map(|port| reserved.take(&hosts, port, container_port, spec.protocol))
                    .find(Result::is_ok)
                    .unwrap_or_else(|| {
                        let port = format!("{ports}/{}", spec.protocol);
                        Err(Error::Port { port, source: Errno::ADDRINUSE.into() })
                    }),
                None => reserved.take_any(&hosts, container_port, spec.protocol),
            };
            one?;
        }
    }
    Ok(reserved)
}

impl Reserved {
    /// One port on all the addresses.
    fn take(&mut self, hosts: &[IpAddr], port: u16, container_port: u16, protocol: Protocol) -> Result<()> {
        let mut taken = Vec::with_capacity(hosts.len());
        for host in hosts {
            let address = SocketAddr::new(*host, port);
            let is_ours = |port: &Published| {
                (port.host, port.host_port, port.protocol) == (*host, address.port(), protocol)
            };
            let socket = match self.ports.iter().any(is_ours) {
                true => Err(Errno::ADDRINUSE.into()),
                false => hold(address, protocol, self.for_listener),
            };
            taken.push(
                socket.map_err(|source| Error::Port { port: format!("{address}/{protocol}"), source })?,
            );
        }
        self.sockets.extend(taken.into_iter().flatten());
        let published = |host: &IpAddr| Published { host: *host, host_port: port, container_port, protocol };
        self.ports.extend(hosts.iter().map(published));
        Ok(())
    }

    /// Any port that is free on all the addresses: the kernel's choice for the first.
    fn take_any(&mut self, hosts: &[IpAddr], container_port: u16, protocol: Protocol) -> Result<()> {
        const TRIES: usize = 32;
        let mut last = None;
        for _ in 0..TRIES {
            let Some(first) = hosts.first() else { return Ok(()) };
            let free = free_port(*first, protocol)
                .map_err(|source| Error::Port { port: format!("{first}/{protocol}"), source })?;
            match self.take(hosts, free, container_port, protocol) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), Err)
    }
}

fn open(host: IpAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if host.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// A socket that is bound and does nothing else: whoever connects is translated before it would be asked. `None` for a protocol that
/// the host's kernel does not speak itself: then nobody there can have the port.
fn hold(address: SocketAddr, protocol: Protocol, for_listener: bool) -> io::Result<Option<OwnedFd>> {
    let socket = match open(address.ip(), protocol) {
        Err(error) if error.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error()) => return Ok(None),
        socket => socket?,
    };
    // Who listens is in the way all the same (socket(7)); of UDP nobody would be.
    if for_listener && protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    Ok(Some(socket))
}

fn free_port(host: IpAddr, protocol: Protocol) -> io::Result<u16> {
    // Of a protocol that the kernel does not speak, a port that TCP has free is as good as any.
    let socket = open(host, protocol).or_else(|_| open(host, Protocol::Tcp))?;
    bind(&socket, &SocketAddr::new(host, 0))?;
    let address = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(texts: &[&str]) -> Vec<PortSpec> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_port_is_taken_once() {
        let first = reserve(&specs(&["127.0.0.1::80", "127.0.0.1::80/udp"]), None, false).unwrap();
        assert_eq!((first.ports.len(), first.sockets.len()), (2, 2));
        let again = format!("127.0.0.1:{}:80", first.ports[0].host_port);
        let error = reserve(&specs(&[&again]), None, false).unwrap_err().to_string();
        assert!(error.contains("in use") && error.contains(&first.ports[0].host_port.to_string()), "{error}");
        drop(first);
        reserve(&specs(&[&again]), None, false).unwrap();
    }

    #[test]
    fn for_a_listener_nothing_is_held() {
        let found = find_free(&specs(&["127.0.0.1::80"]), None, false).unwrap();
        let port = found[0].host_port;
        let again = specs(&[&format!("127.0.0.1:{port}:80")]);
        assert_eq!(find_free(&again, None, false).unwrap(), found);
        let twice = [again.clone(), again.clone()].concat();
        assert!(find_free(&twice, None, false).unwrap_err().to_string().contains("in use"));
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        // A connection that has ended is in nobody's way, unlike who listens.
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(listener.accept().unwrap());
        assert!(find_free(&again, None, false).unwrap_err().to_string().contains("in use"));
        drop((listener, client));
        find_free(&again, None, false).unwrap();
    }

    #[test]
    fn the_first_of_several_that_is_free() {
        let held = reserve(&specs(&["127.0.0.1::80"]), None, false).unwrap();
        let port = held.ports[0].host_port;
        let several = specs(&[&format!("127.0.0.1:{port}-{}:80", port.saturating_add(20))]);
        let one = reserve(&several, None, false).unwrap();
        assert!(one.ports.len() == 1 && one.ports[0].host_port > port, "{one:?}");
    }

    #[test]
    fn everywhere_is_both_families() {
        let both = reserve(&specs(&["80"]), None, true).unwrap();
        let hosts: Vec<bool> = both.ports.iter().map(|port| port.host.is_ipv4()).collect();
        assert_eq!(hosts, [true, false]);
        assert_eq!(both.ports[0].host_port, both.ports[1].host_port);
        let here = reserve(&specs(&["80"]), Some([127, 0, 0, 1].into()), true).unwrap();
        assert_eq!(here.ports[0].host, IpAddr::from([127, 0, 0, 1]));
    }
}
