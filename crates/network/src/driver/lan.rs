//! What macvlan and ipvlan have in common: containers' devices are on one of the host's, the parent, and their addresses are of the
//! network that the parent is on. The gateway is somebody's there; nothing of this host's is in the way of a packet, neither its packet
//! filter nor the host itself, which such a container does not reach.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use conex_netlink::{Change, Kind, Link, NewLink, Place, Route};
use ipnet::IpNet;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Driver;
use super::options::{device_name, mtu};
use super::wire::{Wire, wait_until_running};
use crate::definition::{DefinitionError, Network, NewNetwork, Subnet};
use crate::{Error, Result};

/// How long it is waited for the device of a container that has ended, whose namespace the kernel takes down a moment later: a restart
/// wants the same addresses.
const GOING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

/// Where the devices are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lan {
    /// `parent`: the device of the host's; without, a dummy of the network's own, which leads nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `mtu`: bytes of a frame's content; the parent's without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl Lan {
    /// False for a name that it does not know.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, DefinitionError> {
        match name {
            "parent" => self.parent = Some(device_name("parent", value)?),
            "mtu" | "com.docker.network.driver.mtu" => self.mtu = Some(mtu(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn options(&self) -> Vec<(&'static str, String)> {
        let parent = self.parent.clone().map(|parent| ("parent", parent));
        parent.into_iter().chain(self.mtu.map(|mtu| ("mtu", mtu.to_string()))).collect()
    }

    /// The subnets that were asked for, or the parent's.
    pub(super) fn survey(&self, driver: &'static str, asked: &NewNetwork) -> Result<Vec<Subnet>> {
        let kernel = Error::kernel(driver);
        let mut route = Route::open().map_err(&kernel)?;
        if !route.has_kind(driver).map_err(&kernel)? {
            return Err(Error::NoKind { driver, kind: driver, hint: "" });
        }
        let Some(parent) = &self.parent else {
            return match route.has_kind("dummy").map_err(&kernel)? {
                true => Ok(asked.subnets.clone()),
                false => Err(Error::NoKind {
                    driver,
                    kind: "dummy",
                    hint: "; give one of the host's by -o parent=",
                }),
            };
        };
        let link = route.link(parent).map_err(&kernel)?;
        let link = link.ok_or_else(|| Error::Parent { parent: parent.clone(), why: "is not there" })?;
        if !asked.subnets.is_empty() {
            return Ok(asked.subnets.clone());
        }
        let (mut subnets, mut unplaced) = (Vec::new(), asked.unplaced.clone());
        for v4 in [true, false] {
            if (v4 || asked.v6)
                && let Some((net, gateway)) = subnet_of(&mut route, &link, v4)?
            {
                subnets.push(unplaced.place(net, gateway)?);
            }
        }
        unplaced.finish()?;
        match subnets.first() {
            Some(first) if first.subnet.addr().is_ipv4() => Ok(subnets),
            _ => Err(Error::Parent {
                parent: parent.clone(),
                why: "has no IPv4 address: give the network's subnet by --subnet",
            }),
        }
    }

    /// The parent, which must be there, or the network's dummy, made where it is missing.
    pub(super) fn raise(&self, network: &Network, route: &mut Route) -> Result<Link> {
        let kernel = Error::kernel(network.name.as_str());
        let device = &network.device;
        let find = |route: &mut Route, why| {
            let found = route.link(device).map_err(&kernel)?;
            found.ok_or_else(|| Error::Parent { parent: device.clone(), why })
        };
        if self.parent.is_some() {
            let link = find(route, "is not there")?;
            return match link.is_up {
                true => Ok(link),
                false => Err(Error::Parent { parent: device.clone(), why: "is down" }),
            };
        }
        let alias = format!("conex network {}", network.name);
        let new =
            NewLink { mtu: self.mtu, up: true, alias: Some(&alias), ..NewLink::new(device, Kind::Dummy) };
        match route.create_link(&new) {
            Err(error) if error.is_unsupported() => {
                return Err(Error::NoKind { driver: network.driver.as_str(), kind: "dummy", hint: "" });
            }
            Err(error) if !error.is_there() => return Err(kernel(error)),
            _ => {}
        }
        let link = find(route, "is gone")?;
        route.set_up(link.index).map_err(&kernel)?;
        Ok(link)
    }

    /// A device on the parent, in the container's namespace at once: the kernel looks for the parent in the namespace that it is asked
    /// from.
    pub(super) fn connect(
        &self,
        wire: &Wire<'_>,
        mac: Option<[u8; 6]>,
        kind: impl Fn(u32) -> Kind<'static>,
        (host, container): (&mut Route, &mut Route),
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let (network, endpoint) = (wire.network, wire.endpoint);
        let kernel = Error::kernel(network.name.as_str());
        let parent = self.raise(network, host)?;
        let kind = kind(parent.index);
        let (driver, place) = (network.driver.as_str(), Place::Namespace(namespace));
        // Under a name that nobody has: before Linux 6.15 a name is refused that is taken here, though the device is for there.
        let name = &endpoint.host_device;
        let new = NewLink { mac, mtu: self.mtu, place, ..NewLink::new(name, kind) };
        let mut attempt = || {
            host.create_link(&new).map_err(|error| match error.is_unsupported() {
                true => Error::NoKind { driver, kind: driver, hint: "" },
                false => kernel(error),
            })?;
            let made = container.link(name).map_err(&kernel)?;
            let index = made.ok_or_else(|| Error::NotFound { name: name.clone() })?.index;
            let change = Change { name: Some(&endpoint.device), ..Change::default() };
            let named = container.change_link(index, &change).map_err(&kernel);
            let configured = named.and_then(|()| wire.configure(container));
            if configured.is_err() {
                let _ = container.delete_link(index);
            }
            configured
        };
        let began = Instant::now();
        loop {
            match attempt() {
                Err(error) if network.driver.is_taken(&error) && began.elapsed() < GOING => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        match parent.is_running {
            true => wait_until_running(container, &endpoint.device).map_err(&kernel),
            // Its cable is not in.
            false => Ok(()),
        }
    }
}

impl Driver {
    /// Whether a device that somebody else has may be the reason: of one MAC address (macvlan), or IP address (ipvlan), there is one
    /// on a parent, and beside one that has it alone there is none.
    fn is_taken(&self, error: &Error) -> bool {
        let Error::Kernel { source, .. } = error else { return false };
        let is = |errno: Errno| source.errno() == Some(errno.raw_os_error());
        is(Errno::BUSY) || is(Errno::ADDRINUSE) || self.is_for_one() && is(Errno::INVAL)
    }
}

/// The subnet that a device has an address of, and whom the host sends everything else to, if he is there.
fn subnet_of(route: &mut Route, link: &Link, v4: bool) -> Result<Option<(IpNet, Option<IpAddr>)>> {
    const EVERYWHERE: u8 = 0;
    let kernel = Error::kernel(&link.name);
    let addresses = route.addresses().map_err(&kernel)?;
    let own = addresses.iter().find(|address| {
        address.index == link.index && address.scope == EVERYWHERE && address.address.is_ipv4() == v4
    });
    let Some(net) = own.and_then(|own| IpNet::new(own.address, own.prefix).ok()) else { return Ok(None) };
    let net = net.trunc();
    let routes = route.routes().map_err(&kernel)?;
    let gateway = routes.iter().find_map(|entry| {
        let gateway = entry.gateway.filter(|gateway| net.contains(gateway))?;
        (entry.destination.is_none() && entry.index == Some(link.index)).then_some(gateway)
    });
    Ok(Some((net, gateway)))
}

pub(super) fn addresses_of_the_host(network: &Network) -> Result<Vec<IpAddr>> {
    let kernel = Error::kernel(network.name.as_str());
    let all = Route::open().and_then(|mut route| route.addresses()).map_err(kernel)?;
    let is_here = |address: &IpAddr| network.subnets.iter().any(|subnet| subnet.subnet.contains(address));
    Ok(all.into_iter().map(|address| address.address).filter(is_here).collect())
}
