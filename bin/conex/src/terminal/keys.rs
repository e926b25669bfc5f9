//! `--detach-keys`: the sequence that leaves a container running and gives the terminal back.

use std::str::FromStr;

/// Docker's default, `ctrl-p,ctrl-q`.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Why a text is no sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid detach keys ({0}) provided: expected letters or ctrl-X, X of a-z @ [ \\ ] ^ _, joined by commas"
)]
pub(crate) struct KeysError(String);

/// The bytes a terminal sends for the keys. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> Self {
        Self(DEFAULT.to_vec())
    }
}

impl FromStr for DetachKeys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or_else(|| KeysError(text.to_owned()))
    }
}

fn key(name: &str) -> Option<u8> {
    match *name.as_bytes() {
        [byte] if byte.is_ascii() => Some(byte),
        _ if name.eq_ignore_ascii_case("del") => Some(0x7f),
        _ => match *name.to_ascii_lowercase().strip_prefix("ctrl-")?.as_bytes() {
            [letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(letter & 0x1f),
            _ => None,
        },
    }
}

/// Looks for the keys in what is typed. Bytes that may be their beginning are held back until it is clear.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    /// How many of the keys have been typed.
    matched: usize,
}

impl Scanner {
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self { keys: keys.0, matched: 0 }
    }

    /// What of `typed` is for the container, and whether the keys were completed (what stands after them is dropped).
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(typed.len() + self.matched);
        for &byte in typed {
            // A mismatch may still end in a shorter beginning of the keys: keep the longest one.
            let mut held = self.keys[..self.matched].to_vec();
            held.push(byte);
            while !self.keys.starts_with(&held) {
                out.push(held.remove(0));
            }
            self.matched = held.len();
            if self.matched == self.keys.len() {
                self.matched = 0;
                return (out, true);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for (text, bytes) in [
            ("", &[0x10, 0x11][..]),
            ("ctrl-p,ctrl-q", &[0x10, 0x11]),
            ("a", b"a"),
            ("a,b,c", b"abc"),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[0, 27, 28, 29, 30, 31]),
            ("CTRL-A,DEL", &[1, 127]),
        ] {
            assert_eq!(text.parse::<DetachKeys>().map(|keys| keys.0).as_deref(), Ok(bytes), "{text}");
        }
        for bad in ["ctrl-", "ctrl-1", "ab", "a,,b", ",", "ctrl-pq", "é", "ctrl p"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_keys_detach_and_their_beginning_alone_goes_through() {
        let mut scanner = Scanner::new("a,a,b".parse().unwrap());
        assert_eq!(scanner.feed(b"xa"), (b"x".to_vec(), false));
        assert_eq!(scanner.feed(b"y"), (b"ay".to_vec(), false));
        assert_eq!(scanner.feed(b"aaab-rest"), (b"a".to_vec(), true));
        assert_eq!(scanner.feed(b"a"), (b"".to_vec(), false));
        assert_eq!(scanner.feed(b"ab"), (b"".to_vec(), true));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_but_the_keys(parts in proptest::collection::vec("[ab]{0,5}", 0..8)) {
            let mut scanner = Scanner::new("a,b,a".parse().unwrap());
            let (mut given, mut got, mut found) = (String::new(), Vec::new(), false);
            for part in &parts {
                given += part;
                let (bytes, done) = scanner.feed(part.as_bytes());
                got.extend(bytes);
                if done {
                    found = true;
                    break;
                }
            }
            match given.find("aba") {
                Some(at) => {
                    proptest::prop_assert!(found);
                    proptest::prop_assert_eq!(&got, &given.as_bytes()[..at]);
                }
                None => {
                    proptest::prop_assert!(!found);
                    got.extend(&scanner.keys[..scanner.matched]);
                    proptest::prop_assert_eq!(&got, given.as_bytes());
                }
            }
        }
    }
}
