//! `linux.netDevices`: network devices of the host's, moved into the container's network namespace
//! (config-linux.md#network-devices, runtime-spec 1.3).
//!
//! Everything that can be is checked before a device moves; when a later step fails, those that moved go back, since a
//! virtual device would be destroyed with the container's namespace. Nothing goes back when the container ends: the kernel
//! does that with physical devices.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use conex_netlink::{Change, LastingAddress, Place, Route};
use conex_oci::runtime::{NamespaceKind, NetDevice};
use conex_sys::namespace::in_network;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Error;
use crate::plan::Plan;

/// Names that the kernel would refuse (`dev_valid_name`), told before anything is made.
pub(crate) fn check(devices: &BTreeMap<String, NetDevice>) -> Result<(), Error> {
    for (host, device) in devices {
        let name = wanted(host, device);
        for (name, template) in [(host.as_str(), false), (name, true)] {
            if !valid(name, template) {
                let what = format!("linux.netDevices.{host}: {name:?} is no name of a network device");
                return Err(Error::Spec { what });
            }
        }
    }
    Ok(())
}

fn valid(name: &str, template: bool) -> bool {
    let plain = if template { name.replacen("%d", "0", 1) } else { name.to_owned() };
    (1..16).contains(&name.len())
        && !matches!(name, "." | "..")
        && !plain.chars().any(|c| matches!(c, '/' | ':' | '%' | '\0') || c.is_whitespace())
}

fn wanted<'a>(host: &'a str, device: &'a NetDevice) -> &'a str {
    device.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(host)
}

/// Moves the spec's devices into the network namespace of the process `pid`, or the one it is about to join. The caller has
/// one thread.
pub(crate) fn apply(plan: &Plan<'_>, pid: u32) -> Result<(), Error> {
    let devices = &plan.linux.net_devices;
    if devices.is_empty() {
        return Ok(());
    }
    let namespace = match plan.namespaces.joins(NamespaceKind::Network) {
        Some(joined) => {
            joined.fd.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
        None => open(&format!("/proc/{pid}/ns/net")),
    };
    let mut container = namespace
        .and_then(Side::of)
        .map_err(|error| failed("look into the container's network namespace", error))?;
    let mut host = open("/proc/self/ns/net")
        .and_then(Side::of)
        .map_err(|error| failed("look at the host's network devices", error))?;
    let mut moved: Vec<(&str, Device)> = Vec::new();
    for (name, device) in devices {
        let step = host
            .device(name)
            .map_err(|error| (error, "find it on the host"))
            .and_then(|found| container.receive(&mut host, found, wanted(name, device)));
        match step {
            Ok(found) => moved.push((name, found)),
            Err((error, what)) => {
                for (name, device) in moved.into_iter().rev() {
                    // The first failure is the one to tell.
                    let _ = host.receive(&mut container, device, name);
                }
                return Err(failed(
                    &format!("move the network device {name} into the container ({what})"),
                    error,
                ));
            }
        }
    }
    Ok(())
}

fn open(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn failed(what: &str, error: Errno) -> Error {
    Error::Init { what: what.to_owned(), errno: error }
}

/// The kernel's error; EIO where its answer is none.
fn errno(error: &conex_netlink::Error) -> Errno {
    error.errno().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// A network namespace, with a socket in it.
struct Side {
    namespace: OwnedFd,
    route: Route,
}

/// A device and its "permanent IP addresses of any family with global scope".
struct Device {
    index: u32,
    addresses: Vec<LastingAddress>,
}

impl Side {
    fn of(namespace: OwnedFd) -> Result<Self, Errno> {
        // And not by a thread, which the runtime, without a C library, has none of.
        let opened = in_network(namespace.as_fd(), Route::open)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let route = opened.map_err(|error| errno(&error))?;
        Ok(Self { namespace, route })
    }

    fn names(&mut self) -> Result<BTreeMap<String, u32>, Errno> {
        let links = self.route.links().map_err(|error| errno(&error))?;
        Ok(links.into_iter().map(|link| (link.name, link.index)).collect())
    }

    fn device(&mut self, name: &str) -> Result<Device, Errno> {
        let index = *self.names()?.get(name).ok_or(Errno::NODEV)?;
        let addresses = self.route.lasting_addresses(index).map_err(|error| errno(&error))?;
        Ok(Device { index, addresses })
    }

    /// Takes `device` over from `other`, as `name`, with its addresses, and sets it up.
    fn receive(
        &mut self,
        other: &mut Self,
        device: Device,
        name: &str,
    ) -> Result<Device, (Errno, &'static str)> {
        let look = |error| (error, "list the devices there");
        let failed = |what| move |error: conex_netlink::Error| (errno(&error), what);
        let before = self.names().map_err(look)?;
        if before.contains_key(name) {
            return Err((Errno::EXIST, "there is one of that name already"));
        }
        // Down, moved and renamed in one call, so that nobody sees it half moved.
        let place = Some(Place::Namespace(self.namespace.as_fd()));
        let change = Change { up: Some(false), place, name: Some(name), ..Change::default() };
        other.route.change_link(device.index, &change).map_err(failed("hand it over"))?;
        let after = self.names().map_err(look)?;
        let arrived = after.into_iter().find(|(name, _)| !before.contains_key(name));
        let index = arrived.ok_or((Errno::NODEV, "find it there"))?.1;
        for address in &device.addresses {
            match self.route.restore_address(index, address) {
                Err(error) if !error.is_there() => return Err(failed("give it its addresses")(error)),
                _ => {}
            }
        }
        self.route.set_up(index).map_err(failed("set it up"))?;
        Ok(Device { index, addresses: device.addresses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |host: &str, name: Option<&str>| {
            let device = NetDevice { name: name.map(str::to_owned) };
            check(&BTreeMap::from([(host.to_owned(), device)])).is_ok()
        };
        assert!(check("eth0", None) && check("eth0", Some("eth%d")) && check("eth0.1", Some("")));
        for bad in ["", "..", "a/b", "a b", "a:b", "sixteen-letters!", "eth%d%d", "%s"] {
            assert!(!check("eth0", Some(bad)) || bad.is_empty(), "{bad}");
        }
        assert!(!check("eth%d", None));
    }
}
