//! `network create`

use conex_network::{Network, NetworkName, NewNetwork, routes_of_the_host};

use crate::{Engine, Result};

impl Engine {
    /// Makes a network; its device is made when the first container starts on it.
    ///
    /// # Errors
    /// A name that is taken, subnets that overlap with another network or a route of the host's.
    pub fn network_create(&self, name: &NetworkName, asked: &NewNetwork) -> Result<Network> {
        Ok(self.parts.networks().create(name, asked, &routes_of_the_host()?)?)
    }
}
