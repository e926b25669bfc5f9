//! What a spec reads of the machine.

use std::io;
use std::path::{Path, PathBuf};

/// The machine, as far as a spec depends on it.
pub trait Host {
    /// The device at a path, symbolic links followed; a directory gives all devices below it.
    fn devices(&self, path: &Path) -> io::Result<Vec<HostDevice>>;
    /// Every device below /dev, for `--privileged`.
    fn all_devices(&self) -> io::Result<Vec<HostDevice>>;
    /// Whether a path exists, symbolic links followed.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// How the mount that holds a path passes mounts on.
    fn propagation(&self, path: &Path) -> io::Result<HostPropagation>;
    /// /sys/devices/system/cpu/cpu*/thermal_throttle, those that exist.
    fn thermal_throttle(&self) -> Vec<PathBuf>;
    /// A small text file of the host's; `None` when there is none.
    fn read(&self, path: &Path) -> io::Result<Option<String>>;
    /// The names of the capabilities in the caller's bounding set, in the kernel's order.
    fn bounding(&self) -> Vec<&'static str>;
    /// The names of all capabilities that the kernel has: those of root in a new user namespace.
    fn kernel_capabilities(&self) -> Vec<&'static str>;
    /// The caller's hard limit by [`Ulimit`](crate::options::Ulimit)'s name; `None` is unlimited.
    fn hard_limit(&self, name: &str) -> Option<u64>;
    /// How many processors the caller may use.
    fn processors(&self) -> u64;
    /// Whether memory plus swap can be limited.
    fn swap_limit(&self) -> bool;
    /// The caller's oom_score_adj, -1000 to 1000.
    fn oom_score_adj(&self) -> i32;
    /// The last group id of those that the caller's user namespace maps without a gap from 0 on.
    fn last_group(&self) -> u32;
    /// Whether AppArmor is in force.
    fn apparmor(&self) -> bool;
    /// Whether SELinux is in force.
    fn selinux(&self) -> bool;
    /// This machine's host name.
    fn hostname(&self) -> String;
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Where it is, links not followed.
    pub path: PathBuf,
    /// `c` or `b`
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Of a mount of the host's: mount_namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostPropagation {
    /// It is in a peer group.
    pub shared: bool,
    /// It receives from one.
    pub slave: bool,
}
