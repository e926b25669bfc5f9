//! A container's networks: its endpoints made when it starts, taken down when it has ended, by whoever sees that.
//!
//! `RUN/containers/ID/network.json` has the endpoints ([`Endpoint`]) on networks of ours from before the first of them is made until after the last is gone.
//! Addresses name their container themselves. So a kill at any moment leaves nothing that `settle` does not find.

mod attach;
mod cni;
mod files;
mod link;
mod names;
mod place;
mod plan;
mod release;
mod space;
mod uplink;

use std::path::Path;

use conex_network::cni::Attachment;
use conex_network::{Endpoint, Firewall, Networks};
use conex_oci::ContainerId;

pub use conex_network::cni::Settings as CniSettings;
pub use conex_network::{
    DefinitionError, Driver, Error, Network, NetworkName, NewNetwork, Pool, PortError, PortRange, PortSpec,
    Protocol, Published, Settings as FirewallSettings, Subnet, Unplaced, parse_subnet,
};

pub use self::place::Place;

pub(crate) use self::attach::{Wired, admit, has_way_out, keep_way_out, namespace_of, way_out};
pub(crate) use self::cni::{attach, container_of, detach, detach_one, hold, request, sweep};
pub(crate) use self::files::name_addresses;
pub(crate) use self::link::{link, unlink};
pub(crate) use self::names::{Names, dns_names, tell};
pub(crate) use self::place::NamedNetwork;
pub(crate) use self::plan::endpoint;
pub(crate) use self::release::{clear, release, settle};
pub(crate) use self::uplink::check_carrier;
use crate::Result;
use crate::store::{Store, write};

/// Where a container's endpoints are written down.
pub(crate) const RECORD: &str = "network.json";

/// The endpoints on record of a container, by its run directory.
pub(crate) fn endpoints(directory: &Path) -> Result<Vec<Endpoint>> {
    match write::read_json(&directory.join(RECORD)) {
        // Nothing in it can be relied on; what it was about is found by the container's id.
        Err(crate::Error::Document { .. }) => Ok(Vec::new()),
        found => Ok(found?.unwrap_or_default()),
    }
}

/// Where a container is, on networks of ours and of CNI, for who only looks.
pub(crate) fn places(store: &Store, id: &ContainerId) -> Result<Vec<Endpoint>> {
    let mut all = endpoints(&store.run_directory(id))?;
    all.extend(store.cni().attachments_of(id.as_str())?.iter().map(Attachment::endpoint));
    Ok(all)
}

/// All endpoints that are on record, with the ids of their containers.
pub(crate) fn all_endpoints(store: &Store) -> Result<Vec<(ContainerId, Endpoint)>> {
    let path = store.runs();
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(crate::Error::Read { path, source }),
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok()) else {
            continue;
        };
        all.extend(endpoints(&entry.path())?.into_iter().map(|endpoint| (id.clone(), endpoint)));
    }
    Ok(all)
}

/// Writes the packet filter anew, from what is on record.
pub(crate) fn restore(store: &Store, networks: &Networks, firewall: &mut Firewall) -> Result<()> {
    let _alone = networks.gate(true)?;
    let (known, all) = (networks.list()?, all_endpoints(store)?);
    let pairs = all.iter().filter_map(|(_, endpoint)| {
        Some((known.iter().find(|network| network.id == endpoint.network_id)?, endpoint))
    });
    firewall.restore(&known, pairs)?;
    Ok(())
}
