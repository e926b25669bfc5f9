//! Endpoints taken down: elements of the packet filter, addresses, the record. The devices go with the container's namespace, a moment
//! after its last process; after a crash they are removed here, since somebody else may hold that.

use std::net::IpAddr;

use conex_netlink::Route;
use conex_network::{Firewall, Wire};
use conex_oci::ContainerId;

use super::{RECORD, endpoints};
use crate::Result;
use crate::store::{Store, write};

/// Takes down what is left of a container's endpoints. May be done again.
///
/// # Errors
/// What stays; the record stays with it.
pub(crate) fn release(store: &Store, id: &ContainerId) -> Result<()> {
    take_down(store, id, false)
}

/// The same for a container whose owner was killed: its devices, too.
///
/// # Errors
/// As [`release`].
pub(crate) fn settle(store: &Store, id: &ContainerId) -> Result<()> {
    take_down(store, id, true)
}

fn take_down(store: &Store, id: &ContainerId, with_devices: bool) -> Result<()> {
    super::unlink(store, id)?;
    super::detach(store, id);
    let directory = store.run_directory(id);
    let record = directory.join(RECORD);
    // Who was killed between its leases and its record has left the former only.
    if !with_devices && !record.exists() {
        return Ok(());
    }
    let (networks, ends) = (store.networks(), endpoints(&directory)?);
    if !ends.is_empty() {
        let (mut firewall, mut host) = (Firewall::open()?, Route::open()?);
        for endpoint in &ends {
            // A network cannot be removed while somebody has an address of it; one that is gone all the same has no elements.
            let found = networks.get(&endpoint.network)?.filter(|network| network.id == endpoint.network_id);
            let Some(network) = found else { continue };
            firewall.dismiss(&network, endpoint)?;
            if with_devices {
                Wire::disconnect(&network, endpoint, &mut host, None)?;
            }
            // By their names: of a hundred that end at once none reads what all the others have.
            let addresses: Vec<IpAddr> = endpoint.ips().collect();
            networks.give_back(&network, id.as_str(), &addresses);
        }
    }
    if with_devices || ends.is_empty() {
        for network in networks.list()? {
            networks.give_all_back(&network, id.as_str())?;
        }
    }
    write::unlink(&record)
}
