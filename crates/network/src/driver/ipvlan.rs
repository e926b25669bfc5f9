//! The ipvlan driver: containers have their own IP addresses, and the parent's MAC address, for networks that let each port have one.

use std::os::fd::BorrowedFd;

use conex_netlink::{Kind, Route};
use serde::{Deserialize, Serialize};

use super::lan::Lan;
use super::options::{refused, unknown};
use super::wire::Wire;
use crate::Result;
use crate::definition::DefinitionError;

/// What it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipvlan {
    /// On which device.
    #[serde(flatten)]
    pub lan: Lan,
    /// `mode`
    #[serde(default)]
    pub mode: IpvlanMode,
}

/// At which layer packets find their container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// Containers are on the parent's network, and ask it for addresses themselves.
    #[default]
    L2,
    /// The host routes; the network outside has to know the way. There is no gateway, and no broadcast.
    L3,
    /// The same, and the host's packet filter and connection tracking see it.
    L3s,
}

const MODES: [(&str, IpvlanMode); 3] =
    [("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)];

impl Ipvlan {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match name {
            // Docker's name, and Podman's.
            "ipvlan_mode" | "mode" => {
                let mode = MODES.iter().find(|(text, _)| *text == value);
                self.mode = mode.ok_or_else(|| refused("ipvlan_mode", value, "l2, l3 or l3s"))?.1;
            }
            _ if self.lan.take(name, value)? => {}
            _ => return Err(unknown("ipvlan", name, "parent, ipvlan_mode (or mode), mtu")),
        }
        Ok(())
    }

    pub(super) fn options(&self) -> Vec<(&'static str, String)> {
        let mode = MODES.iter().find(|(_, mode)| *mode == self.mode).map_or("", |(text, _)| *text);
        let mut options = self.lan.options();
        options.push(("ipvlan_mode", mode.to_owned()));
        options
    }

    pub(super) fn connect(
        &self,
        wire: &Wire<'_>,
        routes: (&mut Route, &mut Route),
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let mode = match self.mode {
            IpvlanMode::L2 => conex_netlink::IpvlanMode::L2,
            IpvlanMode::L3 => conex_netlink::IpvlanMode::L3,
            IpvlanMode::L3s => conex_netlink::IpvlanMode::L3s,
        };
        self.lan.connect(wire, None, |parent| Kind::Ipvlan { parent, mode }, routes, namespace)
    }
}
