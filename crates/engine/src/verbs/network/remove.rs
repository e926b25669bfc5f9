//! `network rm` and `network prune`

use conex_netlink::Route;
use conex_network::{Firewall, Network};

use super::NetworkFilter;
use super::create::network_event;
use crate::events::Event;
use crate::network::{Place, sweep};
use crate::rootless::on_host;
use crate::{Engine, Error, Result};

impl Engine {
    /// Removes a network that no running container is on, with its device and its part of the packet filter. The name as it was.
    ///
    /// # Errors
    /// [`conex_network::Error::InUse`], [`conex_network::Error::NotFound`], [`conex_network::Error::Predefined`].
    pub fn network_remove(&self, name: &str) -> Result<String> {
        let network = Place::find(&self.parts.store, name)?.own("to remove it, remove that file")?;
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
        on_host(&self.parts.paths.run, || networks.remove(network, holder, undo).map_err(Error::from))?;
        self.event(&network_event("destroy", network));
        Ok(())
    }

    /// Removes all networks of the user's that no container is connected to; their names.
    ///
    /// # Errors
    /// When they cannot be read; one that cannot be removed is passed over.
    pub fn network_prune(&self, filter: &NetworkFilter, older_than: Option<i64>) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        // Nothing is made for the sake of finding nothing: neither the default network, nor a rule.
        if self.parts.networks().list()?.iter().all(Network::is_default) {
            return Ok(gone);
        }
        let used = self.used_networks()?;
        for place in self.networks_among(filter, &used)? {
            // The others are their administrator's.
            let Place::Own(network) = place else { continue };
            let is_young = older_than.is_some_and(|limit| network.created.as_second() > limit);
            if network.is_default() || used.contains(network.name.as_str()) || is_young {
                continue;
            }
            match self.remove_network(&network) {
                Ok(()) => gone.push(network.name.to_string()),
                Err(error) => log::warn!("{error}"),
            }
        }
        self.event(&Event::new("network", "prune", "").with("reclaimed", 0));
        Ok(gone)
    }

    /// Takes containers that have ended off networks of CNI where a plugin had failed, or the machine gone down; and has the plugins
    /// of networks that containers were on clear what is nobody's (GC). What could not be done.
    ///
    /// # Errors
    /// When the attachments cannot be read.
    pub fn collect_attachments(&self) -> Result<Vec<Error>> {
        let store = &self.parts.store;
        let cni = store.cni();
        let used = cni.used()?;
        if used.is_empty() {
            return Ok(Vec::new());
        }
        let mut failed = sweep(store)?;
        let (lists, _) = cni.lists();
        for list in lists.iter().filter(|list| used.contains(&list.name)) {
            failed.extend(cni.collect(list).err().map(Error::from));
        }
        Ok(failed)
    }
}
