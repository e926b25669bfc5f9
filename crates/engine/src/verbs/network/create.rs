//! `network create`

use conex_network::{Driver, Network, NetworkName, NewNetwork, routes_of_the_host};

use crate::rootless::is_rootless;
use crate::{Engine, Error, Result};

impl Engine {
    /// Makes a network; its device is made when the first container starts on it.
    ///
    /// # Errors
    /// A name that is taken, subnets that overlap with another network or a route of the host's.
    pub fn network_create(&self, name: &NetworkName, asked: &NewNetwork) -> Result<Network> {
        if is_rootless() && !matches!(asked.driver, Driver::Bridge(_)) {
            return Err(Error::RootDriver { driver: asked.driver.as_str() });
        }
        Ok(self.parts.networks().create(name, asked, &routes_of_the_host()?)?)
    }
}
