//! Kernel parameters of the container's own namespaces.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{SpecError, SpecRequest};
use crate::options::{IpcMode, NamespaceMode, NetworkMode, SysctlHolder, sysctl_holder};

/// Docker's defaults in a network namespace of the container's own: any port, and ping without a capability.
const PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
const PING: &str = "net.ipv4.ping_group_range";
/// GROUP_RANGE of the kernel's net/ping.h: more is refused.
const LAST_GROUP: u32 = 2_147_483_647;

pub(super) fn build(
    request: &SpecRequest<'_>,
    user_namespace: bool,
) -> Result<BTreeMap<String, String>, SpecError> {
    let asked = &request.options.namespaces;
    let mut list = BTreeMap::new();
    let last = match request.id_range.filter(|_| user_namespace) {
        // More than those that are mapped are refused in a user namespace (net/ipv4/sysctl_net_ipv4.c).
        Some(range) => range.size - 1,
        None => request.host.last_group().min(LAST_GROUP),
    };
    if matches!(asked.network, NetworkMode::None | NetworkMode::Networks(_)) {
        for (name, value) in [(PORTS, "0".to_owned()), (PING, format!("0 {last}"))] {
            // Kernels without IPv4 are built.
            let path = PathBuf::from(format!("/proc/sys/{}", name.replace('.', "/")));
            if request.host.exists(&path).unwrap_or(false) {
                list.insert(name.to_owned(), value);
            }
        }
    }
    for (name, value) in &asked.sysctls {
        let shared = match sysctl_holder(name) {
            Some(SysctlHolder::Network) if asked.network == NetworkMode::Host => "--network host",
            Some(SysctlHolder::Ipc) if asked.ipc == IpcMode::Host => "--ipc host",
            Some(SysctlHolder::Uts) if asked.uts == NamespaceMode::Host => "--uts host",
            Some(_) => {
                let value = if name == PING { groups_up_to(value, last) } else { value.clone() };
                list.insert(name.clone(), value);
                continue;
            }
            // A record written by hand.
            None => "the host's other namespaces",
        };
        return Err(SpecError::Conflict(format!(
            "sysctl {name:?} is not allowed with {shared}: it would change the host"
        )));
    }
    Ok(list)
}

/// A range of groups that ends where those do that there are: "all of them" has many spellings.
fn groups_up_to(range: &str, last: u32) -> String {
    let numbers: Option<Vec<u32>> = range.split_whitespace().map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[first, end]) if first <= last && end > last => format!("{first} {last}"),
        _ => range.to_owned(),
    }
}
