//! `network reload`: what a flushed packet filter, a restarted firewall or a removed device has taken is made again.

use std::os::fd::AsFd;

use conex_netlink::Route;
use conex_network::{Firewall, Wire};

use crate::network::{all_endpoints, namespace_of, netlink, restore};
use crate::{Engine, Result};

impl Engine {
    /// Makes again what is missing: devices of networks that containers are on, their cables, the packet filter. The names of the
    /// containers that were on networks.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn network_reload(&self) -> Result<Vec<String>> {
        let store = &self.parts.store;
        let networks = self.parts.networks();
        let mut host = Route::open().map_err(netlink)?;
        let mut firewall = Firewall::open()?.blocking_metadata(self.parts.block_metadata);
        let known = networks.list()?;
        let mut names = Vec::new();
        for (id, endpoint) in all_endpoints(store)? {
            let Some(network) = known.iter().find(|network| network.id == endpoint.network_id) else {
                continue;
            };
            // What a killed owner left is settled, not mended.
            let Some(state) = store.state(&id)? else { continue };
            let (Some(process), Some(record)) = (state.process(), store.record(&id)?) else { continue };
            network.raise(&mut host)?;
            let link = host.link(&endpoint.host_device).map_err(netlink)?;
            if link.is_none_or(|link| link.master.is_none()) {
                let namespace = namespace_of(process.pid)?;
                let mut inside = Route::open_in(namespace.as_fd()).map_err(netlink)?;
                if let Some(old) = inside.link(&endpoint.device).map_err(netlink)? {
                    inside.delete_link(old.index).map_err(netlink)?;
                }
                let is_default = !network.internal;
                let wire = Wire { network, endpoint: &endpoint, note: record.name.as_str(), is_default };
                wire.connect(&mut host, &mut inside, namespace.as_fd())?;
            }
            names.push(record.name.to_string());
        }
        if !known.is_empty() {
            restore(store, &networks, &mut firewall)?;
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}
