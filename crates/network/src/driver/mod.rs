//! Drivers: a network's device on the host, and a container's device on it. One file a driver, with its options; what all of them can is
//! said here ([`Driver`], [`Network::raise`], [`Network::lower`]) and by [`Wire`], which connects containers.
//!
//! | driver | on the host | in a container | packet filter |
//! |---|---|---|---|
//! | bridge | a switch with the gateways' addresses | an end of a cable to it | yes |
//! | overlay | the same, and a tunnel to other hosts as one of its ports | the same | yes |
//! | macvlan, ipvlan | a device that is there (the parent), or a dummy | a device on top of that | no: nothing passes the host |

mod bridge;
mod host;
mod ipvlan;
mod lan;
mod macvlan;
mod options;
mod overlay;
mod wire;

use std::net::IpAddr;

use conex_netlink::Route;
use serde::{Deserialize, Serialize};

pub use self::bridge::Bridge;
pub use self::host::routes_of_the_host;
pub use self::ipvlan::{Ipvlan, IpvlanMode};
pub use self::lan::Lan;
pub use self::macvlan::{Macvlan, MacvlanMode};
pub use self::overlay::{Overlay, Peer};
pub use self::wire::Wire;
pub(crate) use self::wire::wait_until_running;
use crate::definition::{DefinitionError, Network, NewNetwork, Subnet};
use crate::endpoint::Endpoint;
use crate::error::shown;
use crate::{Error, Result};

/// Which kind of network it is, with the options of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", content = "options", rename_all = "lowercase")]
pub enum Driver {
    /// A switch on this host.
    Bridge(Bridge),
    /// Devices of their own MAC addresses on one of the host's.
    Macvlan(Macvlan),
    /// Devices of their own IP addresses on one of the host's.
    Ipvlan(Ipvlan),
    /// A switch on each of several hosts, joined by tunnels.
    Overlay(Overlay),
}

impl Default for Driver {
    fn default() -> Self {
        Self::Bridge(Bridge::default())
    }
}

impl Driver {
    /// As it is written.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Bridge(_) => "bridge",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(_) => "ipvlan",
            Self::Overlay(_) => "overlay",
        }
    }

    /// Takes `NAME=VALUE`.
    ///
    /// # Errors
    /// [`DefinitionError::Option`], with the names that the driver knows; [`DefinitionError::OptionValue`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match self {
            Self::Bridge(bridge) => bridge.set(name, value),
            Self::Macvlan(macvlan) => macvlan.set(name, value),
            Self::Ipvlan(ipvlan) => ipvlan.set(name, value),
            Self::Overlay(overlay) => overlay.set(name, value),
        }
    }

    /// What it was told, by our names of the options.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Bridge(bridge) => bridge.options(),
            Self::Macvlan(macvlan) => macvlan.options(),
            Self::Ipvlan(ipvlan) => ipvlan.options(),
            Self::Overlay(overlay) => overlay.options(),
        }
    }

    /// The switch on this host that containers are plugged into. A network that has one takes part in the packet filter, and its
    /// containers' ports can be published.
    pub fn switch(&self) -> Option<&Bridge> {
        match self {
            Self::Bridge(bridge) => Some(bridge),
            Self::Overlay(overlay) => Some(&overlay.switch),
            Self::Macvlan(_) | Self::Ipvlan(_) => None,
        }
    }

    /// The tunnel to other hosts.
    pub fn overlay(&self) -> Option<&Overlay> {
        match self {
            Self::Overlay(overlay) => Some(overlay),
            _ => None,
        }
    }

    /// The device of the host's that containers' devices are on.
    fn lan(&self) -> Option<&Lan> {
        match self {
            Self::Macvlan(macvlan) => Some(&macvlan.lan),
            Self::Ipvlan(ipvlan) => Some(&ipvlan.lan),
            Self::Bridge(_) | Self::Overlay(_) => None,
        }
    }

    /// Whether containers' devices have MAC addresses of their own.
    fn has_own_macs(&self) -> bool {
        !matches!(self, Self::Ipvlan(_)) && !self.is_for_one()
    }

    /// Whether one container has it alone.
    pub(crate) fn is_for_one(&self) -> bool {
        matches!(self, Self::Macvlan(Macvlan { mode: MacvlanMode::Passthru, .. }))
    }

    /// Whether it leads nowhere, whatever is asked for.
    pub(crate) fn is_apart(&self) -> bool {
        self.lan().is_some_and(|lan| lan.parent.is_none())
    }

    /// The name of the device on the host that was asked for.
    pub(crate) fn device(&self) -> Option<&str> {
        match self.lan() {
            Some(lan) => lan.parent.as_deref(),
            None => self.switch().and_then(|bridge| bridge.device.as_deref()),
        }
    }

    /// Whether its subnets may be those of the host's routes: they are the same network.
    pub(crate) fn shares_subnets_with_the_host(&self) -> bool {
        self.lan().is_some()
    }
}

