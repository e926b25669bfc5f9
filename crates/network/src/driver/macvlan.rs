//! The macvlan driver: each container is a host of its own on the parent's network, with its own MAC address.

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
pub struct Macvlan {
    /// On which device.
    #[serde(flatten)]
    pub lan: Lan,
    /// `mode`
    #[serde(default)]
    pub mode: MacvlanMode,
}

/// How containers on one parent talk to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through the switch outside, if it sends frames back where they came from (802.1Qbg).
    Vepa,
    /// There is only one, and the parent is its own.
    Passthru,
}

const MODES: [(&str, MacvlanMode); 4] = [
    ("bridge", MacvlanMode::Bridge),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
    ("passthru", MacvlanMode::Passthru),
];

impl Macvlan {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match name {
            // Docker's name, and Podman's.
            "macvlan_mode" | "mode" => {
                let mode = MODES.iter().find(|(text, _)| *text == value);
                let takes = "bridge, private, vepa or passthru";
                self.mode = mode.ok_or_else(|| refused("macvlan_mode", value, takes))?.1;
            }
            _ if self.lan.take(name, value)? => {}
            _ => return Err(unknown("macvlan", name, "parent, macvlan_mode (or mode), mtu")),
        }
        Ok(())
    }

    pub(super) fn options(&self) -> Vec<(&'static str, String)> {
        let mode = MODES.iter().find(|(_, mode)| *mode == self.mode).map_or("", |(text, _)| *text);
        let mut options = self.lan.options();
        options.push(("macvlan_mode", mode.to_owned()));
        options
    }

    pub(super) fn connect(
        &self,
        wire: &Wire<'_>,
        routes: (&mut Route, &mut Route),
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let mode = match self.mode {
            MacvlanMode::Bridge => conex_netlink::MacvlanMode::Bridge,
            MacvlanMode::Private => conex_netlink::MacvlanMode::Private,
            MacvlanMode::Vepa => conex_netlink::MacvlanMode::Vepa,
            MacvlanMode::Passthru => conex_netlink::MacvlanMode::Passthru,
        };
        // That which has the parent alone has its MAC address, too; another one would become the parent's.
        let mac = (self.mode != MacvlanMode::Passthru).then_some(wire.endpoint.mac);
        self.lan.connect(wire, mac, |parent| Kind::Macvlan { parent, mode }, routes, namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let mut macvlan = Macvlan::default();
        for (name, value) in [("parent", "eth0"), ("mode", "vepa"), ("macvlan_mode", "private")] {
            macvlan.set(name, value).unwrap();
        }
        assert_eq!((macvlan.lan.parent.as_deref(), macvlan.mode), (Some("eth0"), MacvlanMode::Private));
        let error = macvlan.set("isolate", "true").unwrap_err().to_string();
        assert!(error.contains("unknown to the macvlan driver; there are parent, macvlan_mode"), "{error}");
        assert!(macvlan.set("mode", "source").is_err() && macvlan.set("parent", "a/b").is_err());
    }
}
