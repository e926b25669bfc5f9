//! A file system mounted with fsopen(2), fsconfig(2) and fsmount(2); what the file system says about a failure is passed on.

use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;

use conex_sys::mount::Attributes;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use crate::{Error, FileSystem, Result};

/// Mounts it, detached: it lives as long as the descriptor, or as what it is moved into.
///
/// # Errors
/// [`Error::NoFileSystem`], [`Error::Mount`].
pub fn new(system: &FileSystem) -> Result<OwnedFd> {
    let context = match fsopen(system.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(context) => context,
        Err(Errno::NODEV) => return Err(Error::NoFileSystem { kind: system.kind.clone() }),
        Err(errno) => return Err(failed(system, errno.to_string())),
    };
    let said = |errno| failed(system, with_log(&context, errno));
    fsconfig_set_string(&context, "source", system.device.as_str()).map_err(said)?;
    if system.attributes.contains(Attributes::RDONLY) {
        fsconfig_set_flag(&context, "ro").map_err(said)?;
    }
    for (key, value) in &system.options {
        let resolved = value.as_ref().filter(|_| key == "addr").map(|value| address(value));
        let value = &resolved.or_else(|| value.clone());
        let set = match value {
            Some(value) => fsconfig_set_string(&context, key.as_str(), value.as_str()),
            None => fsconfig_set_flag(&context, key.as_str()),
        };
        set.map_err(|errno| {
            let option = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
            failed(system, format!("option {option}: {}", with_log(&context, errno)))
        })?;
    }
    fsconfig_create(&context).map_err(said)?;
    let flags =
        u32::try_from(system.attributes.0).map_or(MountAttrFlags::empty(), MountAttrFlags::from_bits_retain);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(said)
}

/// A network file system's server, which the kernel wants by its number.
fn address(server: &str) -> String {
    if server.parse::<IpAddr>().is_ok() {
        return server.to_owned();
    }
    let found = (server, 0).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.map_or_else(|| server.to_owned(), |found| found.ip().to_string())
}

fn failed(system: &FileSystem, why: String) -> Error {
    Error::Mount { kind: system.kind.clone(), device: system.device.clone(), why }
}

/// The error, with what the file system has written about it (`fs_context`'s log).
pub fn with_log(context: &OwnedFd, errno: Errno) -> String {
    let mut text = errno.to_string();
    let mut line = [0; 512];
    for _ in 0..8 {
        let Ok(length) = rustix::io::read(context, &mut line) else { break };
        // `e `, `w ` or `i ` in front.
        let said = String::from_utf8_lossy(&line[..length]);
        if let Some(said) = said.strip_prefix("e ") {
            text = format!("{text}: {}", said.trim_end());
        }
    }
    text
}
