//! The id of a network: 64 hexadecimal digits, as Docker has them.

use std::str::FromStr;

use conex_oci::{checked_text, is_id};
use serde::{Deserialize, Serialize};

/// 32 random bytes, written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkId(String);
checked_text!(NetworkId);

impl NetworkId {
    /// A new one.
    ///
    /// # Errors
    /// The kernel has no random bytes yet.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        if count < bytes.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The one of a network that is defined elsewhere, where it has a name only: the sha256 of that, as Podman has it.
    pub fn of_name(name: &super::NetworkName) -> Self {
        Self(conex_oci::Digest::of(name.as_str().as_bytes()).hex())
    }

    /// The first twelve, as tables have them.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for NetworkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = is_id(text).then(|| Self(text.to_owned()));
        valid.ok_or_else(|| "a network's id has 64 hexadecimal digits".to_owned())
    }
}
