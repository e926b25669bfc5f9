//! `linux.netDevices`: network devices of the host's, moved into the container's network namespace
//! (config-linux.md#network-devices, runtime-spec 1.3).
//!
//! Everything that can be is checked before a device moves; when a later step fails, those that moved go back, since a
//! virtual device would be destroyed with the container's namespace. Nothing goes back when the container ends: the kernel
//! does that with physical devices.

mod netlink;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use conex_oci::runtime::{NamespaceKind, NetDevice};
use conex_sys::namespace;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Error;
use crate::namespaces::flag;
use crate::plan::Plan;
use netlink::{IFLA_IFNAME, IFLA_NET_NS_FD, Message, Socket, attributes, word};

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
        Some(joined) => joined.fd.try_clone(),
        None => open(&format!("/proc/{pid}/ns/net")),
    };
    let container = namespace
        .and_then(Side::of)
        .map_err(|error| failed("look into the container's network namespace", &error))?;
    let host =
        open(OWN).and_then(Side::of).map_err(|error| failed("look at the host's network devices", &error))?;
    let mut moved: Vec<(&str, Device)> = Vec::new();
    for (name, device) in devices {
        let step = host
            .device(name)
            .map_err(|error| (error, "find it on the host"))
            .and_then(|found| container.receive(&host, found, wanted(name, device)));
        match step {
            Ok(found) => moved.push((name, found)),
            Err((error, what)) => {
                for (name, device) in moved.into_iter().rev() {
                    // The first failure is the one to tell.
                    let _ = host.receive(&container, device, name);
                }
                return Err(failed(
                    &format!("move the network device {name} into the container ({what})"),
                    &error,
                ));
            }
        }
    }
    Ok(())
}

const OWN: &str = "/proc/self/ns/net";

fn open(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::Init { what: what.to_owned(), errno: Errno::from_io_error(error).unwrap_or(Errno::IO) }
}

/// A network namespace, with a socket in it.
struct Side {
    namespace: OwnedFd,
    socket: Socket,
}

/// A device and those addresses that belong to it wherever it is.
struct Device {
    index: u32,
    addresses: Vec<Address>,
}

/// "permanent IP addresses of any family with global scope"
struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Side {
    fn of(namespace: OwnedFd) -> io::Result<Self> {
        let own = open(OWN)?;
        let kind = flag(NamespaceKind::Network);
        // A socket belongs for good to the namespace it was made in.
        namespace::join(namespace.as_fd(), kind)?;
        let socket = Socket::open();
        namespace::join(own.as_fd(), kind)?;
        Ok(Self { namespace, socket: socket? })
    }

    fn names(&self) -> io::Result<BTreeMap<String, u32>> {
        let mut names = BTreeMap::new();
        self.socket.dump(netlink::RTM_GETLINK, &Message::link(0, None), |kind, payload| {
            let Some(rest) = payload.get(16..).filter(|_| kind == netlink::RTM_NEWLINK) else { return };
            if let Some((_, name)) = attributes(rest).find(|(kind, _)| *kind == IFLA_IFNAME) {
                let name = name.strip_suffix(&[0]).unwrap_or(name);
                names.insert(String::from_utf8_lossy(name).into_owned(), word(payload, 4));
            }
        })?;
        Ok(names)
    }

    fn device(&self, name: &str) -> io::Result<Device> {
        /// `<linux/if_addr.h>`
        const IFA_ADDRESS: u16 = 1;
        const IFA_LOCAL: u16 = 2;
        const IFA_BROADCAST: u16 = 4;
        const IFA_FLAGS: u16 = 8;
        const IFA_RT_PRIORITY: u16 = 9;
        const IFA_F_PERMANENT: u32 = 0x80;
        const RT_SCOPE_UNIVERSE: u8 = 0;
        let index = *self.names()?.get(name).ok_or(Errno::NODEV)?;
        let mut addresses = Vec::new();
        self.socket.dump(netlink::RTM_GETADDR, &Message::address(0, 0, 0, 0), |kind, payload| {
            let (Some(rest), netlink::RTM_NEWADDR) = (payload.get(8..), kind) else { return };
            let (family, prefix, scope) = (payload[0], payload[1], payload[3]);
            let wide = attributes(rest).find(|(kind, _)| *kind == IFA_FLAGS);
            let flags = wide.map_or(u32::from(payload[2]), |(_, flags)| word(flags, 0));
            if word(payload, 4) != index || scope != RT_SCOPE_UNIVERSE || flags & IFA_F_PERMANENT == 0 {
                return;
            }
            // Not its label, which is the device's name, and not the state of its duplicate detection.
            let kept =
                |kind: &u16| matches!(*kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_RT_PRIORITY);
            let attributes =
                attributes(rest).filter(|(kind, _)| kept(kind)).map(|(kind, value)| (kind, value.to_vec()));
            addresses.push(Address { family, prefix, attributes: attributes.collect() });
        })?;
        Ok(Device { index, addresses })
    }

    /// Takes `device` over from `other`, as `name`, with its addresses, and sets it up.
    fn receive(&self, other: &Self, device: Device, name: &str) -> Result<Device, (io::Error, &'static str)> {
        let look = |error| (error, "list the devices there");
        let before = self.names().map_err(look)?;
        if before.contains_key(name) {
            return Err((Errno::EXIST.into(), "there is one of that name already"));
        }
        // Down, moved and renamed in one call, so that nobody sees it half moved.
        let fd = self.namespace.as_raw_fd().to_ne_bytes();
        let request = Message::link(device.index, Some(false))
            .attribute(IFLA_NET_NS_FD, &fd)
            .attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        let step = other.socket.request(netlink::RTM_NEWLINK, &request);
        step.map_err(|error| (error, "hand it over"))?;
        let after = self.names().map_err(look)?;
        let arrived = after.into_iter().find(|(name, _)| !before.contains_key(name));
        let index = arrived.ok_or((Errno::NODEV.into(), "find it there"))?.1;
        for address in &device.addresses {
            let request = Message::address(address.family, address.prefix, 0, index);
            let request = address
                .attributes
                .iter()
                .fold(request, |request, (kind, value)| request.attribute(*kind, value));
            match self.socket.create(netlink::RTM_NEWADDR, &request) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err((error, "give it its addresses"));
                }
                _ => {}
            }
        }
        let up = self.socket.request(netlink::RTM_NEWLINK, &Message::link(index, Some(true)));
        up.map_err(|error| (error, "set it up"))?;
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
