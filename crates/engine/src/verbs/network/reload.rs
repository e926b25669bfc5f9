//! `network reload`: what a flushed packet filter, a restarted firewall or a removed device has taken is made again.

use std::os::fd::AsFd;

use conex_netlink::Route;
use conex_network::{Endpoint, Firewall, Network, Wire};

use crate::network::{all_endpoints, namespace_of, restore};
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
        let mut host = Route::open()?;
        let mut firewall = Firewall::open()?.with(self.parts.firewall);
        let known = networks.list()?;
        let mut names = Vec::new();
        // One that cannot be mended keeps nobody else from it.
        let mut failed = None;
        for (id, endpoint) in all_endpoints(store)? {
            let Some(network) = known.iter().find(|network| network.id == endpoint.network_id) else {
                continue;
            };
            // What a killed owner left is settled, not mended.
            let Some(state) = store.state(&id)? else { continue };
            let (Some(process), Some(record)) = (state.process(), store.record(&id)?) else { continue };
            let name = record.name.as_str();
            match mend(network, &endpoint, name, process.pid, &mut host) {
                Ok(()) => names.push(name.to_owned()),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !known.is_empty() {
            restore(store, &networks, &mut firewall)?;
        }
        names.sort();
        names.dedup();
        failed.map_or(Ok(names), Err)
    }
}

/// The network's devices, and the container's on them.
fn mend(network: &Network, endpoint: &Endpoint, note: &str, pid: u32, host: &mut Route) -> Result<()> {
    network.raise(host)?;
    let namespace = namespace_of(pid)?;
    let mut inside = Route::open_in(namespace.as_fd())?;
    let mut wire = Wire { network, endpoint, note, is_default: false };
    if wire.is_whole(host, &mut inside)? {
        return Ok(());
    }
    if let Some(old) = inside.link(&endpoint.device)? {
        inside.delete_link(old.index)?;
    }
    wire.is_default = inside.routes()?.iter().all(|route| route.destination.is_some());
    wire.connect(host, &mut inside, namespace.as_fd())?;
    Ok(())
}
