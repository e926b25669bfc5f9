//! Endpoints made, while the container's first process is at work on its mounts.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conex_netlink::{LOOPBACK, NewRoute, Route, RouteEntry};
use conex_network::usermode::Carried;
use conex_network::{Endpoint, Firewall, Network, Wire};
use rustix::fs::{Mode, OFlags};

use super::plan::{Joint, Plan, plan};
use super::{NamedNetwork, Names, RECORD, cni, files, settle, space};
use crate::engine::Parts;
use crate::rootless::on_host;
use crate::store::Record;
use crate::store::write::{self, Durability};
use crate::{Error, Result};

/// A container's places on its networks, and the host's ports that are held for them.
pub(crate) struct Wired {
    joints: Vec<Joint>,
    /// Bound for as long as the container runs.
    _ports: Vec<OwnedFd>,
    /// What an ordinary user's way out goes by.
    carried: Option<Carried>,
}

impl Wired {
    /// Plans the places of a container that is about to start, and writes them down. `None` for one without.
    pub(crate) fn prepare(parts: &Parts, record: &Record) -> Result<Option<Self>> {
        if record.options.namespaces.network.connections().is_empty() {
            return Ok(None);
        }
        let Plan { joints, ports } = plan(parts, record)?;
        let wired = Self { joints, _ports: ports.sockets, carried: None };
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
        let endpoints = self.endpoints();
        if !endpoints.is_empty() {
            write::replace_json(&directory, RECORD, &endpoints, Durability::Passing)?;
        }
        if self.has_plugins() {
            cni::begin(&parts.store, &record.id)?;
        }
        let are_ours = self.joints.iter().all(|joint| matches!(joint, Joint::Own { .. }));
        // Addresses that others give are known later.
        if are_ours || self.carried.is_some() {
            files::name_addresses(parts, record, &endpoints)?;
        }
        Ok(())
    }

    /// Makes them for the process, whose namespaces are there; names resolve for as long as what it returns is held.
    pub(crate) fn connect(&mut self, parts: &Parts, record: &Record, pid: u32) -> Result<Option<Names>> {
        let namespace = namespace_of(pid)?;
        self.carry(parts, record, pid, namespace.as_fd())?;
        let mut container = Route::open_in(namespace.as_fd())?;
        // The process will do the same, a little later; an address of it that is bound before is none to send from.
        container.set_up(LOOPBACK)?;
        if self.has_plugins() {
            return self.connect_among(parts, record, pid, namespace.as_fd(), &mut container);
        }
        // Forks, which has to be before any thread.
        let names = Names::register(parts, record, &self.endpoints(), namespace.as_fd())?;
        if self.joints.iter().any(|joint| matches!(joint, Joint::Own { .. })) {
            on_host(&parts.paths.run, || self.plug(parts, record, &mut container, namespace.as_fd()))?;
        }
        Ok(names)
    }

    /// Starts what carries, and writes down where the container is by it.
    fn carry(&mut self, parts: &Parts, record: &Record, pid: u32, namespace: BorrowedFd<'_>) -> Result<()> {
        let planned = self.joints.iter_mut().find_map(|joint| match joint {
            Joint::Carried(planned) => Some(planned),
            _ => None,
        });
        let Some(planned) = planned else { return Ok(()) };
        self.carried = Some(planned.start(parts, record, pid, namespace)?);
        self.write_down(parts, record)
    }

    fn plug(
        &self,
        parts: &Parts,
        record: &Record,
        container: &mut Route,
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let mut host = Route::open()?;
        let out = self.way_out();
        for (index, joint) in self.joints.iter().enumerate() {
            if let Joint::Own { network, endpoint } = joint {
                let wire =
                    Wire { network, endpoint, note: record.name.as_str(), is_default: out == Some(index) };
                wire.connect(&mut host, container, namespace)?;
            }
        }
        self.admit_all(parts)
    }

