//! The id of a network: 64 hexadecimal digits, as Docker has them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 32 random bytes, written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkId(String);

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

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve, as tables have them.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for NetworkId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text)) } else { Err("a network's id has 64 hexadecimal digits".to_owned()) }
    }
}

impl From<NetworkId> for String {
    fn from(id: NetworkId) -> Self {
        id.0
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
