//! Endpoints made, while the container's first process is at work on its mounts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_netlink::Route;
use conex_network::usermode::Carried;
use conex_network::{Endpoint, Firewall, Network, Wire};
use rustix::fs::{Mode, OFlags};

use super::plan::{Plan, plan, way_out};
use super::{Names, RECORD, files, settle, uplink};
use crate::engine::Parts;
use crate::rootless::on_host;
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
    uplink: Option<uplink::Planned>,
    carried: Option<Carried>,
}

impl Wired {
    /// Plans the endpoints of a container that is about to start, and writes them down. `None` for one without.
    pub(crate) fn prepare(parts: &Parts, record: &Record) -> Result<Option<Self>> {
        if record.options.namespaces.network.connections().is_empty() {
            return Ok(None);
        }
        let Plan { networks, endpoints, ports, uplink } = plan(parts, record)?;
        let wired = Self { networks, endpoints, _ports: ports.sockets, uplink, carried: None };
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
        let uplink = self.uplink.iter().map(|uplink| &uplink.endpoint);
        let endpoints: Vec<&Endpoint> = uplink.chain(&self.endpoints).collect();
        write::replace_json(&directory, RECORD, &endpoints, Durability::Passing)?;
        files::name_addresses(parts, record, &endpoints)
    }

    /// Makes them for the process, whose namespaces are there; names resolve for as long as what it returns is held.
    pub(crate) fn connect(&mut self, parts: &Parts, record: &Record, pid: u32) -> Result<Option<Names>> {
        let namespace = namespace_of(pid)?;
        if let Some(uplink) = &mut self.uplink {
            self.carried = Some(uplink.start(parts, record, pid, namespace.as_fd())?);
            self.write_down(parts, record)?;
        }
        if self.networks.is_empty() {
            return Ok(None);
        }
        let mut inside = Route::open_in(namespace.as_fd())?;
        // The process will do the same, a little later; an address of it that is bound before is none to send from.
        inside.set_up(LOOPBACK)?;
        let names = Names::register(parts, record, &self.endpoints, namespace.as_fd())?;
        on_host(&parts.paths.run, || self.plug(parts, record, namespace.as_fd(), &mut inside))?;
        Ok(names)
    }

    fn plug(
        &self,
        parts: &Parts,
        record: &Record,
        namespace: BorrowedFd<'_>,
        inside: &mut Route,
    ) -> Result<()> {
        let mut host = Route::open()?;
        // Who asks for a published port is answered by the way that he came.
        let published = self.endpoints.iter().position(|endpoint| !endpoint.ports.is_empty());
        let out = match self.uplink {
            Some(_) => None,
            None => published.or_else(|| way_out(&self.networks)),
        };
        for (index, (network, endpoint)) in self.places().enumerate() {
            let wire = Wire { network, endpoint, note: record.name.as_str(), is_default: out == Some(index) };
            wire.connect(&mut host, inside, namespace)?;
        }
        let mut firewall = Firewall::open()?.blocking_metadata(parts.block_metadata);
        for (network, endpoint) in self.places() {
            admit(parts, &mut firewall, network, endpoint)?;
        }
        Ok(())
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
