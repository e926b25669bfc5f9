//! `--device-read-bps /dev/sda:1mb` and its like, `--blkio-weight-device /dev/sda:500`: limits of one block device.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{OptionError, parse_size};

/// A ceiling for one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// On the host.
    pub path: PathBuf,
    /// Bytes or operations a second; 0 is none.
    pub rate: u64,
}

/// A share of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// On the host.
    pub path: PathBuf,
    /// 10 to 1000.
    pub weight: u16,
}

/// `--device-read-bps`, `--device-write-bps`: `/dev/sda:1mb`.
pub fn parse_device_bps(what: &'static str, text: &str) -> Result<DeviceRate, OptionError> {
    let (path, rate) = split(what, text)?;
    Ok(DeviceRate { path, rate: parse_size(what, rate)? })
}

/// `--device-read-iops`, `--device-write-iops`: `/dev/sda:1000`.
pub fn parse_device_iops(what: &'static str, text: &str) -> Result<DeviceRate, OptionError> {
    let (path, rate) = split(what, text)?;
    // v1's files hold 32 bits.
    let rate: u32 = number(rate).ok_or_else(|| {
        OptionError::syntax(what, text, "the rate is a number of operations a second, as /dev/sda:1000")
    })?;
    Ok(DeviceRate { path, rate: rate.into() })
}

/// `--blkio-weight-device`: `/dev/sda:500`.
pub fn parse_device_weight(text: &str) -> Result<DeviceWeight, OptionError> {
    const WHAT: &str = "--blkio-weight-device";
    let (path, weight) = split(WHAT, text)?;
    let weight = number(weight).filter(|weight| (10..=1000).contains(weight)).ok_or_else(|| {
        OptionError::syntax(WHAT, text, "the weight is a number from 10 to 1000, as /dev/sda:500")
    })?;
    Ok(DeviceWeight { path, weight })
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The device's path, which may have colons of its own (`/dev/disk/by-path/…`), and what follows the last one.
fn split<'t>(what: &'static str, text: &'t str) -> Result<(PathBuf, &'t str), OptionError> {
    let (path, value) = text
        .rsplit_once(':')
        .ok_or_else(|| OptionError::syntax(what, text, "expected DEVICE:VALUE, as /dev/sda:100"))?;
    if !path.starts_with("/dev/") {
        return Err(OptionError::syntax(what, text, "the device is a path below /dev, as /dev/sda"));
    }
    Ok((path.into(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let bps = |text| parse_device_bps("--device-read-bps", text).map(|rate| (rate.path, rate.rate));
        assert_eq!(bps("/dev/sda:1mb").unwrap(), ("/dev/sda".into(), 1 << 20));
        assert_eq!(bps("/dev/disk/by-path/a:b:0").unwrap(), ("/dev/disk/by-path/a:b".into(), 0));
        assert_eq!(parse_device_iops("--device-read-iops", "/dev/sda:7").unwrap().rate, 7);
        assert_eq!(parse_device_weight("/dev/sda:500").unwrap().weight, 500);
        for bad in ["", "/dev/sda", "sda:1", "/dev/sda:", "/dev/sda:x", "/etc/x:1", "/dev/sda:-1"] {
            assert!(bps(bad).is_err(), "{bad}");
            assert!(parse_device_iops("--device-read-iops", bad).is_err(), "{bad}");
            assert!(parse_device_weight(bad).is_err(), "{bad}");
        }
        assert!(parse_device_iops("--device-read-iops", "/dev/sda:4294967296").is_err());
        assert!(parse_device_weight("/dev/sda:9").is_err() && parse_device_weight("/dev/sda:+50").is_err());
    }
}
