//! `network connect` and `disconnect`, on containers that run and on those that do not; `port`.

use std::net::IpAddr;
use std::os::fd::AsFd;

use conex_netlink::Route;
use conex_network::cni::List;
use conex_network::{DEFAULT, Endpoint, Firewall, NetworkId, Published, Wire};
use conex_oci::ContainerId;

use crate::network::{
    self, Place, RECORD, admit, endpoint, endpoints, has_way_out, name_addresses, namespace_of,
};
use crate::options::{Connection, NetworkMode};
use crate::rootless::{is_rootless, on_host};
use crate::store::write::{self, Durability};
use crate::store::{ContainerState, Record, Store};
use crate::{Engine, Error, Result};

impl Engine {
    /// Connects a container to a network, at once if it runs, and whenever it starts.
    ///
    /// # Errors
    /// [`Error::NotOnNetworks`], [`Error::Connected`], addresses that are taken.
    pub fn network_connect(&self, id: &ContainerId, connection: &Connection) -> Result<()> {
        let place = Place::find(&self.parts.store, &connection.network);
        self.put_on(id, connection)?;
        place.iter().for_each(|place| self.network_event("connect", place, id));
        Ok(())
    }

    fn network_event(&self, action: &str, place: &Place, container: &ContainerId) {
        self.event(&place.named().event(action).with("container", container));
    }

    fn put_on(&self, id: &ContainerId, connection: &Connection) -> Result<()> {
        let store = &self.parts.store;
        let found = Place::find(store, &connection.network)?;
        if is_rootless() && found.name().as_str() == DEFAULT {
            let why = "the default network of an ordinary user is each container's own: a container is on it from its start, or not at all";
            return Err(Error::Carried { why: why.to_owned() });
        }
        let connection = Connection { network: found.name().to_string(), ..connection.clone() };
        let record = store.change_record(id, |record| {
            let name = record.name.to_string();
            match &mut record.options.namespaces.network {
                NetworkMode::Networks(list) => {
                    if list.iter().any(|one| is_on(store, one, &found.id())) {
                        return Err(Error::Connected { name, network: found.name().to_string() });
                    }
                    list.push(connection.clone());
                    Ok(())
                }
                mode => Err(Error::NotOnNetworks { name, mode: mode.to_string() }),
            }
        })?;
        let state = store.state(id)?;
        let Some(process) = state.as_ref().and_then(ContainerState::process) else { return Ok(()) };
        let plugged = match &found {
            Place::Own(network) => self.plug(&record, &connection, network, process.pid),
            Place::Cni(list) => self.plug_by_plugins(&record, &connection, list, process.pid),
        };
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
        let new = endpoint(parts, record, connection, found, self.free_number(record)?)?;
        all.push(new.clone());
        write::replace_json(&directory, RECORD, &all, Durability::Passing)?;
        let connect = || -> Result<()> {
            let namespace = namespace_of(pid)?;
            let mut host = Route::open()?;
            let mut inside = Route::open_in(namespace.as_fd())?;
            let is_default = !has_way_out(&mut inside)?;
            let wire = Wire { network: found, endpoint: &new, note: record.name.as_str(), is_default };
            wire.connect(&mut host, &mut inside, namespace.as_fd())?;
            let mut firewall = Firewall::open()?.with(parts.firewall);
            admit(parts, &mut firewall, found, &new)?;
            name_addresses(parts, record, &all)
        };
        let connected = on_host(&parts.paths.run, connect);
        if connected.is_err() {
            self.unplug(record, &new, Some(pid))?;
        }
        connected
    }

    /// The number of the first device that the container has not.
    fn free_number(&self, record: &Record) -> Result<usize> {
        let all = network::places(&self.parts.store, &record.id)?;
        let is_free = |number: &usize| {
            let (device, host) =
                (format!("eth{number}"), Endpoint::host_device_of(record.id.as_str(), *number));
            all.iter().all(|one| one.device != device && one.host_device != host)
        };
        Ok((0..).find(is_free).unwrap_or_default())
    }

    /// Has plugins plug the process that runs.
    fn plug_by_plugins(&self, record: &Record, connection: &Connection, list: &List, pid: u32) -> Result<()> {
        let (store, id) = (&self.parts.store, &record.id);
        let wanted = network::request(store, record, connection, self.free_number(record)?, Vec::new());
        let mut inside = Route::open_in(namespace_of(pid)?.as_fd())?;
        let way_out = network::way_out(&mut inside)?;
        network::hold(store, id, pid)?;
        let attached = network::attach(store, id, list, &wanted)?;
        // It leads where it led, as with networks of ours.
        network::keep_way_out(&mut inside, way_out)?;
        let state = store.state(id)?;
        if state.as_ref().and_then(ContainerState::process).is_none_or(|process| process.pid != pid) {
            // It has ended meanwhile, and who has seen that may not have seen this.
            network::detach_one(store, id, &attached)?;
            return Err(Error::NotRunning { name: record.name.to_string() });
        }
        name_addresses(&self.parts, record, &endpoints(&store.run_directory(id))?)
    }

    /// Disconnects a container from a network.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn network_disconnect(&self, id: &ContainerId, name: &str) -> Result<()> {
        let place = Place::find(&self.parts.store, name);
        self.take_off(id, name)?;
        place.iter().for_each(|place| self.network_event("disconnect", place, id));
        Ok(())
    }

    fn take_off(&self, id: &ContainerId, name: &str) -> Result<()> {
        let store = &self.parts.store;
        let attachments = store.cni().attachments_of(id.as_str())?;
        let found = match Place::find(store, name) {
            // Its file is gone; what it was is on record.
            Err(error) => match attachments.iter().find(|one| one.list.name.as_str() == name) {
                Some(attachment) => Place::Cni(attachment.list.clone()),
                None => return Err(error),
            },
            found => found?,
        };
        let record = store.change_record(id, |record| {
            let missing =
                Error::NotConnected { name: record.name.to_string(), network: found.name().to_string() };
            let NetworkMode::Networks(list) = &mut record.options.namespaces.network else {
                return Err(missing);
            };
            let before = list.len();
            list.retain(|one| !is_on(store, one, &found.id()));
            if list.len() == before { Err(missing) } else { Ok(()) }
        })?;
        let all = endpoints(&store.run_directory(id))?;
        let state = store.state(id)?;
        if let Some(attachment) = attachments.iter().find(|one| one.list.id() == found.id()) {
            network::detach_one(store, id, attachment)?;
            name_addresses(&self.parts, &record, &all)?;
            return match state.as_ref().and_then(ContainerState::process) {
                Some(_) => self.tell_names(id),
                None => Ok(()),
            };
        }
        match all.iter().find(|one| one.network_id == found.id()) {
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
            on_host(&parts.paths.run, || {
                Firewall::open()?.dismiss(&found, endpoint)?;
                let mut host = Route::open()?;
                let namespace = pid.map(namespace_of).transpose()?;
                let mut inside = namespace.map(|open| Route::open_in(open.as_fd())).transpose()?;
                Ok(Wire::disconnect(&found, endpoint, &mut host, inside.as_mut())?)
            })?;
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
        let all = network::places(&self.parts.store, id)?;
        Ok(all.into_iter().flat_map(|endpoint| endpoint.ports).collect())
    }
}

/// Whether what is meant there is that network; by the name alone, where there is no such network any more.
fn is_on(store: &Store, connection: &Connection, id: &NetworkId) -> bool {
    match Place::find(store, &connection.network) {
        Ok(place) => place.id() == *id,
        Err(_) => connection.network.parse().is_ok_and(|name| NetworkId::of_name(&name) == *id),
    }
}
