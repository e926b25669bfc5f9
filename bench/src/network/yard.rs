//! The namespaces that the comparison happens in.

use std::process::Command;

use crate::Result;
use crate::scene::run;

/// The first argument of the process in there.
pub(crate) const ROLE: &str = "network-inside";

/// The way out that an engine looks for leads to a device whose other end nobody is at.
const FURNISH: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && ip link add eth0 type veth peer name wire &&
    ip address add 192.0.2.1/24 dev eth0 && ip link set eth0 up && ip link set wire up && ip route add default via 192.0.2.2";

/// Runs this program again, in namespaces of its own, and waits for it.
pub(super) fn enter() -> Result<()> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]).arg(exe).arg(ROLE);
    // The rounds, the peers, and whether results are kept; which other comparisons there are does not matter in there.
    command.args(std::env::args_os().skip(1));
    let status = command.status().map_err(|error| format!("unshare: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("network: {status}")) }
}

/// In there, before anything else.
pub(super) fn furnish() -> Result<()> {
    let links =
        |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).map_err(|error| error.to_string());
    // The parent is `unshare`'s: the namespace that must not be touched.
    let parent = std::os::unix::process::parent_id().to_string();
    if links("self")? == links(&parent)? {
        return Err(format!("network: {ROLE} belongs into a network namespace of its own"));
    }
    run(Command::new("sh").args(["-c", FURNISH]))?;
    // A module that hosts load for iptables has bridges ask the IP hooks, too: a plain bridge is then 7 % slower than a veth pair.
    for family in ["iptables", "ip6tables", "arptables"] {
        let switch = format!("/proc/sys/net/bridge/bridge-nf-call-{family}");
        if std::path::Path::new(&switch).exists() {
            std::fs::write(&switch, "0").map_err(|error| format!("{switch}: {error}"))?;
        }
    }
    Ok(())
}
