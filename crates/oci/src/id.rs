//! A container's id (64 hexadecimal digits, as Docker's) and its name.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::clip;
use crate::{checked_text, is_id, is_name};

/// Why a text is no id or name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("container id {0:?} is malformed (expected 64 hexadecimal digits)")]
    Id(String),
    /// Not a name: it could leave the directory it is a file in, or collide with an option.
    #[error("container name {0:?} is invalid (allowed: [a-zA-Z0-9][a-zA-Z0-9_.-]*)")]
    Name(String),
}

/// A container's id: always safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);
checked_text!(ContainerId);

impl ContainerId {
    /// An id from 32 random bytes; the caller brings the randomness.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(crate::Digest::from_sha256(random).hex())
    }

    /// The first 12 digits, as people see them in tables and as the default hostname.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_id(text) { Ok(Self(text.to_owned())) } else { Err(IdError::Id(clip(text))) }
    }
}

/// A container's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, Docker's rule, at most 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerName(String);
checked_text!(ContainerName);

impl FromStr for ContainerName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        // Docker shows names with a leading slash and takes them back so.
        let name = text.strip_prefix('/').unwrap_or(text);
        if is_name(name) && name.len() <= 128 {
            Ok(Self(name.to_owned()))
        } else {
            Err(IdError::Name(clip(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "-rm", "a b", "é", "/"] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad:?}");
        }
        assert_eq!("/web_1.a-b".parse::<ContainerName>().unwrap().as_str(), "web_1.a-b");
    }

    #[test]
    fn ids_are_64_hex_digits() {
        let id = ContainerId::from_random([0xab; 32]);
        assert_eq!(id.short(), "abababababab");
        assert!(id.as_str().parse::<ContainerId>().is_ok());
        assert!("abc".parse::<ContainerId>().is_err());
    }
}
