//! The bridge driver: a switch on the host with the gateways' addresses, and a cable to it for each container.

use conex_netlink::{Change, Kind, LinkDetails, NewLink, Route};

use super::host::set;
use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::{Error, Result};

impl Network {
    /// Makes the network's device, or mends what is missing of it: the device, its addresses, what the kernel must allow. Its number.
    ///
    /// # Errors
    /// [`Error::Kernel`], [`Error::File`].
    pub fn raise(&self, route: &mut Route) -> Result<u32> {
        let kernel = Error::kernel(self.name.as_str());
        let found = match route.link(&self.device).map_err(&kernel)? {
            Some(link) => link,
            None => {
                let mac = self.subnets.first().map(|subnet| Endpoint::mac_of(subnet.gateway));
                let alias = format!("conex network {}", self.name);
                let new = NewLink {
                    mac,
                    mtu: self.options.mtu,
                    alias: Some(&alias),
                    ..NewLink::new(&self.device, Kind::Bridge)
                };
                match route.create_link(&new) {
                    Err(error) if !error.is_there() => return Err(kernel(error)),
                    // Somebody else is at it.
                    _ => {}
                }
                let made = route.link(&self.device).map_err(&kernel)?;
                made.ok_or_else(|| Error::NotFound { name: self.device.clone() })?
            }
        };
        if found.details != LinkDetails::Other("bridge".to_owned()) {
            return Err(Error::Overlap {
                subnet: self.subnets[0].subnet,
                with: format!("the device {}, which is no bridge", self.device),
            });
        }
        for subnet in &self.subnets {
            match route.add_address(found.index, subnet.gateway, subnet.subnet.prefix_len()) {
                Err(error) if !error.is_there() => return Err(kernel(error)),
                _ => {}
            }
        }
        if self.has_v6()
            && let Some(mac) = found.mac
        {
            let bare = Change { bare: true, ..Change::default() };
            route.change_link(found.index, &bare).map_err(&kernel)?;
            match route.add_address(found.index, Endpoint::link_local_of(mac).into(), 64) {
                Err(error) if !error.is_there() => return Err(kernel(error)),
                _ => {}
            }
        }
        self.allow()?;
        route.set_up(found.index).map_err(&kernel)?;
        Ok(found.index)
    }

    fn allow(&self) -> Result<()> {
        let device = &self.device;
        // So that ports published on loopback lead to it: what comes from the bridge for loopback is dropped by the filter.
        set(&format!("net/ipv4/conf/{device}/route_localnet"), "1")?;
        set(&format!("net/ipv6/conf/{device}/accept_ra"), "0")?;
        if !self.has_v6() {
            set(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1")?;
        }
        if self.internal {
            return Ok(());
        }
        set("net/ipv4/ip_forward", "1")?;
        if self.has_v6() {
            set("net/ipv6/conf/all/forwarding", "1")?;
        }
        Ok(())
    }

    /// Takes the device away, with all that hangs on it; nothing there is success.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn lower(&self, route: &mut Route) -> Result<()> {
        let kernel = Error::kernel(self.name.as_str());
        match route.link(&self.device).map_err(&kernel)? {
            Some(link) => match route.delete_link(link.index) {
                Err(error) if !error.is_gone() => Err(kernel(error)),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}
