//! Asks the servers of resolv.conf: over UDP, over TCP when an answer does not fit.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Instant;

use super::files::Configuration;
use super::message::{Answer, Kind, answer, question};

/// Where name servers listen.
const PORT: u16 = 53;
/// The most that a server says over TCP, in bytes: its length field has 16 bits.
const LARGEST: usize = 65_535;

/// The addresses of `host`, IPv4 first; none when no server knows such a name.
pub(super) fn look_up(configuration: &Configuration, host: &str) -> io::Result<Vec<IpAddr>> {
    look_up_at(configuration, host, PORT)
}

fn look_up_at(configuration: &Configuration, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
    for name in candidates(configuration, host) {
        let mut found = Vec::new();
        for kind in [Kind::A, Kind::Aaaa] {
            match ask_all(configuration, &name, kind, port) {
                Ok(Some(addresses)) => found.extend(addresses),
                // What is no name has no addresses of the other kind.
                Ok(None) => break,
                // Some servers never answer questions for IPv6.
                Err(error) if found.is_empty() => return Err(error),
                Err(error) => log::debug!("{name}: {error}"),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The names to try, in order: resolv.conf(5), `ndots` and `search`.
fn candidates(configuration: &Configuration, host: &str) -> Vec<String> {
    if host.ends_with('.') {
        return vec![host.to_owned()];
    }
    let mut names: Vec<String> =
        configuration.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.'))).collect();
    let dots = host.matches('.').count();
    let place = if dots >= configuration.ndots { 0 } else { names.len() };
    names.insert(place, host.to_owned());
    names
}

/// `None` when there is no such name. An error when no server could say.
fn ask_all(
    configuration: &Configuration,
    name: &str,
    kind: Kind,
    port: u16,
) -> io::Result<Option<Vec<IpAddr>>> {
    let mut failure = io::Error::new(ErrorKind::NotFound, format!("{name:?} is no host name"));
    let random = RandomState::new();
    for attempt in 0..configuration.attempts {
        for server in &configuration.servers {
            // An id that nobody off the path can guess, together with the port that the kernel picks.
            let id = random.hash_one((attempt, server)) as u16;
            let Some(question) = question(id, name, kind) else { return Ok(None) };
            match ask(configuration, SocketAddr::new(*server, port), &question) {
                Ok(Answer::Addresses(addresses)) => return Ok(Some(addresses)),
                Ok(Answer::NoName) => return Ok(None),
                Ok(Answer::Truncated | Answer::Failed) => {
                    failure = io::Error::other(format!("name server {server} cannot look up {name}"));
                }
                Err(error) => {
                    failure = io::Error::new(
                        error.kind(),
                        format!("name server {server} does not answer: {error}"),
                    );
                }
            }
        }
    }
    Err(failure)
}

fn ask(configuration: &Configuration, server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let here: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connected: the kernel drops what comes from anybody else.
    let socket = UdpSocket::bind(here)?;
    socket.connect(server)?;
    socket.send(question)?;
    let deadline = Instant::now() + configuration.timeout;
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match answer(question, &buffer[..length]) {
            Some(Answer::Truncated) => return ask_tcp(configuration, server, question),
            Some(answer) => return Ok(answer),
            // A late answer to somebody else's question, or a forgery.
            None => {}
        }
    }
}

fn ask_tcp(configuration: &Configuration, server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, configuration.timeout)?;
    stream.set_read_timeout(Some(configuration.timeout))?;
    stream.set_write_timeout(Some(configuration.timeout))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length)).min(LARGEST)];
    stream.read_exact(&mut message)?;
    answer(question, &message).ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn configuration(search: &[&str]) -> Configuration {
        Configuration {
            servers: vec![Ipv4Addr::LOCALHOST.into()],
            search: search.iter().map(|domain| (*domain).to_owned()).collect(),
            ndots: 1,
            timeout: Duration::from_secs(20),
            attempts: 1,
        }
    }

    /// A server that knows `reg.example` only, as 10.0.0.7, and over TCP only when `truncate`.
    fn server(truncate: bool) -> u16 {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(tcp) = std::net::TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let port = udp.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                let mut reply = reply(&buffer[..length]);
                if truncate {
                    reply[2] |= 2;
                }
                // A forgery goes ahead of the truth.
                let mut forged = reply.clone();
                forged[0] ^= 1;
                let _ = udp.send_to(&forged, client);
                let _ = udp.send_to(&reply, client);
            }
        });
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                let reply = reply(&question);
                let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length, &reply[..]].concat()).unwrap();
            }
        });
        port
    }

    fn reply(question: &[u8]) -> Vec<u8> {
        let mut reply = question.to_vec();
        reply[2] |= 0x80;
        let known = question[12..].starts_with(b"\x03reg\x07example\x00");
        match (known, question[question.len() - 3]) {
            (true, 1) => {
                reply[7] = 1;
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7]);
            }
            (true, _) => {}
            (false, _) => reply[3] = 3,
        }
        reply
    }

    #[test]
    fn over_udp_and_tcp() {
        let expected = ["10.0.0.7".parse::<IpAddr>().unwrap()];
        for truncate in [false, true] {
            let port = server(truncate);
            assert_eq!(look_up_at(&configuration(&[]), "reg.example", port).unwrap(), expected);
            assert_eq!(look_up_at(&configuration(&["other", "example"]), "reg", port).unwrap(), expected);
            assert!(look_up_at(&configuration(&["other"]), "nobody.example", port).unwrap().is_empty());
        }
    }

    #[test]
    fn short_names_are_completed_first() {
        let names = |host| candidates(&configuration(&["a", "b."]), host);
        assert_eq!(names("x"), ["x.a", "x.b", "x"]);
        assert_eq!(names("x.y"), ["x.y", "x.y.a", "x.y.b"]);
        assert_eq!(names("x."), ["x."]);
    }

    #[test]
    fn nobody_there_is_an_error() {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let error = look_up_at(&configuration(&[]), "reg.example", port).unwrap_err();
        assert!(error.to_string().starts_with("name server 127.0.0.1 does not answer"), "{error}");
    }
}
