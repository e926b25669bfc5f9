//! The secrets of an encrypted overlay: a file, the same on all hosts, and the keys that are made of it.
//!
//! ```text
//! # 64 hexadecimal digits a line (openssl rand -hex 32). The first is sent with, all are received by.
//! 1f3a…
//! ```
//!
//! Each direction between two hosts has keys and an SPI of its own, by HKDF-SHA-256 (RFC 5869), so that no two senders have a key in
//! common, and nobody has to tell the other of it. Secrets and keys are shown to nobody: not in errors, not in what is logged.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use conex_netlink::xfrm::Keys;
use hkdf::Hkdf;
use sha2::Sha256;

use super::file;
use crate::{Error, Result};

/// Bytes of the file at most.
const LONGEST: u64 = 64 << 10;
/// Secrets at most: each is an association for each peer.
const MOST: usize = 8;
const BYTES: usize = 32;
/// Says what the keys are for, and what form `info` has.
const SALT: &[u8] = b"conex overlay ESP 1";
/// The first that is no reserved one (RFC 4303, section 2.1).
const FIRST_SPI: u32 = 256;

/// What all keys of a network are made of.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret([u8; BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is encrypted by one association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// The tunnel's number and port.
    pub(super) vni: u32,
    pub(super) port: u16,
}

impl Secret {
    /// The SPI and the keys of a way: the same on both of its hosts.
    pub(super) fn keys(&self, way: Way) -> (u32, Keys) {
        let octets = |address| match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let (from, to) = (octets(way.from), octets(way.to));
        let info: [&[u8]; 4] = [&from, &to, &way.vni.to_be_bytes(), &way.port.to_be_bytes()];
        let mut bytes = [0; 68];
        let expanded = Hkdf::<Sha256>::new(Some(SALT), &self.0).expand_multi_info(&info, &mut bytes);
        expanded.expect("it is less than 255 hashes long");
        let (spi, keys) = bytes.split_at(4);
        let (mut encryption, mut authentication) = ([0; 32], [0; 32]);
        encryption.copy_from_slice(&keys[..32]);
        authentication.copy_from_slice(&keys[32..]);
        let spi = u32::from_be_bytes([spi[0], spi[1], spi[2], spi[3]]);
        let spi = if spi < FIRST_SPI { spi + FIRST_SPI } else { spi };
        (spi, Keys { encryption, authentication })
    }
}

/// The secrets in a file, at least one.
pub(super) fn read(path: &Path) -> Result<Vec<Secret>> {
    let wrong = |line, why: &str| Error::Secret { path: path.to_owned(), line, why: why.to_owned() };
    let (text, data) = file::read(path, LONGEST)?;
    // Its directory keeps others from it, or not: that is nothing to rely on.
    if data.mode() & 0o077 != 0 {
        return Err(wrong(0, "it may be read by others than its owner: chmod 600"));
    }
    if data.uid() != 0 && data.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong(0, "it belongs to somebody else"));
    }
    parse(&text).map_err(|(line, why)| wrong(line, why))
}

/// The secrets, or a line (zero: none of them) and what is wrong with it. Nothing of the text is told.
fn parse(text: &str) -> Result<Vec<Secret>, (usize, &'static str)> {
    let mut secrets = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let secret = hexadecimal(line)
            .ok_or((number + 1, "expected 64 hexadecimal digits, as `openssl rand -hex 32` makes them"))?;
        if is_made_up(&secret) {
            return Err((number + 1, "that is no random number; `openssl rand -hex 32` makes one"));
        }
        if secrets.contains(&Secret(secret)) {
            return Err((number + 1, "that is there twice"));
        }
        secrets.push(Secret(secret));
        if secrets.len() > MOST {
            return Err((number + 1, "these are more than 8"));
        }
    }
    match secrets.is_empty() {
        true => {
            Err((0, "there is no key in it: 64 hexadecimal digits, as `openssl rand -hex 32` makes them"))
        }
        false => Ok(secrets),
    }
}

fn hexadecimal(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Fewer than 16 different bytes among 32 random ones: the odds are under 2⁻⁵⁰.
fn is_made_up(secret: &[u8; BYTES]) -> bool {
    let mut bytes = secret.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "F0E1D2C3B4A5968778695A4B3C2D1E0FF1E2D3C4B5A69788796A5B4C3D2E1F00";

    fn way(from: &str, to: &str) -> Way {
        Way { from: from.parse().unwrap(), to: to.parse().unwrap(), vni: 7, port: 4789 }
    }

    #[test]
    fn a_file_has_one_secret_a_line() {
        let secrets = parse(&format!("# all hosts\n\n{ONE}\n  {TWO} # the next\n")).unwrap();
        assert_eq!(secrets.len(), 2);
        assert_eq!((secrets[0].0[31], secrets[1].0[0]), (0x1f, 0xf0));
        assert_eq!(format!("{secrets:?}"), "[Secret(…), Secret(…)]");
        for (text, line, words) in [
            ("", 0, "no key in it"),
            ("# none\n", 0, "no key in it"),
            ("abc", 1, "64 hexadecimal digits"),
            (&format!("{ONE}\n{}", &TWO[1..]), 2, "64 hexadecimal digits"),
            (&format!("{}é", &ONE[2..]), 1, "64 hexadecimal digits"),
            (&"0".repeat(64), 1, "no random number"),
            (&"deadbeef".repeat(8), 1, "no random number"),
            (&format!("{ONE}\n{ONE}"), 2, "twice"),
        ] {
            let (at, why) = parse(text).unwrap_err();
            assert!(at == line && why.contains(words), "{text}: {at}: {why}");
        }
    }

    #[test]
    fn each_way_has_its_own_keys() {
        let [one, two] = [ONE, TWO].map(|text| Secret(hexadecimal(text).unwrap()));
        let there = way("192.0.2.1", "192.0.2.2");
        let mut all = vec![
            one.keys(there),
            two.keys(there),
            one.keys(way("192.0.2.2", "192.0.2.1")),
            one.keys(way("192.0.2.1", "192.0.2.3")),
            one.keys(way("2001:db8::1", "2001:db8::2")),
            one.keys(Way { vni: 8, ..there }),
            one.keys(Way { port: 4790, ..there }),
        ];
        for (_, keys) in &all {
            assert_ne!(keys.encryption, keys.authentication);
        }
        for of in [
            |(spi, _): &(u32, Keys)| spi.to_be_bytes().to_vec(),
            |(_, keys): &(u32, Keys)| keys.encryption.to_vec(),
            |(_, keys): &(u32, Keys)| keys.authentication.to_vec(),
        ] {
            all.sort_by_key(of);
            assert!(all.windows(2).all(|two| of(&two[0]) != of(&two[1])));
        }
        // Hosts of different versions have to agree: computed with another implementation of RFC 5869.
        let (spi, keys) = one.keys(there);
        assert_eq!(spi, 0x3c83_9c49);
        assert_eq!(keys.encryption[..4], [0x8e, 0x1b, 0x3a, 0x7d]);
        assert_eq!(keys.authentication[28..], [0x5c, 0x8e, 0xf0, 0xad]);
    }

    proptest! {
        #[test]
        fn any_text_is_secrets_or_an_error(text in "\\PC{0,80}|[0-9a-f#\n ]{0,200}") {
            let _ = parse(&text);
        }
    }
}
