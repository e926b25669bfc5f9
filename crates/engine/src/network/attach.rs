//! Endpoints made, while the container's first process is at work on its mounts.

use std::os::fd::{AsFd, OwnedFd};

use conex_netlink::Route;
use conex_network::{Endpoint, Firewall, Network, Wire};
use rustix::fs::{Mode, OFlags};

use super::plan::{Plan, plan, way_out};
use super::{Names, RECORD, files, settle};
use crate::engine::Parts;
use crate::store::Record;
use crate::store::write::{self, Durability};
use crate::{Error, Result};

/// The first device of every namespace.
const LOOPBACK: u32 = 1;

/// A container's endpoints, and the host's ports that are held for them.
pub(crate) struct Wired {
    /// Each has its endpoint at the same place.
    networks: Vec<Network>,
    endpoints: Vec<Endpoint>,
    /// Bound for as long as the container runs.
    _ports: Vec<OwnedFd>,
}

impl Wired {
    /// Plans the endpoints of a container that is about to start, and writes them down. `None` for one without.
    pub(crate) fn prepare(parts: &Parts, record: &Record) -> Result<Option<Self>> {
        if record.options.namespaces.network.connections().is_empty() {
            return Ok(None);
        }
        let Plan { networks, endpoints, ports } = plan(parts, record)?;
        let wired = Self { networks, endpoints, _ports: ports.sockets };
        match wired.write_down(parts, record) {
            Ok(()) => Ok(Some(wired)),
            Err(error) => {
                settle(&parts.store, &record.id)?;
                Err(error)
            }
        }
    }

    fn write_down(&self, parts: &Parts, record: &Record) -> Result<()> {
        let directory = parts.store.run_directory(&record.id);
        write::replace_json(&directory, RECORD, &self.endpoints, Durability::Passing)?;
        files::name_addresses(parts, record, &self.endpoints)
    }

    /// Makes them for the process, whose namespaces are there; names resolve for as long as what it returns is held.
    pub(crate) fn connect(&self, parts: &Parts, record: &Record, pid: u32) -> Result<Option<Names>> {
        let namespace = namespace_of(pid)?;
        let mut host = Route::open()?;
        let mut container = Route::open_in(namespace.as_fd())?;
        // The process will do the same, a little later.
        container.set_up(LOOPBACK)?;
        let names = Names::register(parts, record, &self.endpoints, namespace.as_fd())?;
        // Who asks for a published port is answered by the way that he came.
        let published = self.endpoints.iter().position(|endpoint| !endpoint.ports.is_empty());
        let out = published.or_else(|| way_out(&self.networks));
        for (index, (network, endpoint)) in self.places().enumerate() {
            let wire = Wire { network, endpoint, note: record.name.as_str(), is_default: out == Some(index) };
            wire.connect(&mut host, &mut container, namespace.as_fd())?;
        }
        let mut firewall = Firewall::open()?.with(parts.firewall);
        for (network, endpoint) in self.places() {
            admit(parts, &mut firewall, network, endpoint)?;
        }
        Ok(names)
    }

    fn places(&self) -> impl Iterator<Item = (&Network, &Endpoint)> {
        self.networks.iter().zip(&self.endpoints)
    }
}

/// Lets an endpoint, which is on record, take part; writes the whole filter anew if it was lost.
pub(crate) fn admit(
    parts: &Parts,
    firewall: &mut Firewall,
    network: &Network,
    endpoint: &Endpoint,
) -> Result<()> {
    let networks = parts.networks();
    let admitted = {
        let _shared = networks.gate(false)?;
        firewall.admit(network, endpoint)?
    };
    if !admitted {
        super::restore(&parts.store, &networks, firewall)?;
    }
    Ok(())
}

/// The network namespace of a process.
pub(crate) fn namespace_of(pid: u32) -> Result<OwnedFd> {
    let opened =
        rustix::fs::open(format!("/proc/{pid}/ns/net"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|errno| Error::Process { pid, source: errno.into() })
}
