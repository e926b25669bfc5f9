//! `linux.resources.blockIO`: v1's blkio, v2's io. Weights work with the BFQ scheduler (or io.cost in v2) only.

use conex_oci::runtime::{BlockIo, ThrottleDevice};

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

const NO_WEIGHT: &str =
    "weights need the bfq I/O scheduler or a kernel with io.cost; load bfq, or drop the weight";
const NO_THROTTLE: &str = "the kernel lacks CONFIG_BLK_DEV_THROTTLING; drop the limit";
const V1_ONLY: &str = "leaf weights went away with the CFQ scheduler in Linux 5.0; drop the setting";

fn limit(group: &Group, name: &'static str, hint: &'static str) -> Limit<'static> {
    Limit { controller: if group.is_v2() { "io" } else { "blkio" }, name, hint }
}

/// The four ceilings: name, devices, v1's file, v2's key.
fn ceilings(io: &BlockIo) -> [(&'static str, &[ThrottleDevice], &'static str, &'static str); 4] {
    [
        (
            "blockIO.throttleReadBpsDevice",
            &io.throttle_read_bps_device,
            "blkio.throttle.read_bps_device",
            "rbps",
        ),
        (
            "blockIO.throttleWriteBpsDevice",
            &io.throttle_write_bps_device,
            "blkio.throttle.write_bps_device",
            "wbps",
        ),
        (
            "blockIO.throttleReadIOPSDevice",
            &io.throttle_read_iops_device,
            "blkio.throttle.read_iops_device",
            "riops",
        ),
        (
            "blockIO.throttleWriteIOPSDevice",
            &io.throttle_write_iops_device,
            "blkio.throttle.write_iops_device",
            "wiops",
        ),
    ]
}

pub(crate) fn needed(io: &BlockIo) -> Option<&'static str> {
    let weights = [
        (io.weight.is_some_and(|weight| weight != 0), "blockIO.weight"),
        (io.leaf_weight.is_some_and(|weight| weight != 0), "blockIO.leafWeight"),
        (!io.weight_device.is_empty(), "blockIO.weightDevice"),
    ];
    let ceilings = ceilings(io).map(|(name, devices, ..)| (!devices.is_empty(), name));
    weights.into_iter().chain(ceilings).find(|(is_set, _)| *is_set).map(|(_, name)| name)
}

pub(crate) fn apply(group: &Group, io: &BlockIo) -> Result<()> {
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        check("blockIO.weight", weight)?;
        set_weight(group, limit(group, "blockIO.weight", NO_WEIGHT), None, weight)?;
    }
    if let Some(weight) = io.leaf_weight.filter(|weight| *weight != 0) {
        check("blockIO.leafWeight", weight)?;
        set_leaf_weight(
            group,
            limit(group, "blockIO.leafWeight", V1_ONLY),
            "blkio.leaf_weight",
            &weight.to_string(),
        )?;
    }
    for device in &io.weight_device {
        let id = format!("{}:{}", device.major, device.minor);
        if let Some(weight) = device.weight {
            check("blockIO.weightDevice", weight)?;
            set_weight(group, limit(group, "blockIO.weightDevice", NO_WEIGHT), Some(&id), weight)?;
        }
        if let Some(weight) = device.leaf_weight {
            check("blockIO.weightDevice", weight)?;
            let limit = limit(group, "blockIO.weightDevice.leafWeight", V1_ONLY);
            set_leaf_weight(group, limit, "blkio.leaf_weight_device", &format!("{id} {weight}"))?;
        }
    }
    for (name, devices, v1_file, v2_key) in ceilings(io) {
        let limit = limit(group, name, NO_THROTTLE);
        for ThrottleDevice { major, minor, rate } in devices {
            if group.is_v2() {
                // v1 takes 0 for "none"; v2 has a word for it.
                let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
                group.set(limit, "io.max", &format!("{major}:{minor} {v2_key}={rate}"))?;
            } else {
                group.set(limit, v1_file, &format!("{major}:{minor} {rate}"))?;
            }
        }
    }
    Ok(())
}

fn check(name: &str, weight: u16) -> Result<()> {
    if (10..=1000).contains(&weight) {
        return Ok(());
    }
    Err(Error::Value {
        limit: name.to_owned(),
        value: weight.to_string(),
        why: "a weight is 10 to 1000".to_owned(),
    })
}

/// The first of the host's files for weights that exists; without any, the error names the last.
fn set_weight(group: &Group, limit: Limit<'_>, device: Option<&str>, weight: u16) -> Result<()> {
    let (file, value) = match (group.is_v2(), device) {
        (true, _) if group.has("io.bfq.weight") => ("io.bfq.weight", u64::from(weight)),
        (true, _) => ("io.weight", io_weight(weight)),
        (false, None) if group.has("blkio.bfq.weight") => ("blkio.bfq.weight", u64::from(weight)),
        (false, None) => ("blkio.weight", u64::from(weight)),
        (false, Some(_)) if group.has("blkio.bfq.weight_device") => {
            ("blkio.bfq.weight_device", u64::from(weight))
        }
        (false, Some(_)) => ("blkio.weight_device", u64::from(weight)),
    };
    group.set(limit, file, &device.map_or_else(|| value.to_string(), |device| format!("{device} {value}")))
}

fn set_leaf_weight(group: &Group, limit: Limit<'_>, file: &str, value: &str) -> Result<()> {
    if group.is_v2() {
        let (controller, limit) = (limit.controller.to_owned(), limit.name.to_owned());
        return Err(Error::Unsupported { controller, limit, hint: V1_ONLY });
    }
    group.set(limit, file, value)
}

/// `io.weight` (1 to 10000, default 100) for v1's weight (10 to 1000): runc's line through both ends.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_through_both_ends() {
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
        assert!(check("x", 9).is_err() && check("x", 1001).is_err() && check("x", 10).is_ok());
    }

    #[test]
    fn no_weight_needs_no_group() {
        assert_eq!(needed(&BlockIo { weight: Some(0), ..BlockIo::default() }), None);
        let throttled = BlockIo {
            throttle_read_bps_device: vec![ThrottleDevice { major: 8, minor: 0, rate: 1 }],
            ..BlockIo::default()
        };
        assert_eq!(needed(&throttled), Some("blockIO.throttleReadBpsDevice"));
    }
}