/// Whether this host can have such a network, and what subnets it has when none were asked for but there is only one choice.
///
/// # Errors
/// [`Error::NoKind`], [`Error::Parent`], [`DefinitionError::NeedsSubnet`].
pub(crate) fn survey(asked: &NewNetwork) -> Result<Vec<Subnet>> {
    let is_the_parents =
        asked.subnets.is_empty() && asked.driver.lan().is_some_and(|lan| lan.parent.is_some());
    if !is_the_parents {
        asked.unplaced.finish()?;
    }
    match &asked.driver {
        Driver::Bridge(_) => Ok(asked.subnets.clone()),
        Driver::Overlay(overlay) => overlay.survey(asked),
        Driver::Macvlan(macvlan) => macvlan.lan.survey("macvlan", asked),
        Driver::Ipvlan(ipvlan) => ipvlan.lan.survey("ipvlan", asked),
    }
}

impl Network {
    /// Makes the network's devices on the host, or mends what is missing of them: devices, addresses, where the tunnel leads, what the
    /// kernel must allow.
    ///
    /// # Errors
    /// [`Error::Kernel`], [`Error::File`], [`Error::Parent`], [`Error::NoKind`], and of an overlay [`Error::Peers`], [`Error::Secret`],
    /// [`Error::NoEsp`], [`Error::PortShared`].
    pub fn raise(&self, route: &mut Route) -> Result<()> {
        match &self.driver {
            Driver::Bridge(bridge) => bridge.raise(self, bridge.mtu, route).map(drop),
            Driver::Overlay(overlay) => overlay.raise(self, route).map(drop),
            Driver::Macvlan(Macvlan { lan, .. }) | Driver::Ipvlan(Ipvlan { lan, .. }) => {
                lan.raise(self, route).map(drop)
            }
        }
    }

    /// Takes the network's devices away, with all that hangs on them, but for one that was there before; nothing there is success.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn lower(&self, route: &mut Route) -> Result<()> {
        if let Driver::Overlay(_) = &self.driver {
            self.take_away(&self.tunnel_device(), route)?;
        }
        match self.driver.lan() {
            Some(Lan { parent: Some(_), .. }) => {}
            _ => self.take_away(&self.device, route)?,
        }
        match &self.driver {
            Driver::Overlay(overlay) => overlay.lower(self),
            _ => Ok(()),
        }
    }

    fn take_away(&self, device: &str, route: &mut Route) -> Result<()> {
        route.delete_named(device).map_err(Error::kernel(self.name.as_str()))
    }

    /// The MAC address of a container's device whose first address is that: the one that it wants, or one that is made of the address;
    /// where all have the parent's, that.
    ///
    /// # Errors
    /// [`Error::OneMac`] where none can be wanted, [`Error::Parent`].
    pub fn mac_for(&self, wanted: Option<[u8; 6]>, address: IpAddr) -> Result<[u8; 6]> {
        match self.driver.lan() {
            Some(lan) if !self.driver.has_own_macs() => match wanted {
                Some(_) => Err(Error::OneMac { name: self.name.to_string(), driver: self.driver.as_str() }),
                None => {
                    let mut route = Route::open().map_err(Error::kernel(self.name.as_str()))?;
                    Ok(lan.raise(self, &mut route)?.mac.unwrap_or_default())
                }
            },
            _ => Ok(wanted.unwrap_or_else(|| Endpoint::mac_of(address))),
        }
    }

    /// Who leads on from this network, one for each family; nobody where every address is a neighbour's.
    pub fn gateways(&self) -> Vec<IpAddr> {
        match &self.driver {
            Driver::Ipvlan(Ipvlan { mode: IpvlanMode::L3 | IpvlanMode::L3s, .. }) => Vec::new(),
            _ => self.subnets.iter().map(|subnet| subnet.gateway).collect(),
        }
    }

    /// Why two networks cannot be on one host, if they cannot.
    pub(crate) fn conflict(&self, other: &Self) -> Option<String> {
        let (one, two) = (self.driver.overlay()?, other.driver.overlay()?);
        one.conflict(&self.name, two, &other.name)
    }

    /// Addresses that containers cannot have, because the host has them on the same network.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub(crate) fn addresses_of_the_host(&self) -> Result<Vec<IpAddr>> {
        match self.driver.lan() {
            Some(_) => lan::addresses_of_the_host(self),
            None => Ok(Vec::new()),
        }
    }
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Driver {
    type Err = DefinitionError;

    /// With no options set.
    fn from_str(text: &str) -> Result<Self, DefinitionError> {
        match text {
            "bridge" => Ok(Self::default()),
            "macvlan" => Ok(Self::Macvlan(Macvlan::default())),
            "ipvlan" => Ok(Self::Ipvlan(Ipvlan::default())),
            "overlay" => Ok(Self::Overlay(Overlay::default())),
            "cni" => Err(DefinitionError::Cni),
            _ => Err(DefinitionError::Driver { text: shown(text, 100) }),
        }
    }
}
