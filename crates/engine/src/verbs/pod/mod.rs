//! Pods: containers that share namespaces, held by a container of their own.
//!
//! A pod is its first container: the pod's name and id are that one's, and what runs in it is a process that waits
//! ([`INIT`](crate::Engine::with_init)). So a pod is made, found, locked and cleared as any container is, and nothing about it is on disk twice. Its
//! other containers say in their record whose they are.

mod create;
mod inspect;
mod life;
mod list;

pub use create::Chosen as PodChosen;
pub(crate) use life::stop_if_left;
pub use list::{PodFilter, PodState, PodSummary};

use conex_oci::ContainerId;

use crate::options::{PodOptions, PodPart};
use crate::store::{Record, Store};
use crate::{Engine, Error, Result};

impl Engine {
    /// The pod that a user means.
    ///
    /// # Errors
    /// [`Error::NoSuchPod`], [`Error::Ambiguous`].
    pub fn find_pod(&self, text: &str) -> Result<ContainerId> {
        let missing = || Error::NoSuchPod { name: text.to_owned() };
        let id = match self.find(text) {
            Err(Error::NoSuchContainer { .. }) => return Err(missing()),
            found => found?,
        };
        match self.parts.store.must_record(&id)?.options.pod {
            Some(PodPart::Infra(_)) => Ok(id),
            _ => Err(missing()),
        }
    }

    /// A pod's own record and what it is as a pod.
    fn pod_record(&self, pod: &ContainerId) -> Result<(Record, PodOptions)> {
        let record = self.parts.store.must_record(pod)?;
        match record.options.pod.clone() {
            Some(PodPart::Infra(options)) => Ok((record, options)),
            _ => Err(Error::NoSuchPod { name: record.name.to_string() }),
        }
    }

    /// The containers of a pod but its own, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn pod_members(&self, pod: &ContainerId) -> Result<Vec<ContainerId>> {
        members(&self.parts.store, pod)
    }
}

fn members(store: &Store, pod: &ContainerId) -> Result<Vec<ContainerId>> {
    let mut members: Vec<Record> = Vec::new();
    for id in store.ids()? {
        // One that is damaged is no reason to lose the others.
        let record = store.record(&id).ok().flatten();
        members.extend(record.filter(|record| is_member(record, pod)));
    }
    members.sort_unstable_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(members.into_iter().map(|record| record.id).collect())
}

fn is_member(record: &Record, of: &ContainerId) -> bool {
    matches!(&record.options.pod, Some(PodPart::Member { pod }) if pod == of)
}
