//! `network create`

use conex_network::{Driver, Error, Network, NetworkName, NewNetwork, routes_of_the_host};

use crate::events::Event;
use crate::network::Place;
use crate::rootless::is_rootless;
use crate::{Engine, Result};

/// Of one of ours.
pub(super) fn network_event(action: &str, network: &Network) -> Event {
    Place::Own(network.clone()).named().event(action)
}

impl Engine {
    /// Makes a network; its device is made when the first container starts on it.
    ///
    /// # Errors
    /// A name that is taken, subnets that overlap with another network or a route of the host's.
    pub fn network_create(&self, name: &NetworkName, asked: &NewNetwork) -> Result<Network> {
        if is_rootless() && !matches!(asked.driver, Driver::Bridge(_)) {
            return Err(crate::Error::RootDriver { driver: asked.driver.as_str() });
        }
        // What it is called by would mean another one from now on.
        if let Some(list) = self.parts.store.cni().lists().0.into_iter().find(|list| list.name == *name) {
            let what = "there can be no other of the name";
            return Err(Error::Foreign { name: name.to_string(), path: list.file, what }.into());
        }
        let network = self.parts.networks().create(name, asked, &routes_of_the_host()?)?;
        self.event(&network_event("create", &network));
        Ok(network)
    }
}
