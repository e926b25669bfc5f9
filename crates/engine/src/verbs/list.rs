//! `ps`: one small file and one lock probe a container that does not run, one more file for one that does.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;

use conex_network::cni::Attachment;
use conex_network::{PortRange, PortSpec};
use conex_oci::{ContainerId, Digest};
use rustix::fs::{Mode, OFlags};

use super::ListFilter;
use crate::health::{Health, HealthStatus};
use crate::options::{Exposed, NetworkMode, PodPart};
use crate::store::record::Summary;
use crate::store::writable::WritableLayer;
use crate::store::{ContainerState, write};
use crate::time::{Time, in_words};
use crate::{Engine, Result};

/// A row of `ps`.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// Its id.
    pub id: ContainerId,
    /// Without the slash.
    pub name: String,
    /// The image as the user typed it.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// Program and arguments, joined with spaces.
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Docker's word: `created`, `running`, `paused`, `restarting`, `exited`.
    pub state: &'static str,
    /// Docker's phrase: `Up 3 minutes`, `Exited (0) 2 hours ago`.
    pub status: String,
    /// Labels of the image and the user.
    pub labels: BTreeMap<String, String>,
    /// Sources of bind mounts, names of volumes and of mounted images.
    pub mounts: Vec<String>,
    /// How many volumes it has.
    pub local_volumes: usize,
    /// `none`, `host`, `container:<id>`, or the networks' names.
    pub network: String,
    /// Those that are published, while it runs.
    pub ports: Vec<conex_network::Published>,
    /// With [`ListFilter::ports`]: those that it or its image offers, published or not, while it runs.
    pub exposed: Vec<Exposed>,
    /// With [`ListFilter::size`]: bytes of the writable layer, and of it and the image together.
    pub size: Option<(u64, u64)>,
    /// With [`ListFilter::platform`]: the image's, as `linux/amd64`.
    pub platform: Option<String>,
    /// The first process; 0 without one.
    pub pid: u32,
    /// Of the last run, when it does not run.
    pub exit_code: i32,
    /// When the last run began; `None` before the first.
    pub started: Option<Time>,
    /// How often the restart policy has started it.
    pub restarts: u32,
    /// The pod that it is, or is in; its name with [`ListFilter::pods`].
    pub pod: Option<(ContainerId, String)>,
}

pub(super) struct Row {
    pub(super) id: ContainerId,
    pub(super) summary: Summary,
    pub(super) state: ContainerState,
    /// Of one whose health is checked and that has run.
    pub(super) health: Option<HealthStatus>,
    /// Whether a boot starts it; looked up only when somebody asks.
    pub(super) boots: bool,
    /// Whether it is in one of the pods that are asked for.
    pub(super) in_pod: bool,
    /// The container's ports, with the protocol's name.
    pub(super) published: Vec<(PortRange, String)>,
    /// Likewise, if they are asked for.
    pub(super) exposed: Vec<(PortRange, String)>,
}

impl Row {
    /// Whether it runs, on networks: then its ports are somewhere.
    pub(super) fn is_connected(&self) -> bool {
        self.state.process().is_some()
            && matches!(self.summary.options.namespaces.network, NetworkMode::Networks(_))
    }
}

