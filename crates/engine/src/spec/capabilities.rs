//! Which capabilities the process has: Docker's default set, `--cap-add`, `--cap-drop`, `--privileged`.

use conex_oci::runtime::Capabilities;

use super::{Host, SpecError, SpecRequest};
use crate::options::CAPABILITIES;

/// What the container may ever have.
pub(super) struct ContainerSets {
    /// In the kernel's order.
    pub(super) bounding: Vec<String>,
}

impl ContainerSets {
    /// The five sets for a process with a user id: a user other than root starts with none. Inheritable and ambient ones stay
    /// empty (CVE-2022-24769).
    pub(super) fn of(&self, uid: u32) -> Capabilities {
        let in_force = if uid == 0 { self.bounding.clone() } else { Vec::new() };
        Capabilities {
            bounding: self.bounding.clone(),
            effective: in_force.clone(),
            permitted: in_force,
            inheritable: Vec::new(),
            ambient: Vec::new(),
        }
    }
}

/// What may be given here: all in a user namespace, whose root has them over what is its own, else the caller's own.
pub(super) fn available(host: &dyn Host, user_namespace: bool) -> Vec<&'static str> {
    if user_namespace { host.kernel_capabilities() } else { host.bounding() }
}

pub(super) fn container_sets(
    request: &SpecRequest<'_>,
    user_namespace: bool,
) -> Result<ContainerSets, SpecError> {
    let security = &request.options.security;
    let available = available(request.host, user_namespace);
    let has = |list: &[String], name: &str| list.iter().any(|asked| asked == name);
    let keep: Box<dyn Fn(&str) -> bool> = if security.privileged {
        Box::new(|_| true)
    } else {
        for name in security.cap_add.iter().filter(|name| *name != "ALL") {
            if !available.contains(&name.as_str()) {
                let why = "the kernel or the caller does not have it, so it cannot be given".to_owned();
                return Err(SpecError::Unavailable { option: format!("--cap-add {name}"), why });
            }
        }
        if has(&security.cap_add, "ALL") {
            Box::new(|name| !has(&security.cap_drop, name))
        } else if has(&security.cap_drop, "ALL") {
            Box::new(|name| has(&security.cap_add, name))
        } else {
            let usual = security.usual();
            Box::new(move |name| {
                has(&security.cap_add, name) || (usual.contains(&name) && !has(&security.cap_drop, name))
            })
        }
    };
    // A default that the caller lacks is left out: the container has less than Docker's set, never an error.
    let bounding = CAPABILITIES.into_iter().filter(|name| keep(name) && available.contains(name));
    Ok(ContainerSets { bounding: bounding.map(str::to_owned).collect() })
}
