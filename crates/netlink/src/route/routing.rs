//! Routes, of the main table.

use std::net::IpAddr;

use super::{AF_INET, AF_INET6, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, Route};
use crate::attributes::{address, attributes, octets, u32_of};
use crate::error::Result;
use crate::message::Message;
use crate::socket::NLM_F_CREATE;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const HEADER: usize = 12;

/// A route to be made or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRoute {
    /// Where to: an address and how many of its bits count. All zeros: everywhere.
    pub destination: (IpAddr, u8),
    /// Through whom; without, whoever is meant is on the link.
    pub gateway: Option<IpAddr>,
    /// By which device.
    pub index: u32,
    /// The smaller, the better.
    pub metric: Option<u32>,
}

/// A route that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to; `None`: everywhere.
    pub destination: Option<(IpAddr, u8)>,
    /// Through whom.
    pub gateway: Option<IpAddr>,
    /// By which device.
    pub index: Option<u32>,
    /// From which address.
    pub source: Option<IpAddr>,
    /// Whether it is for IPv6.
    pub is_v6: bool,
}

impl Route {
    /// Adds a route that precedes others to the same destination: of IPv4 those of its metric; of IPv6 it has to have a smaller one.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ENETUNREACH for a gateway that is not on the link, ENODEV.
    pub fn put_route(&mut self, route: &NewRoute) -> Result<()> {
        let message = request(RTM_NEWROUTE, NLM_F_CREATE, route);
        self.socket.request(&message, &|| format!("add the route to {}", shown(route)))
    }

    /// Removes a route.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ESRCH.
    pub fn delete_route(&mut self, route: &NewRoute) -> Result<()> {
        let message = request(RTM_DELROUTE, 0, route);
        self.socket.request(&message, &|| format!("remove the route to {}", shown(route)))
    }

    /// The main table's routes, of both families.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn routes(&mut self) -> Result<Vec<RouteEntry>> {
        let mut routes = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut fixed = [0; HEADER];
            fixed[0] = family;
            let message = Message::new(RTM_GETROUTE, 0, &fixed);
            for (kind, payload) in self.socket.dump(&message, &|| "list the routes".to_owned())? {
                if kind == RTM_NEWROUTE {
                    routes.extend(RouteEntry::read(&payload));
                }
            }
        }
        Ok(routes)
    }
}

fn shown(route: &NewRoute) -> String {
    let (destination, bits) = route.destination;
    match route.gateway {
        Some(gateway) => format!("{destination}/{bits} through {gateway}"),
        None => format!("{destination}/{bits}"),
    }
}

fn request(kind: u16, flags: u16, route: &NewRoute) -> Message {
    let (destination, bits) = route.destination;
    let scope =
        if route.gateway.is_some() || destination.is_ipv6() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
    // `struct rtmsg`
    let fixed =
        [super::family(destination), bits, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &fixed);
    if bits > 0 {
        message.put(RTA_DST, &octets(destination));
    }
    message.put_u32(RTA_OIF, route.index);
    if let Some(gateway) = route.gateway {
        message.put(RTA_GATEWAY, &octets(gateway));
    }
    if let Some(metric) = route.metric {
        message.put_u32(RTA_PRIORITY, metric);
    }
    message
}

impl RouteEntry {
    /// `None` for one that is not of the main table, or leads nowhere.
    fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.get(HEADER..)?;
        if payload[4] != RT_TABLE_MAIN || payload[7] != RTN_UNICAST {
            return None;
        }
        let mut entry = Self {
            destination: None,
            gateway: None,
            index: None,
            source: None,
            is_v6: payload[0] == AF_INET6,
        };
        for (kind, value) in attributes(rest) {
            match kind {
                RTA_DST => entry.destination = address(value).map(|address| (address, payload[1])),
                RTA_GATEWAY => entry.gateway = address(value),
                RTA_OIF => entry.index = Some(u32_of(value)),
                RTA_PREFSRC => entry.source = address(value),
                _ => {}
            }
        }
        Some(entry)
    }
}
