//! `network rm` and `network prune`

use conex_netlink::Route;
use conex_network::{Firewall, Network};

use super::NetworkFilter;
use crate::rootless::on_host;
use crate::{Engine, Result};

impl Engine {
    /// Removes a network that no running container is on, with its device and its part of the packet filter. The name as it was.
    ///
    /// # Errors
    /// [`conex_network::Error::InUse`], [`conex_network::Error::NotFound`], [`conex_network::Error::Predefined`].
    pub fn network_remove(&self, name: &str) -> Result<String> {
        let network = self.parts.networks().find(name)?;
        // What killed owners left is settled before it counts as use.
        for id in self.parts.store.ids()? {
            self.parts.store.state(&id)?;
        }
        self.remove_network(&network)?;
        Ok(network.name.to_string())
    }

    fn remove_network(&self, network: &Network) -> Result<()> {
        let (networks, store) = (self.parts.networks(), &self.parts.store);
        let holder = |id: &str| {
            let record = id.parse().ok().and_then(|id| store.record(&id).ok().flatten());
            record.map_or_else(|| id.chars().take(12).collect(), |record| record.name.to_string())
        };
        let undo = || {
            let _alone = networks.gate(true)?;
            network.lower(&mut Route::open().map_err(|source| conex_network::Error::Filter { source })?)?;
            let is_last = networks.list()?.iter().all(|other| other.id == network.id);
            Firewall::open()?.forget(network, is_last)
        };
        on_host(&self.parts.paths.run, || networks.remove(network, holder, undo).map_err(Into::into))
    }

    /// Removes all networks of the user's that no container is connected to; their names.
    ///
    /// # Errors
    /// When they cannot be read; one that cannot be removed is passed over.
    pub fn network_prune(&self, filter: &NetworkFilter, older_than: Option<i64>) -> Result<Vec<String>> {
        let used = self.used_networks()?;
        let mut gone = Vec::new();
        for network in self.networks(filter)? {
            let is_young = older_than.is_some_and(|limit| network.created.as_second() > limit);
            if network.is_default() || used.contains(network.name.as_str()) || is_young {
                continue;
            }
            match self.remove_network(&network) {
                Ok(()) => gone.push(network.name.to_string()),
                Err(error) => log::warn!("{error}"),
            }
        }
        Ok(gone)
    }
}
