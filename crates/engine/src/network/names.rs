//! A container's names: told to the name service of its networks (`conex_dns`) for as long as it runs.
//!
//! The supervisor holds the connection, whose end is the end of the names, and the sockets in the container's namespace. What changes
//! while the container runs (`rename`, `network connect`) is written down by the verb, which then asks the supervisor to tell it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use conex_dns::{Membership, Registration, Sockets};
use conex_network::{DEFAULT, Endpoint};
use conex_oci::ContainerId;
use conex_sys::{memory, namespace};
use rustix::net::RecvFlags;

use super::{endpoints, namespace_of, uplink};
use crate::engine::Parts;
use crate::rootless::is_rootless;
use crate::store::Record;
use crate::supervise::spawn_apart;
use crate::{Error, Result};

/// A server that is lost is replaced at once, but not more often than so.
const PAUSE: Duration = Duration::from_secs(1);
const TCP: u8 = 6;
const UDP: u8 = 17;
/// One that ends just when somebody comes is followed by another.
const ATTEMPTS: u32 = 3;

/// A container's registration.
pub(crate) struct Names {
    /// `None` while there is no server.
    connection: Option<OwnedFd>,
    sockets: Sockets,
    /// When a lost server may be replaced.
    again_at: Instant,
}

impl Names {
    /// Registers a container that is on networks with names, whose namespace is there. `None` for another.
    pub(crate) fn register(
        parts: &Parts,
        record: &Record,
        endpoints: &[Endpoint],
        namespace: BorrowedFd<'_>,
    ) -> Result<Option<Self>> {
        if !endpoints.iter().any(has_names) {
            return Ok(None);
        }
        let registration = registration(parts, record, endpoints)?;
        let sockets = sockets(namespace).map_err(failed)?;
        let (udp, tcp) = sockets.ports().map_err(failed)?;
        conex_network::translate_port(
            namespace,
            (conex_dns::ADDRESS, conex_dns::PORT),
            [(UDP, udp), (TCP, tcp)],
        )?;
        let mut names = Self { connection: None, sockets, again_at: Instant::now() };
        names.connect(parts, &registration)?;
        Ok(Some(names))
    }

    /// What becomes readable when the server is lost.
    pub(crate) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// When [`Names::mend`] has to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.connection.is_none().then_some(self.again_at)
    }

    /// Looks whether the server is lost.
    pub(crate) fn look(&mut self) {
        let Some(connection) = &self.connection else { return };
        // A word that came late is no end.
        if !matches!(rustix::net::recv(connection, &mut [0u8; 1][..], RecvFlags::DONTWAIT), Ok((1.., _))) {
            self.connection = None;
        }
    }

    /// Registers with another server when the last is lost. Whether it had to.
    pub(crate) fn mend(&mut self, parts: &Parts, id: &ContainerId) -> bool {
        if self.deadline().is_none_or(|at| at > Instant::now()) {
            return false;
        }
        self.again_at = Instant::now() + PAUSE;
        if let Err(error) = current(parts, id).and_then(|registration| self.connect(parts, &registration)) {
            log::warn!("{error}");
        }
        true
    }

    /// Tells the server, or a new one.
    fn connect(&mut self, parts: &Parts, registration: &Registration) -> Result<()> {
        if let Some(connection) = &self.connection
            && conex_dns::update(connection.as_fd(), registration).is_ok()
        {
            return Ok(());
        }
        self.connection = None;
        let directory = directory(parts);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let connection = conex_dns::reach(&directory, |listener| serve(listener, directory.clone()));
            let told = connection.and_then(|connection| {
                conex_dns::register(connection.as_fd(), registration, &self.sockets)?;
                Ok(connection)
            });
            match told {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if attempts == ATTEMPTS => return Err(failed(error)),
                Err(_) => {}
            }
        }
    }
}

/// Tells what a container is called now, and where.
pub(crate) fn tell(names: &mut Option<Names>, parts: &Parts, id: &ContainerId, pid: u32) -> Result<()> {
    match names {
        Some(names) => names.connect(parts, &current(parts, id)?),
        None => {
            let (record, all) = (parts.store.must_record(id)?, endpoints(&parts.store.run_directory(id))?);
            *names = Names::register(parts, &record, &all, namespace_of(pid)?.as_fd())?;
            Ok(())
        }
    }
}

/// What a container is called on a network, its aliases there apart: Docker's `DNSNames`.
pub(crate) fn dns_names(record: &Record, aliases: &[String]) -> Vec<String> {
    let mut names = vec![record.name.to_string()];
    let short = record.id.short().to_owned();
    for name in aliases.iter().cloned().chain([short, record.hostname.clone()]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The default network has none, as everywhere.
pub(super) fn has_names(endpoint: &Endpoint) -> bool {
    endpoint.network.as_str() != DEFAULT && !uplink::is_uplink(endpoint)
}

fn current(parts: &Parts, id: &ContainerId) -> Result<Registration> {
    registration(parts, &parts.store.must_record(id)?, &endpoints(&parts.store.run_directory(id))?)
}

fn registration(parts: &Parts, record: &Record, endpoints: &[Endpoint]) -> Result<Registration> {
    let networks = parts.networks();
    let attachments = parts.store.cni().attachments_of(record.id.as_str())?;
    // The gateways of a network that leads to the host, of another if there is no such.
    let (mut host, mut inner_host, mut forwards) = (None, None, !attachments.is_empty());
    for endpoint in endpoints {
        match networks.get(&endpoint.network)? {
            Some(network) if !network.internal => {
                forwards = true;
                host.get_or_insert(&endpoint.gateways);
            }
            _ => drop(inner_host.get_or_insert(&endpoint.gateways)),
        }
    }
    let with_names = endpoints.iter().filter(|endpoint| has_names(endpoint));
    let places = with_names.map(|endpoint| Membership {
        id: endpoint.network_id.as_str().to_owned(),
        network: endpoint.network.to_string(),
        addresses: endpoint.ips().collect(),
        aliases: endpoint.aliases.clone(),
    });
    Ok(Registration {
        id: record.id.to_string(),
        names: dns_names(record, &[]),
        networks: places.collect(),
        // An ordinary user's host is not reached: his gateways are elsewhere.
        host: if is_rootless() { Vec::new() } else { host.or(inner_host).cloned().unwrap_or_default() },
        servers: match &record.options.namespaces.dns {
            none if none.is_empty() => super::files::resolver_of(&attachments).servers,
            given => given.clone(),
        },
        forwards,
    })
}

/// The container's ends of the service, made in its namespace, which the calling thread enters for a moment.
fn sockets(there: BorrowedFd<'_>) -> std::io::Result<Sockets> {
    namespace::visit_network(there, Sockets::open)?
}

/// A process of its own that serves.
fn serve(listener: OwnedFd, directory: PathBuf) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let keep = [listener.as_raw_fd()];
    spawn_apart(c"conex-dns", &keep, move || {
        memory::trim_heap();
        memory::drop_program_pages();
        if let Err(error) = conex_dns::serve(listener, &directory) {
            log::error!("{error}");
        }
    })
}

fn directory(parts: &Parts) -> PathBuf {
    parts.paths.run.join("dns")
}

fn failed(source: std::io::Error) -> Error {
    Error::Names { source }
}
