//! Content digests (`sha256:<64 hex digits>`, image-spec descriptor.md#digests) and the two ids made from them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:` in front.
    #[error("digest {0:?} has no algorithm (expected sha256:<64 hex digits>)")]
    NoAlgorithm(String),
    /// An algorithm other than sha256, the one that registries use.
    #[error("digest algorithm {0:?} is not supported (expected sha256)")]
    Algorithm(String),
    /// Not 64 lower-case hexadecimal digits.
    #[error("digest {0:?} is malformed (expected sha256:<64 hex digits>)")]
    Malformed(String),
}

/// The sha256 of a blob, as in a descriptor. Displays as `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From the raw 32 bytes of a sha256.
    pub fn from_sha256(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 64 hexadecimal digits, without the algorithm: the name of a blob in an OCI layout.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }

    /// The first 12 hexadecimal digits, as people see them in tables.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(clip(text)))?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(clip(algorithm)));
        }
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return Err(DigestError::Malformed(clip(text)));
        }
        let mut raw = [0; 32];
        for (byte, pair) in raw.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]), nibble(pair[1]));
            match (high, low) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(DigestError::Malformed(clip(text))),
            }
        }
        Ok(Self(raw))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Hostile text is shortened before it reaches an error line.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(96) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A sha256 in the making, for bytes that stream past.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

macro_rules! digest_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    };
}

digest_newtype! {
    /// The digest of a layer's uncompressed tar (image-spec config.md, `rootfs.diff_ids`).
    DiffId
}
digest_newtype! {
    /// The identity of a stack of layers (image-spec config.md#layer-chainid).
    ChainId
}

impl ChainId {
    /// The chain id of `layers`, lowest first; `None` for no layers at all.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        let chain =
            rest.iter().fold(first.0, |parent, layer| Digest::of(format!("{parent} {layer}").as_bytes()));
        Some(Self(chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest_round_trips() {
        let digest = Digest::of(b"hello");
        let text = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "2cf24dba5fb0");
    }

    #[test]
    fn malformed_digests_are_refused() {
        for text in ["", "sha256", "sha256:", "sha256:../../../etc/passwd", "md5:00", "SHA256:00"] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let upper = Digest::of(b"").to_string().to_uppercase().replace("SHA256", "sha256");
        assert!(upper.parse::<Digest>().is_err(), "upper-case hex names a second file for one blob");
    }

    #[test]
    fn chain_id_of_one_layer_is_its_diff_id() {
        let layer = DiffId(Digest::of(b"a"));
        assert_eq!(ChainId::of(&[layer]), Some(ChainId(layer.0)));
        assert_eq!(ChainId::of(&[]), None);
    }
}
