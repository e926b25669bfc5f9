//! `pod ps`.

use std::collections::BTreeMap;

use conex_oci::ContainerId;

use crate::filter::{has_label, known};
use crate::options::PodPart;
use crate::store::{ContainerState, Record};
use crate::time::Time;
use crate::{Engine, Result};

const KEYS: [&str; 9] =
    ["ctr-ids", "ctr-names", "ctr-number", "ctr-status", "id", "label", "name", "network", "status"];

/// How a pod is, of how its containers are; Podman's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// None was ever started.
    Created,
    /// All run.
    Running,
    /// Some run.
    Degraded,
    /// All that run are paused.
    Paused,
    /// The pod itself has ended, or all in it have.
    Exited,
}

impl PodState {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Running => "Running",
            Self::Degraded => "Degraded",
            Self::Paused => "Paused",
            Self::Exited => "Exited",
        }
    }

    fn of(states: &[ContainerState]) -> Self {
        let count = |is: fn(&ContainerState) -> bool| states.iter().filter(|state| is(state)).count();
        let running =
            count(|state| matches!(state, ContainerState::Running(_) | ContainerState::Restarting(_)));
        let paused = count(|state| matches!(state, ContainerState::Paused(_)));
        let created = count(|state| matches!(state, ContainerState::Created));
        match states.len() {
            all if created == all => Self::Created,
            all if running == all => Self::Running,
            _ if running + paused == 0 => Self::Exited,
            _ if running == 0 => Self::Paused,
            _ => Self::Degraded,
        }
    }
}

/// A row of `pod ps`.
#[derive(Debug, Clone)]
pub struct PodSummary {
    /// Its id, which is its own container's.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// How it is.
    pub state: PodState,
    /// `--label`
    pub labels: BTreeMap<String, String>,
    /// Its networks, as `--network` has them.
    pub network: String,
    /// What is shared.
    pub shared: Vec<String>,
    /// Its containers, its own first: id, name and Docker's word for the state.
    pub containers: Vec<(ContainerId, String, &'static str)>,
}

/// What `pod ps` takes.
#[derive(Debug, Clone, Default)]
pub struct PodFilter(Vec<(String, String)>);

impl PodFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives, keys all hold.
    ///
    /// # Errors
    /// An unknown key.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        self.0.push(known(filter, &KEYS)?);
        Ok(())
    }

    fn passes(&self, pod: &PodSummary) -> bool {
        KEYS.iter().all(|key| {
            let mut values = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value).peekable();
            values.peek().is_none() || values.any(|value| fits(pod, key, value))
        })
    }
}

fn fits(pod: &PodSummary, key: &str, value: &str) -> bool {
    match key {
        "id" => pod.id.as_str().starts_with(value),
        "name" => pod.name.contains(value),
        "status" => pod.state.word().eq_ignore_ascii_case(value),
        "network" => pod.network.split(',').any(|network| network == value),
        "label" => has_label(&pod.labels, value),
        "ctr-ids" => pod.containers.iter().any(|(id, _, _)| id.as_str().starts_with(value)),
        "ctr-names" => pod.containers.iter().any(|(_, name, _)| name.contains(value)),
        "ctr-status" => pod.containers.iter().any(|(_, _, state)| *state == value),
        _ => value.parse() == Ok(pod.containers.len()),
    }
}

impl Engine {
    /// The pods that pass the filter, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn pods(&self, filter: &PodFilter) -> Result<Vec<PodSummary>> {
        let store = &self.parts.store;
        let (mut pods, mut members) = (Vec::new(), BTreeMap::<ContainerId, Vec<Record>>::new());
        for id in store.ids()? {
            let Some(record) = store.record(&id).ok().flatten() else { continue };
            match &record.options.pod {
                Some(PodPart::Infra(_)) => pods.push(record),
                Some(PodPart::Member { pod }) => members.entry(pod.clone()).or_default().push(record),
                None => {}
            }
        }
        pods.sort_unstable_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        let mut list = Vec::with_capacity(pods.len());
        for record in pods {
            let mut members = members.remove(&record.id).unwrap_or_default();
            members.sort_unstable_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            list.extend(self.pod_summary(record, members)?.filter(|pod| filter.passes(pod)));
        }
        Ok(list)
    }

    /// `None` when it has been removed meanwhile.
    pub(super) fn pod_summary(&self, record: Record, members: Vec<Record>) -> Result<Option<PodSummary>> {
        let Some(PodPart::Infra(options)) = &record.options.pod else { return Ok(None) };
        let shared = options.shared.kinds().iter().map(ToString::to_string).collect();
        let network = record.options.namespaces.network.to_string();
        let (mut containers, mut states) = (Vec::new(), Vec::new());
        let (name, labels, created, id) =
            (record.name.to_string(), record.options.labels.clone(), record.created, record.id.clone());
        for one in std::iter::once(record).chain(members) {
            let Some(state) = self.parts.store.state(&one.id)? else { continue };
            containers.push((one.id, one.name.to_string(), state.word()));
            states.push(state);
        }
        if containers.first().is_none_or(|(first, _, _)| *first != id) {
            return Ok(None);
        }
        Ok(Some(PodSummary {
            id,
            name,
            created,
            state: PodState::of(&states),
            labels,
            network,
            shared,
            containers,
        }))
    }
}
