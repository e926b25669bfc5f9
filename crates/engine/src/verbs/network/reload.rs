//! `network reload`: what a flushed packet filter, a restarted firewall or a removed device has taken is made again.

use std::os::fd::AsFd;

use conex_netlink::Route;
use conex_network::cni::{Attachment, CniError};
use conex_network::{Endpoint, Firewall, Network, Wire};

use crate::engine::Parts;
use crate::network::{self, all_endpoints, namespace_of, restore};
use crate::rootless::on_host;
use crate::store::Record;
use crate::{Engine, Error, Result};

impl Engine {
    /// Makes again what is missing: devices of networks that containers are on, their cables, the packet filter. The names of the
    /// containers that were on networks.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn network_reload(&self) -> Result<Vec<String>> {
        let parts = &self.parts;
        let (mut names, mut failed) = on_host(&parts.paths.run, || reload(parts))?;
        self.reload_attachments(&mut names, &mut failed)?;
        names.sort();
        names.dedup();
        failed.map_or(Ok(names), Err)
    }
}

impl Engine {
    /// Asks plugins whether containers are as they were added; takes those off and puts them on again that are not, and off that do not
    /// run any more.
    fn reload_attachments(&self, names: &mut Vec<String>, failed: &mut Option<Error>) -> Result<()> {
        let (store, cni) = (&self.parts.store, self.parts.store.cni());
        if cni.used()?.is_empty() {
            return Ok(());
        }
        for error in network::sweep(store)? {
            failed.get_or_insert(error);
        }
        for attachment in cni.attachments()? {
            let Some(id) = network::container_of(store, &attachment) else { continue };
            let Some(state) = store.state(&id)? else { continue };
            let (Some(process), Some(record)) = (state.process(), store.record(&id)?) else { continue };
            match self.reattach(&record, &attachment, process.pid) {
                Ok(()) => names.push(record.name.to_string()),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        Ok(())
    }

    fn reattach(&self, record: &Record, attachment: &Attachment, pid: u32) -> Result<()> {
        let (store, cni) = (&self.parts.store, self.parts.store.cni());
        // One that has no result was never whole.
        let why = match attachment.result {
            Some(_) => cni.check(attachment).err(),
            None => Some(CniError::NotGiven {
                network: attachment.list.name.to_string(),
                what: "anything".to_owned(),
            }),
        };
        let Some(why) = why else { return Ok(()) };
        log::info!("container {}: {why}", record.name);
        let mut inside = Route::open_in(namespace_of(pid)?.as_fd())?;
        let device = inside.link(&attachment.request.device)?.map(|device| device.index);
        let way_out = network::way_out(&mut inside)?.filter(|route| route.index != device);
        network::hold(store, &record.id, pid)?;
        cni.delete(attachment)?;
        // By its file as it is now, if it is there.
        let found = cni.find(attachment.list.name.as_str()).unwrap_or_else(|_| attachment.list.clone());
        let attached = network::attach(store, &record.id, &found, &attachment.request);
        if attached.is_err() {
            // Not forgotten: the next reload tries again.
            cni.remember(attachment)?;
        }
        attached?;
        network::keep_way_out(&mut inside, way_out)?;
        network::name_addresses(&self.parts, record, &network::endpoints(&store.run_directory(&record.id))?)?;
        self.tell_names(&record.id)
    }
}

/// Networks of ours: the names of the containers on them, and what first went wrong.
fn reload(parts: &Parts) -> Result<(Vec<String>, Option<Error>)> {
    let (store, networks) = (&parts.store, parts.networks());
    let mut host = Route::open()?;
    let mut firewall = Firewall::open()?.with(parts.firewall);
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
    Ok((names, failed))
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
    inside.delete_named(&endpoint.device)?;
    wire.is_default = !network::has_way_out(&mut inside)?;
    wire.connect(host, &mut inside, namespace.as_fd())?;
    Ok(())
}