impl Engine {
    /// The containers that pass the filter, newest first. What dead owners left is settled on the way.
    ///
    /// # Errors
    /// When the store cannot be read, or a filter names a container that is not there; a single damaged container is
    /// left out.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>> {
        let everything = filter.all || filter.last.is_some() || filter.asks_for_states();
        let mut rows = Vec::new();
        for id in self.parts.store.ids()? {
            match self.row(&id, everything) {
                Ok(row) => rows.extend(row),
                Err(error) => log::warn!("container {}: {error}", id.short()),
            }
        }
        rows.sort_unstable_by(|a, b| (b.summary.created, &b.id).cmp(&(a.summary.created, &a.id)));
        let created = |key| -> Result<Option<Time>> {
            let value = filter.filters.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            value.map(|name| Ok(self.parts.store.must_record(&self.find(name)?)?.created)).transpose()
        };
        let (before, since) = (created("before")?, created("since")?);
        rows.retain(|row| {
            before.is_none_or(|limit| row.summary.created < limit)
                && since.is_none_or(|limit| row.summary.created > limit)
        });
        if filter.asks("should-start-on-boot") {
            for row in &mut rows {
                row.boots = self.boots(&row.id, row.summary.options.supervision.restart, &row.state)?;
            }
        }
        let descendants = self.descendants(filter.values("ancestor"), &rows);
        let pods = filter.values("pod").filter_map(|name| self.find_pod(name).ok()).collect::<Vec<_>>();
        for row in &mut rows {
            self.find_out(row, filter);
            row.in_pod = match &row.summary.options.pod {
                Some(PodPart::Infra(_)) => pods.contains(&row.id),
                Some(PodPart::Member { pod }) => pods.contains(pod),
                None => false,
            };
        }
        rows.retain(|row| filter.passes(row, &descendants));
        rows.truncate(filter.last.unwrap_or(usize::MAX));
        // For all of them at once: each is looked for in all networks' directories.
        let attachments = match rows.iter().any(|row| row.state.process().is_some()) {
            true => self.parts.store.cni().attachments()?,
            false => Vec::new(),
        };
        let exposed = if filter.ports { self.exposed(&rows) } else { BTreeMap::new() };
        rows.into_iter().map(|row| self.summarise(row, &attachments, &exposed, filter)).collect()
    }

    /// One container; `None` when it is not (any more), or does not run and only those are asked for.
    fn row(&self, id: &ContainerId, everything: bool) -> Result<Option<Row>> {
        let store = &self.parts.store;
        let Some(state) = store.state(id)? else { return Ok(None) };
        if !everything && !state.is_live() {
            // What is no container may be the rest of one.
            if !store.directory(id).join("config.json").exists() {
                store.sweep(id)?;
            }
            return Ok(None);
        }
        let summary: Option<Summary> = write::read_json(&store.directory(id).join("config.json"))?;
        if summary.is_none() {
            store.sweep(id)?;
        }
        let Some(summary): Option<Summary> = summary else { return Ok(None) };
        let health = match (&summary.health, state.process()) {
            (Some(_), Some(_)) => Health::read(&store.run_directory(id))?.map(|health| health.status),
            // As `inspect` has it.
            (Some(_), None) => match &state {
                ContainerState::Restarting(exit) | ContainerState::Exited(exit) => {
                    exit.health.as_ref().map(|health| health.status)
                }
                _ => None,
            },
            _ => None,
        };
        let port = |spec: &PortSpec| (spec.container_ports, spec.protocol.to_string());
        Ok(Some(Row {
            id: id.clone(),
            published: summary.options.ports.publish.iter().map(port).collect(),
            summary,
            state,
            health,
            boots: false,
            in_pod: false,
            exposed: Vec::new(),
        }))
    }

    /// What only some filters need.
    fn find_out(&self, row: &mut Row, filter: &ListFilter) {
        if filter.asks("expose") {
            row.exposed.clone_from(&row.published);
            let asked = row.summary.options.ports.expose.iter();
            row.exposed.extend(asked.map(|one| (one.ports, one.protocol.to_string())));
            let image = self.image_exposes(&row.summary.image_id);
            row.exposed.extend(image.into_iter().map(|one| (one.ports, one.protocol.to_string())));
        }
    }

    fn summarise(
        &self,
        row: Row,
        attachments: &[Attachment],
        exposed: &BTreeMap<Digest, Vec<Exposed>>,
        filter: &ListFilter,
    ) -> Result<ContainerSummary> {
        let connected = row.is_connected();
        let Row { id, summary, state, health, .. } = row;
        let size = match filter.size {
            true => Some(self.sizes(&id, &summary.image_id)?),
            false => None,
        };
        let platform = match filter.platform {
            true => self.parts.images.resolve(&summary.image_id.to_string(), None).ok(),
            false => None,
        };
        let exit = match &state {
            ContainerState::Exited(exit) | ContainerState::Restarting(exit) => Some(exit),
            _ => None,
        };
        let network = match (&summary.options.namespaces.network, summary.joined.get("network")) {
            (NetworkMode::None, _) => "none".to_owned(),
            (NetworkMode::Host, _) => "host".to_owned(),
            (mode @ NetworkMode::Networks(_), _) => mode.to_string(),
            (NetworkMode::Container(_), Some(other)) => format!("container:{other}"),
            (NetworkMode::Container(name), None) => format!("container:{name}"),
        };
        let ports = match connected {
            true => {
                let own = crate::network::endpoints(&self.parts.store.run_directory(&id))?;
                let theirs = attachments.iter().filter(|one| one.container == id.as_str());
                let own = own.into_iter().flat_map(|endpoint| endpoint.ports);
                own.chain(theirs.flat_map(|one| one.request.ports.clone())).collect()
            }
            false => Vec::new(),
        };
        let asked = summary.options.ports.expose.iter();
        let exposed = match exposed.get(&summary.image_id) {
            Some(image) if connected => asked.chain(image).copied().collect(),
            _ => Vec::new(),
        };
        let pod = match &summary.options.pod {
            Some(PodPart::Infra(_)) => Some((id.clone(), summary.name.to_string())),
            Some(PodPart::Member { pod }) => {
                let record = if filter.pods { self.parts.store.record(pod)? } else { None };
                Some((pod.clone(), record.map_or_else(String::new, |record| record.name.to_string())))
            }
            None => None,
        };
        Ok(ContainerSummary {
            pod,
            name: summary.name.to_string(),
            image: summary.image,
            image_id: summary.image_id,
            command: summary.command.join(" "),
            created: summary.created.seconds(),
            state: state.word(),
            status: phrase(&state, health),
            labels: summary.labels,
            mounts: summary
                .options
                .storage
                .binds
                .iter()
                .map(|bind| bind.source.display().to_string())
                .chain(summary.volumes.iter().map(|volume| volume.name.to_string()))
                .chain(summary.images.iter().map(|image| image.source.clone()))
                .collect(),
            local_volumes: summary.volumes.len(),
            network,
            ports,
            exposed,
            size,
            platform: platform.map(|image| image.platform().to_string()),
            pid: state.process().map_or(0, |process| process.pid),
            exit_code: exit.map_or(0, |exit| exit.code),
            started: state
                .process()
                .map(|process| process.started_at)
                .or(exit.and_then(|exit| exit.started_at)),
            restarts: state
                .process()
                .map(|process| process.restarts)
                .or(exit.map(|exit| exit.restarts))
                .unwrap_or(0),
            id,
        })
    }

    /// Bytes of the writable layer, and of it and the image together.
    pub(super) fn sizes(&self, id: &ContainerId, image: &Digest) -> Result<(u64, u64)> {
        let layer = WritableLayer::open(&self.parts.store.directory(id))?;
        let written = tree_size(&layer.scratch.upper);
        let image = self
            .parts
            .images
            .resolve(&image.to_string(), None)
            .and_then(|image| self.parts.images.size(&image));
        Ok((written, written + image.unwrap_or(0)))
    }
}

/// Docker's phrase for a state.
fn phrase(state: &ContainerState, health: Option<HealthStatus>) -> String {
    match state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Running(process) => {
            let health = match health {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{health}", in_words(process.started_at.elapsed()))
        }
        ContainerState::Paused(process) => format!("Up {} (Paused)", in_words(process.started_at.elapsed())),
        ContainerState::Restarting(exit) => {
            format!("Restarting ({}) {} ago", exit.code, in_words(exit.finished_at.elapsed()))
        }
        ContainerState::Exited(exit) => {
            format!("Exited ({}) {} ago", exit.code, in_words(exit.finished_at.elapsed()))
        }
    }
}

/// Bytes of the regular files that a container has written; what cannot be read counts nothing. It may be at work there: no link of its
/// own leads out.
pub(super) fn tree_size(upper: &Path) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(upper, flags, Mode::empty());
    opened.map_or(0, |upper| conex_volume::length(upper.as_fd()))
}
