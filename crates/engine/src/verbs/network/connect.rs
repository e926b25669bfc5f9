//! `network connect` and `disconnect`, on containers that run and on those that do not; `port`.

use std::net::IpAddr;
use std::os::fd::AsFd;

use conex_netlink::Route;
use conex_network::{Endpoint, Firewall, Published, Wire};
use conex_oci::ContainerId;

use crate::network::{self, RECORD, admit, endpoint, endpoints, name_addresses, namespace_of};
use crate::options::{Connection, NetworkMode};
use crate::store::write::{self, Durability};
use crate::store::{ContainerState, Record};
use crate::{Engine, Error, Result};

impl Engine {
    /// Connects a container to a network, at once if it runs, and whenever it starts.
    ///
    /// # Errors
    /// [`Error::NotOnNetworks`], [`Error::Connected`], addresses that are taken.
    pub fn network_connect(&self, id: &ContainerId, connection: &Connection) -> Result<()> {
        let (parts, store) = (&self.parts, &self.parts.store);
        let found = parts.networks().find(&connection.network)?;
        let connection = Connection { network: found.name.to_string(), ..connection.clone() };
        let record = store.change_record(id, |record| {
            let name = record.name.to_string();
            match &mut record.options.namespaces.network {
                NetworkMode::Networks(list) => {
                    if list
                        .iter()
                        .any(|one| parts.networks().find(&one.network).is_ok_and(|one| one.id == found.id))
                    {
                        return Err(Error::Connected { name, network: found.name.to_string() });
                    }
                    list.push(connection.clone());
                    Ok(())
                }
                mode => Err(Error::NotOnNetworks { name, mode: mode.to_string() }),
            }
        })?;
        let state = store.state(id)?;
        let Some(process) = state.as_ref().and_then(ContainerState::process) else { return Ok(()) };
        let plugged = self.plug(&record, &connection, &found, process.pid);
        if plugged.is_err() {
            store.change_record(id, |record| {
                if let NetworkMode::Networks(list) = &mut record.options.namespaces.network {
                    list.retain(|one| one.network != connection.network);
                }
                Ok(())
            })?;
        }
        plugged?;
        self.tell_names(id)
    }

    /// The same for the process that runs.
    fn plug(
        &self,
        record: &Record,
        connection: &Connection,
        found: &conex_network::Network,
        pid: u32,
    ) -> Result<()> {
        let (parts, directory) = (&self.parts, self.parts.store.run_directory(&record.id));
        let mut all = endpoints(&directory)?;
        let number = (0..).find(|number| {
            let (device, host) =
                (format!("eth{number}"), Endpoint::host_device_of(record.id.as_str(), *number));
            all.iter().all(|one| one.device != device && one.host_device != host)
        });
        let new = endpoint(parts, record, connection, found, number.unwrap_or_default())?;
        all.push(new.clone());
        write::replace_json(&directory, RECORD, &all, Durability::Passing)?;
        let connect = || -> Result<()> {
            let namespace = namespace_of(pid)?;
            let mut host = Route::open()?;
            let mut inside = Route::open_in(namespace.as_fd())?;
            let has_way_out = inside.routes()?.iter().any(|route| route.destination.is_none());
            let wire =
                Wire { network: found, endpoint: &new, note: record.name.as_str(), is_default: !has_way_out };
            wire.connect(&mut host, &mut inside, namespace.as_fd())?;
            let mut firewall = Firewall::open()?.with(parts.firewall);
            admit(parts, &mut firewall, found, &new)?;
            name_addresses(parts, record, &all)
        };
        let connected = connect();
        if connected.is_err() {
            self.unplug(record, &new, Some(pid))?;
        }
        connected
    }

    /// Disconnects a container from a network.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn network_disconnect(&self, id: &ContainerId, name: &str) -> Result<()> {
        let (parts, store) = (&self.parts, &self.parts.store);
        let found = parts.networks().find(name)?;
        let record = store.change_record(id, |record| {
            let missing =
                Error::NotConnected { name: record.name.to_string(), network: found.name.to_string() };
            let NetworkMode::Networks(list) = &mut record.options.namespaces.network else {
                return Err(missing);
            };
            let before = list.len();
            list.retain(|one| parts.networks().find(&one.network).map_or(true, |one| one.id != found.id));
            if list.len() == before { Err(missing) } else { Ok(()) }
        })?;
        let all = endpoints(&store.run_directory(id))?;
        let state = store.state(id)?;
        match all.iter().find(|one| one.network_id == found.id) {
            Some(endpoint) if state.as_ref().is_some_and(ContainerState::is_live) => {
                let process = state.as_ref().and_then(ContainerState::process);
                self.unplug(&record, endpoint, process.map(|process| process.pid))?;
                self.tell_names(id)
            }
            _ => Ok(()),
        }
    }

    fn unplug(&self, record: &Record, endpoint: &Endpoint, pid: Option<u32>) -> Result<()> {
        let (parts, directory) = (&self.parts, self.parts.store.run_directory(&record.id));
        let networks = parts.networks();
        if let Some(found) = networks.get(&endpoint.network)? {
            Firewall::open()?.dismiss(&found, endpoint)?;
            let mut host = Route::open()?;
            let namespace = pid.map(namespace_of).transpose()?;
            let mut inside = namespace.map(|open| Route::open_in(open.as_fd())).transpose()?;
            Wire::disconnect(&found, endpoint, &mut host, inside.as_mut())?;
            let addresses: Vec<IpAddr> = endpoint.ips().collect();
            networks.give_back(&found, record.id.as_str(), &addresses);
        }
        let mut all = endpoints(&directory)?;
        all.retain(|one| one.network_id != endpoint.network_id);
        write::replace_json(&directory, RECORD, &all, Durability::Passing)?;
        name_addresses(parts, record, &all)
    }

    /// The ports of a container that are published now.
    ///
    /// # Errors
    /// [`Error::NotRunning`] is none: a container that does not run has no ports.
    pub fn ports(&self, id: &ContainerId) -> Result<Vec<Published>> {
        let all = network::endpoints(&self.parts.store.run_directory(id))?;
        Ok(all.into_iter().flat_map(|endpoint| endpoint.ports).collect())
    }
}
