//! `--device host[:container[:rwm]]`

use std::path::PathBuf;
use std::str::FromStr;

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
            // `vendor.com/class=name`
            return Err(if host.contains('/') && host.contains('=') && !host.starts_with('.') {
                OptionError::unsupported(WHAT, text, "CDI devices are not supported yet")
            } else {
                OptionError::syntax(WHAT, text, "the device is an absolute path, as /dev/fuse")
            });
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

fn is_access(text: &str) -> bool {
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
        let error = "vendor.com/gpu=all".parse::<DeviceMap>().unwrap_err().to_string();
        assert!(error.contains("CDI"), "{error}");
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
