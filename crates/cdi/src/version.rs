//! Which version of CDI has what: a file that uses a field of a later version than it follows is refused, as the reference library does.

use crate::name::Kind;
use crate::specification::{Edits, Specification};

/// Those that were released, and are read.
const KNOWN: [(u32, u32); 8] = [(0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8), (1, 0), (1, 1)];

/// What needs which version, the latest first.
fn needs(spec: &Specification, kind: &Kind) -> ((u32, u32), &'static str) {
    let any = |test: fn(&Edits) -> bool| spec.all_edits().any(test);
    let annotated =
        !spec.annotations.is_empty() || spec.devices.iter().any(|device| !device.annotations.is_empty());
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if any(|edits| !edits.net_devices.is_empty()) {
        ((1, 1), "netDevices")
    } else if any(|edits| {
        edits.intel_rdt.as_ref().is_some_and(|rdt| !rdt.schemata.is_empty() || rdt.enable_monitoring)
    }) {
        ((1, 1), "schemata and enableMonitoring of intelRdt")
    } else if any(|edits| edits.intel_rdt.is_some()) {
        ((0, 7), "intelRdt")
    } else if any(|edits| !edits.additional_gids.is_empty()) {
        ((0, 7), "additionalGids")
    } else if annotated {
        ((0, 6), "annotations")
    } else if kind.has_dotted_class() {
        ((0, 6), "a class with a dot")
    } else if any(|edits| edits.device_nodes.iter().any(|node| node.host_path.is_some())) {
        ((0, 5), "hostPath of device nodes")
    } else if spec.devices.iter().any(|device| digit(&device.name)) {
        ((0, 5), "a device name that begins with a digit")
    } else if any(|edits| edits.mounts.iter().any(|mount| mount.kind.is_some())) {
        ((0, 4), "type of mounts")
    } else {
        ((0, 3), "")
    }
}

pub(crate) fn check(spec: &Specification, kind: &Kind) -> Result<(), String> {
    let text = spec.version.strip_prefix('v').unwrap_or(&spec.version);
    let Some(version) = KNOWN.into_iter().find(|(major, minor)| text == format!("{major}.{minor}.0")) else {
        return Err(format!("cdiVersion {:?} is not known: 0.3.0 to 1.1.0 are read", spec.version));
    };
    let (needed, what) = needs(spec, kind);
    if version < needed {
        let (major, minor) = needed;
        return Err(format!("cdiVersion is {text}, and {what} came with {major}.{minor}.0"));
    }
    Ok(())
}
