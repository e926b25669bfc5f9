//! Values of `-o NAME=VALUE`, as all drivers read them.

use crate::definition::DefinitionError;
use crate::error::shown;

/// Bytes of a frame's content: what IPv6 needs at least, and what a device can at most (RFC 8200, section 5).
pub(super) fn mtu(value: &str) -> Result<u32, DefinitionError> {
    let mtu = value.parse().ok().filter(|mtu| (1280..=65535).contains(mtu));
    mtu.ok_or_else(|| refused("mtu", value, "1280 to 65535 bytes"))
}

pub(super) fn truth(name: &'static str, value: &str) -> Result<bool, DefinitionError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(refused(name, value, "true or false")),
    }
}

/// As the kernel takes them (`dev_valid_name`).
pub(super) fn device_name(name: &'static str, value: &str) -> Result<String, DefinitionError> {
    let is_valid = (1..16).contains(&value.len())
        && !matches!(value, "." | "..")
        && !value.chars().any(|c| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control());
    match is_valid {
        true => Ok(value.to_owned()),
        false => Err(refused(name, value, "a device's name: at most 15 bytes, without / : and spaces")),
    }
}

/// A value that cannot be.
pub(super) fn refused(name: &'static str, value: &str, takes: &'static str) -> DefinitionError {
    DefinitionError::OptionValue { name, value: shown(value, 100), takes }
}

/// A name that the driver does not know.
pub(super) fn unknown(driver: &'static str, name: &str, known: &'static str) -> DefinitionError {
    DefinitionError::Option { name: shown(name, 100), driver, known }
}
