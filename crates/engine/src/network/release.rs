//! Endpoints taken down: elements of the packet filter, addresses, the record. The devices go with the container's namespace, a moment
//! after its last process; after a crash they are removed here, since somebody else may hold that.

use conex_netlink::Route;
use conex_network::{Firewall, Wire};
use conex_oci::ContainerId;

use super::{RECORD, endpoints};
use crate::Result;
use crate::rootless::on_host;
use crate::store::{Store, write};

/// Takes down what is left of a container's endpoints. May be done again.
///
/// # Errors
/// What stays; the record stays with it.
pub(crate) fn release(store: &Store, id: &ContainerId) -> Result<()> {
    take_down(store, id, false, false)
}

/// The same for a container whose owner was killed: its devices, too.
///
/// # Errors
/// As [`release`].
pub(crate) fn settle(store: &Store, id: &ContainerId) -> Result<()> {
    take_down(store, id, true, true)
}

/// The same for one that was settled when it got its present owner: what is on record of it, without reading all leases.
///
/// # Errors
/// As [`release`].
pub(crate) fn clear(store: &Store, id: &ContainerId) -> Result<()> {
    take_down(store, id, true, false)
}

fn take_down(store: &Store, id: &ContainerId, with_devices: bool, with_leases: bool) -> Result<()> {
    super::unlink(store, id)?;
    super::detach(store, id);
    let directory = store.run_directory(id);
    conex_network::usermode::stop(&directory)?;
    let record = directory.join(RECORD);
    // Who was killed between its leases and its record has left the former only.
    if !with_leases && !record.exists() {
        return Ok(());
    }
    let (networks, ends) = (store.networks(), endpoints(&directory)?);
    // A network cannot be removed while somebody has an address of it; one that is gone all the same has no elements. What was carried
    // is of none.
    let mut places = Vec::with_capacity(ends.len());
    for endpoint in &ends {
        let found = networks.get(&endpoint.network)?.filter(|network| network.id == endpoint.network_id);
        places.extend(found.map(|network| (network, endpoint)));
    }
    if !places.is_empty() {
        on_host(store.run_root(), || {
            let (mut firewall, mut host) = (Firewall::open()?, with_devices.then(Route::open).transpose()?);
            for (network, endpoint) in &places {
                firewall.dismiss(network, endpoint)?;
                if let Some(host) = &mut host {
                    Wire::disconnect(network, endpoint, host, None)?;
                }
            }
            Ok(())
        })?;
        for (network, endpoint) in &places {
            // By their names: of a hundred that end at once none reads what all the others have.
            networks.give_back(network, id.as_str(), &endpoint.ips().collect::<Vec<_>>());
        }
    }
    if with_leases || ends.is_empty() {
        for network in networks.list()? {
            networks.give_all_back(&network, id.as_str())?;
        }
    }
    write::unlink(&record)
}
