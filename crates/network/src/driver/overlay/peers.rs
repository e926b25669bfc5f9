//! The other hosts of an overlay: from the option, and from a file that an orchestrator writes. It is read whenever somebody starts on the
//! network and by `network reload`, and may hold any of the hosts, this one too, so that all hosts have the same.
//!
//! ```text
//! # A host a line; behind it, if they are known, MAC or IP addresses of its containers.
//! 192.0.2.2
//! 192.0.2.3  02:42:0a:14:00:82  10.20.0.131
//! ```
//!
//! or the same as JSON:
//!
//! ```json
//! {"peers": [{"host": "192.0.2.2"}, {"host": "192.0.2.3", "macs": ["02:42:0a:14:00:82"], "addresses": ["10.20.0.131"]}]}
//! ```
//!
//! An IP address stands for the MAC address that a container has by it. Frames for addresses that are not known go to all hosts, until
//! one of them answers.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use super::file;
use crate::endpoint::Endpoint;
use crate::error::shown;
use crate::{Error, Result};

/// Bytes of the file at most.
const LONGEST: u64 = 4 << 20;

/// Another host, and what is known to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address on the network that joins the hosts.
    pub host: IpAddr,
    /// MAC addresses of its containers.
    pub macs: Vec<[u8; 6]>,
}

/// An address that a host can have for others.
pub(super) fn host_address(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.trim().parse().map_err(|_| "expected the address of a host")?;
    let is_of_a_host = match address {
        IpAddr::V4(v4) => !v4.is_broadcast(),
        // A link-local address means nothing without a device.
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    match is_of_a_host && !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() {
        true => Ok(address),
        false => Err("that is no address that another host has"),
    }
}

/// Adds a host, or what is known of it.
pub(super) fn add(peers: &mut Vec<Peer>, host: IpAddr, macs: impl IntoIterator<Item = [u8; 6]>) {
    let at = match peers.iter().position(|peer| peer.host == host) {
        Some(at) => at,
        None => {
            peers.push(Peer { host, macs: Vec::new() });
            peers.len() - 1
        }
    };
    peers[at].macs.extend(macs);
}

/// What a file says; one that is not there says nothing yet.
pub(super) fn read(path: &Path) -> Result<Vec<Peer>> {
    let (text, _) = match file::read(path, LONGEST) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            log::warn!("{} is not there: nobody is a peer by it", path.display());
            return Ok(Vec::new());
        }
        read => read?,
    };
    parse(&text).map_err(|(line, why)| Error::Peers { path: path.to_owned(), line, why })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    peers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: String,
    #[serde(default)]
    macs: Vec<String>,
    #[serde(default)]
    addresses: Vec<String>,
}

/// The peers, or a line and what is wrong with it.
fn parse(text: &str) -> Result<Vec<Peer>, (usize, String)> {
    let mut peers = Vec::new();
    if text.trim_start().starts_with('{') {
        let document: Document =
            serde_json::from_str(text).map_err(|error| (error.line(), error.to_string()))?;
        for entry in document.peers {
            let known = entry.macs.iter().chain(&entry.addresses).map(String::as_str);
            put(&mut peers, &entry.host, known).map_err(|why| (1, why))?;
        }
        return Ok(peers);
    }
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        if let Some(host) = words.next() {
            put(&mut peers, host, words).map_err(|why| (number + 1, why))?;
        }
    }
    Ok(peers)
}

fn put<'a>(peers: &mut Vec<Peer>, host: &str, known: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let address = host_address(host).map_err(|why| format!("{:?}: {why}", shown(host, 60)))?;
    let known: Vec<_> = known
        .map(|text| {
            mac_of(text).ok_or_else(|| format!("{:?}: expected a MAC or IP address", shown(text, 60)))
        })
        .collect::<Result<_, _>>()?;
    add(peers, address, known);
    Ok(())
}

/// A MAC address of one device, or that which belongs to an IP address.
fn mac_of(text: &str) -> Option<[u8; 6]> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Endpoint::mac_of(address));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let bytes: Vec<u8> = parts
        .iter()
        .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .filter_map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    let mac: [u8; 6] = bytes.try_into().ok().filter(|_| parts.len() == 6)?;
    (mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_and_json_say_the_same() {
        let lines = "# all hosts\n192.0.2.2\n\n192.0.2.3 02:42:0a:14:00:82 10.20.0.131 # db\n";
        let json = r#"{"peers": [{"host": "192.0.2.2"},
            {"host": "192.0.2.3", "macs": ["02:42:0a:14:00:82"], "addresses": ["10.20.0.131"]}]}"#;
        let expected = [
            Peer { host: "192.0.2.2".parse().unwrap(), macs: vec![] },
            Peer {
                host: "192.0.2.3".parse().unwrap(),
                macs: vec![[2, 0x42, 10, 20, 0, 0x82], [2, 0x42, 10, 20, 0, 131]],
            },
        ];
        assert_eq!(parse(lines).unwrap(), expected);
        assert_eq!(parse(json).unwrap(), expected);
        assert_eq!(parse("").unwrap(), []);
        // One host twice.
        assert_eq!(parse("192.0.2.2\n192.0.2.2 10.20.0.1").unwrap().len(), 1);
    }

    #[test]
    fn what_is_refused_has_a_line() {
        for (text, line, why) in [
            ("192.0.2.2\nhost-b", 2, "\"host-b\": expected the address of a host"),
            ("192.0.2.2 x", 1, "\"x\": expected a MAC or IP address"),
            ("192.0.2.2 01:00:5e:00:00:01", 1, "expected a MAC or IP address"),
            ("127.0.0.1", 1, "no address that another host has"),
            ("fe80::1", 1, "no address that another host has"),
            ("{\n\"peers\": 1}", 2, "expected a sequence"),
            ("{\"peers\": [{\"host\": \"192.0.2.2\", \"mac\": []}]}", 1, "unknown field `mac`"),
        ] {
            let (at, what) = parse(text).unwrap_err();
            assert!(at == line && what.contains(why), "{text}: {at}: {what}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_peers_or_an_error(text in "\\PC{0,80}|[0-9a-f.:{}\\[\\]\", \n#]{0,120}") {
            let _ = parse(&text);
        }
    }
}
