//! The driver's options (`network create -o NAME=VALUE`), ours and Docker's names for them.

use serde::{Deserialize, Serialize};

use super::DefinitionError;

/// What a network can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// `mtu`: bytes of a frame's content; the kernel's 1500 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// `isolate`: containers of the network do not reach each other.
    #[serde(default)]
    pub isolate: bool,
    /// `masquerade=false`: packets leave with the container's own address, and the network outside knows the way back.
    #[serde(default)]
    pub routed: bool,
    /// `device`: the bridge's name on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Names, with Docker's beside ours.
const KNOWN: &str = "mtu, isolate, masquerade, device (and Docker's com.docker.network.driver.mtu, \
     com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade)";

impl Options {
    /// Takes `NAME=VALUE`.
    ///
    /// # Errors
    /// [`DefinitionError::Option`], [`DefinitionError::OptionValue`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match name {
            "mtu" | "com.docker.network.driver.mtu" => {
                // What IPv6 needs at least, and what a veth can at most (RFC 8200, section 5).
                let mtu = value.parse().ok().filter(|mtu| (1280..=65535).contains(mtu));
                self.mtu = Some(mtu.ok_or_else(|| refused("mtu", value, "1280 to 65535 bytes"))?);
            }
            "isolate" => self.isolate = truth("isolate", value)?,
            "com.docker.network.bridge.enable_icc" => self.isolate = !truth("enable_icc", value)?,
            "masquerade" => self.routed = !truth("masquerade", value)?,
            "com.docker.network.bridge.enable_ip_masquerade" => {
                self.routed = !truth("enable_ip_masquerade", value)?;
            }
            "device" | "com.docker.network.bridge.name" => {
                if !is_device_name(value) {
                    return Err(refused(
                        "device",
                        value,
                        "a device's name: at most 15 bytes, without / : and spaces",
                    ));
                }
                self.device = Some(value.to_owned());
            }
            _ => {
                let name = name.chars().filter(|c| !c.is_control()).take(100).collect();
                return Err(DefinitionError::Option { name, known: KNOWN.to_owned() });
            }
        }
        Ok(())
    }
}

/// As the kernel takes them (`dev_valid_name`).
fn is_device_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control())
}

fn truth(name: &'static str, value: &str) -> Result<bool, DefinitionError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(refused(name, value, "true or false")),
    }
}

fn refused(name: &'static str, value: &str, takes: &'static str) -> DefinitionError {
    DefinitionError::OptionValue {
        name,
        value: value.chars().filter(|c| !c.is_control()).take(100).collect(),
        takes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let mut options = Options::default();
        for (name, value) in [("mtu", "1400"), ("isolate", "true"), ("masquerade", "0"), ("device", "br-web")]
        {
            options.set(name, value).unwrap();
        }
        let device = Some("br-web".to_owned());
        assert_eq!(options, Options { mtu: Some(1400), isolate: true, routed: true, device });
        for (name, value) in
            [("mtu", "100"), ("mtu", "x"), ("isolate", "yes"), ("device", "a/b"), ("what", "1")]
        {
            assert!(options.set(name, value).is_err(), "{name}={value}");
        }
    }
}