    /// The same, where plugins make some of them. A default route that is added later precedes those that are there, and plugins add theirs
    /// unasked: so first the other plugins, then the way out, then the rest. Addresses and name servers are known after that.
    fn connect_among(
        &self,
        parts: &Parts,
        record: &Record,
        pid: u32,
        namespace: BorrowedFd<'_>,
        container: &mut Route,
    ) -> Result<Option<Names>> {
        // Of this run, whatever was held.
        space::hold(&parts.store, &record.id, pid)?;
        let mut host = Route::open()?;
        let out = self.way_out();
        let rank = |index: usize, joint: &Joint| match joint {
            _ if out == Some(index) => 1,
            Joint::Cni { .. } | Joint::Carried(_) => 0,
            Joint::Own { .. } => 2,
        };
        let mut order: Vec<_> = self.joints.iter().enumerate().collect();
        order.sort_by_key(|(index, joint)| rank(*index, joint));
        for (index, joint) in order {
            match joint {
                Joint::Own { network, endpoint } => {
                    let is_default = out == Some(index) || !has_way_out(container)?;
                    let wire = Wire { network, endpoint, note: record.name.as_str(), is_default };
                    wire.connect(&mut host, container, namespace)?;
                }
                Joint::Cni { list, request } => {
                    cni::attach(&parts.store, &record.id, list, request)?;
                }
                // Only root has plugins.
                Joint::Carried(_) => {}
            }
        }
        let endpoints = self.endpoints();
        if !endpoints.is_empty() {
            self.admit_all(parts)?;
        }
        files::name_addresses(parts, record, &endpoints)?;
        Names::register(parts, record, &endpoints, namespace)
    }

    fn admit_all(&self, parts: &Parts) -> Result<()> {
        let mut firewall = Firewall::open()?.with(parts.firewall);
        for joint in &self.joints {
            if let Joint::Own { network, endpoint } = joint {
                admit(parts, &mut firewall, network, endpoint)?;
            }
        }
        Ok(())
    }

    /// The place by which everywhere else is reached. Who asks for a published port is answered by the way that he came.
    fn way_out(&self) -> Option<usize> {
        let carried = self.joints.iter().position(|joint| matches!(joint, Joint::Carried(_)));
        let published = || self.joints.iter().position(|joint| !joint.ports().is_empty());
        carried.or_else(published).or_else(|| self.joints.iter().position(Joint::leads_on))
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let own = self.joints.iter().filter_map(|joint| match joint {
            Joint::Own { endpoint, .. } => Some(endpoint.clone()),
            Joint::Carried(planned) => Some(planned.endpoint.clone()),
            Joint::Cni { .. } => None,
        });
        own.collect()
    }

    /// The networks, as their events name them.
    pub(crate) fn networks(&self) -> Vec<NamedNetwork> {
        let networks = self.joints.iter().map(|joint| match joint {
            Joint::Own { network, .. } => NamedNetwork {
                id: network.id.clone(),
                name: network.name.clone(),
                driver: network.driver.as_str(),
            },
            Joint::Cni { list, .. } => NamedNetwork { id: list.id(), name: list.name.clone(), driver: "cni" },
            // What an ordinary user's default network is to whoever lists it.
            Joint::Carried(planned) => NamedNetwork {
                id: planned.endpoint.network_id.clone(),
                name: planned.endpoint.network.clone(),
                driver: "bridge",
            },
        });
        networks.collect()
    }

    fn has_plugins(&self) -> bool {
        self.joints.iter().any(|joint| matches!(joint, Joint::Cni { .. }))
    }
}

/// Whether the namespace has a default route.
pub(crate) fn has_way_out(container: &mut Route) -> Result<bool> {
    Ok(container.routes()?.iter().any(|route| route.destination.is_none()))
}

/// The default route of IPv4 that is taken: the first, where there are several.
pub(crate) fn way_out(container: &mut Route) -> Result<Option<RouteEntry>> {
    Ok(container.routes()?.into_iter().find(|route| route.destination.is_none() && !route.is_v6))
}

/// Has it precede those again that plugins have added since.
pub(crate) fn keep_way_out(container: &mut Route, before: Option<RouteEntry>) -> Result<()> {
    let (Some(before), now) = (before, way_out(container)?) else { return Ok(()) };
    let (Some(index), false) = (before.index, now == Some(before)) else { return Ok(()) };
    let destination = (Ipv4Addr::UNSPECIFIED.into(), 0);
    let route = NewRoute { destination, gateway: before.gateway, index, metric: None };
    container.delete_route(&route)?;
    Ok(container.put_route(&route)?)
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
