//! Device rules behind a bundle's own: what config-linux.md#default-devices says is in every container must be usable there.

use conex_oci::runtime::{DeviceRule, Resources};

/// Major and minor: null, zero, full, random, urandom, tty, the pseudo-terminals and their multiplexer.
const DEVICES: [(i64, Option<i64>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// `resources` of a bundle with what runc and crun add: nodes of any device may be made, the default ones used. What the bundle
/// does not allow itself is denied, also when it has no rules at all.
pub fn with_default_devices(mut resources: Resources) -> Resources {
    let rule = |kind: &str, major, minor, access: &str| DeviceRule {
        allow: true,
        kind: Some(kind.to_owned()),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    if resources.devices.is_empty() {
        resources.devices.push(DeviceRule { allow: false, ..DeviceRule::default() });
    }
    resources.devices.extend(["c", "b"].map(|kind| rule(kind, None, None, "m")));
    resources.devices.extend(DEVICES.map(|(major, minor)| rule("c", Some(major), minor, "rwm")));
    resources
}
