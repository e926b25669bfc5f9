//! `--device host[:container[:rwm]]|vendor.com/class=name`

use std::path::PathBuf;
use std::str::FromStr;

use conex_cdi::QualifiedName;
use serde::{Deserialize, Serialize};

use super::OptionError;

/// `--device host[:container[:rwm]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMap {
    /// On the host; a directory stands for every device in it.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// Of `r`, `w`, `m`.
    pub access: String,
}

/// What one `--device` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceOption {
    /// Devices of the host's by path.
    Host(DeviceMap),
    /// A device of a CDI specification.
    Cdi(QualifiedName),
}

impl FromStr for DeviceOption {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        if text.contains('=') && !text.starts_with(['/', '.']) {
            let name = text.parse::<QualifiedName>();
            return name.map(Self::Cdi).map_err(|error| match error {
                conex_cdi::Error::Name { why, .. } => OptionError::syntax(WHAT, text, why),
                other => OptionError::syntax(WHAT, text, other.to_string()),
            });
        }
        text.parse().map(Self::Host)
    }
}

const WHAT: &str = "--device";

impl FromStr for DeviceMap {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, access] if is_access(access) => (host, host, access),
            [host, container] => (host, container, "rwm"),
            [host, container, access] if is_access(access) => (host, container, access),
            [_, _, _] => {
                return Err(OptionError::syntax(WHAT, text, "the third part is of r, w and m, each once"));
            }
            _ => return Err(OptionError::syntax(WHAT, text, "expected HOST[:CONTAINER[:rwm]]")),
        };
        if !host.starts_with('/') {
            let expected =
                "the device is an absolute path, as /dev/fuse, or of CDI, as vendor.com/class=name";
            return Err(OptionError::syntax(WHAT, text, expected));
        }
        let container = if container.is_empty() { host } else { container };
        if !container.starts_with('/') {
            return Err(OptionError::syntax(WHAT, text, "the path in the container must be absolute"));
        }
        if container.split('/').any(|part| part == "..")
            || container.split('/').all(|part| matches!(part, "" | "."))
        {
            return Err(OptionError::syntax(
                WHAT,
                text,
                "the path in the container must name a file, without \"..\"",
            ));
        }
        Ok(Self { host: host.into(), container: container.into(), access: access.to_owned() })
    }
}

pub(super) fn is_access(text: &str) -> bool {
    let once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty()
        && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
        && once('r')
        && once('w')
        && once('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(host: &str, container: &str, access: &str) -> DeviceMap {
        DeviceMap { host: host.into(), container: container.into(), access: access.to_owned() }
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("/dev/fuse", device("/dev/fuse", "/dev/fuse", "rwm")),
            ("/dev/sda:r", device("/dev/sda", "/dev/sda", "r")),
            ("/dev/sda:/dev/xvdc", device("/dev/sda", "/dev/xvdc", "rwm")),
            ("/dev/sda:/dev/xvdc:rw", device("/dev/sda", "/dev/xvdc", "rw")),
            ("/dev/sda::rw", device("/dev/sda", "/dev/sda", "rw")),
        ] {
            assert_eq!(text.parse::<DeviceMap>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for bad in
            ["", "fuse", "/dev/a:/b:rwx", "/dev/a:/b:rr", "/dev/a:b", "/dev/a:/:r", "/a:/../b", "/a:/b:r:w"]
        {
            assert!(bad.parse::<DeviceMap>().is_err(), "{bad}");
        }
        let cdi = "vendor.com/gpu=all".parse::<DeviceOption>().unwrap();
        assert_eq!(cdi, DeviceOption::Cdi("vendor.com/gpu=all".parse().unwrap()));
        let error = "vendor.com=all".parse::<DeviceOption>().unwrap_err().to_string();
        assert!(error.starts_with("invalid --device \"vendor.com=all\": the kind"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<DeviceMap>();
        }

        #[test]
        fn what_is_taken_is_absolute(text in "[/a-c:.rwm]{0,16}") {
            if let Ok(device) = text.parse::<DeviceMap>() {
                proptest::prop_assert!(device.host.is_absolute() && device.container.is_absolute() && is_access(&device.access));
            }
        }
    }
}
