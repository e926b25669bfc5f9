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
    /// /sys/devices/system/cpu/cpu*/thermal_throttle, those that exist.
    fn thermal_throttle(&self) -> Vec<PathBuf>;
    /// /etc/resolv.conf; empty when there is none.
    fn resolv_conf(&self) -> io::Result<String>;
    /// The names of the capabilities in the caller's bounding set, in the kernel's order.
    fn capabilities(&self) -> Vec<&'static str>;
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

/// The machine this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LiveHost;

impl Host for LiveHost {
    fn devices(&self, _path: &Path) -> io::Result<Vec<HostDevice>> {
        todo!()
    }
    fn all_devices(&self) -> io::Result<Vec<HostDevice>> {
        todo!()
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }
    fn thermal_throttle(&self) -> Vec<PathBuf> {
        todo!()
    }
    fn resolv_conf(&self) -> io::Result<String> {
        todo!()
    }
    fn capabilities(&self) -> Vec<&'static str> {
        todo!()
    }
    fn apparmor(&self) -> bool {
        todo!()
    }
    fn selinux(&self) -> bool {
        todo!()
    }
    fn hostname(&self) -> String {
        todo!()
    }
}
