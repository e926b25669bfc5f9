//! A container's places on networks of CNI: what is asked of plugins, and all of it taken back.
//!
//! Attachments are on record in `ROOT/cni` ([`conex_network::cni`]) until plugins have deleted them. A plugin that fails in that keeps nobody
//! from anything: the container goes, its attachment stays, and is tried again by its next start, its removal, and [`sweep`].

use std::collections::BTreeSet;

use conex_network::Published;
use conex_network::cni::{Attachment, List, Request, Resolver};
use conex_oci::ContainerId;

use super::space;
use crate::options::Connection;
use crate::store::{Record, Store};
use crate::{Error, Result};

/// What a container wants of a network.
pub(crate) fn request(
    store: &Store,
    record: &Record,
    connection: &Connection,
    number: usize,
    ports: Vec<Published>,
) -> Request {
    let asked = &record.options.namespaces;
    Request {
        netns: space::path(store, &record.id),
        device: connection.interface.clone().unwrap_or_else(|| format!("eth{number}")),
        ips: connection.wishes(),
        mac: connection.mac,
        ports,
        dns: Resolver {
            servers: asked.dns.clone(),
            searches: asked.dns_search.clone(),
            options: asked.dns_options.clone(),
        },
        // These two as Podman does: plugins for names look for them.
        aliases: connection.aliases.iter().cloned().chain([record.id.short().to_owned()]).collect(),
        args: vec![("K8S_POD_NAME".to_owned(), record.name.to_string())],
    }
}

/// Before the first attachment of a start. What was left by containers when the machine went down is taken back by the first that starts
/// again, since IPAM plugins keep addresses on disk.
pub(super) fn begin(store: &Store, id: &ContainerId) -> Result<()> {
    if !store.namespaces().exists() {
        sweep(store)?.iter().for_each(|error| log::warn!("{error}"));
    }
    // Of this container's last run.
    try_detach(store, id).into_iter().next().map_or(Ok(()), Err)
}

/// Puts a running container on a network.
pub(crate) fn attach(store: &Store, id: &ContainerId, list: &List, request: &Request) -> Result<Attachment> {
    Ok(store.cni().add(list, id.as_str(), request)?)
}

/// Holds the namespace of a process for plugins, unless it is held.
pub(crate) fn hold(store: &Store, id: &ContainerId, pid: u32) -> Result<()> {
    if space::is_held(store, id) { Ok(()) } else { space::hold(store, id, pid) }
}

/// Takes a container off all its networks of CNI, the last first. What cannot be deleted stays on record.
pub(crate) fn detach(store: &Store, id: &ContainerId) {
    for error in try_detach(store, id) {
        log::warn!("container {}: {error}", id.short());
    }
}

fn try_detach(store: &Store, id: &ContainerId) -> Vec<Error> {
    let cni = store.cni();
    let attachments = match cni.attachments_of(id.as_str()) {
        Ok(attachments) => attachments,
        Err(error) => return vec![error.into()],
    };
    let mut failed: Vec<Error> =
        attachments.iter().rev().filter_map(|one| Some(cni.delete(one).err()?.into())).collect();
    // A plugin that could not delete needs it the next time.
    if failed.is_empty() {
        failed.extend(space::release(store, id).err());
    }
    failed
}

/// Takes a container off one of them.
pub(crate) fn detach_one(store: &Store, id: &ContainerId, attachment: &Attachment) -> Result<()> {
    let cni = store.cni();
    cni.delete(attachment)?;
    match cni.attachments_of(id.as_str())?.is_empty() {
        true => space::release(store, id),
        false => Ok(()),
    }
}

/// The container of ours that it is of: others may have namespaces of their own on record.
pub(crate) fn container_of(store: &Store, attachment: &Attachment) -> Option<ContainerId> {
    let id = attachment.container.parse().ok()?;
    (attachment.request.netns == space::path(store, &id)).then_some(id)
}

/// Takes containers that do not run off networks that they are still on: a plugin failed, or the machine went down. What could not be done.
///
/// # Errors
/// When the attachments cannot be read.
pub(crate) fn sweep(store: &Store) -> Result<Vec<Error>> {
    let attachments = store.cni().attachments()?;
    let ids: BTreeSet<ContainerId> = attachments.iter().filter_map(|one| container_of(store, one)).collect();
    Ok(ids.iter().flat_map(|id| sweep_one(store, id).unwrap_or_else(|error| vec![error])).collect())
}

fn sweep_one(store: &Store, id: &ContainerId) -> Result<Vec<Error>> {
    // Nobody owns one that does not run, and nobody can start it meanwhile.
    let Some(owned) = store.visit(id)? else { return Ok(Vec::new()) };
    if owned.inherited {
        // Of one whose owner was killed all is settled.
        drop(owned);
        return store.reconcile(id).map(|_| Vec::new());
    }
    let failed = try_detach(store, id);
    owned.finish()?;
    Ok(failed)
}
