//! `ps`: one small file and one lock probe a container that does not run, one more file for one that does.

use std::collections::BTreeMap;
use std::path::Path;

use conex_image::Usage;
use conex_network::cni::Attachment;
use conex_oci::{ContainerId, Digest};

use crate::health::{Health, HealthStatus};
use crate::options::{NetworkMode, RestartPolicy, nearest};
use crate::store::record::Summary;
use crate::store::writable::WritableLayer;
use crate::store::{ContainerState, write};
use crate::time::in_words;
use crate::{Engine, Error, Result};

const KEYS: [&str; 13] = [
    "ancestor",
    "before",
    "exited",
    "health",
    "id",
    "label",
    "name",
    "network",
    "restart-policy",
    "should-start-on-boot",
    "since",
    "status",
    "volume",
];
const HEALTHS: [&str; 4] = ["healthy", "none", "starting", "unhealthy"];
const STATES: [&str; 7] = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];

/// What `ps` takes.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// `-a`: also those that do not run.
    pub all: bool,
    /// `-n`: the newest so many, whatever their state.
    pub last: Option<usize>,
    /// `-s`: sizes are filled in (walks the writable layers).
    pub size: bool,
    /// `--filter key=value`, see [`ListFilter::add`].
    filters: Vec<(String, String)>,
}

impl ListFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives, keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that the key does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let invalid = |why: String| Error::Filter { filter: filter.to_owned(), why };
        let (key, value) = filter.split_once('=').ok_or_else(|| invalid("expected key=value".to_owned()))?;
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        match key.as_str() {
            "exited" if value.parse::<i32>().is_err() => {
                return Err(invalid("expected an exit code".to_owned()));
            }
            "status" if !STATES.contains(&value) => {
                return Err(invalid(format!("expected one of {}", STATES.join(", "))));
            }
            "health" if !HEALTHS.contains(&value) => {
                return Err(invalid(format!("expected one of {}", HEALTHS.join(", "))));
            }
            "restart-policy" if value.parse::<RestartPolicy>().is_err() => {
                return Err(invalid("expected no, on-failure, always or unless-stopped".to_owned()));
            }
            "should-start-on-boot" if value.parse::<bool>().is_err() => {
                return Err(invalid("expected true or false".to_owned()));
            }
            known if KEYS.contains(&known) => {}
            other => {
                let near =
                    nearest(other, KEYS).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
                return Err(invalid(format!("unknown key{near}; there are {}", KEYS.join(", "))));
            }
        }
        self.filters.push((key, value.to_owned()));
        Ok(())
    }

    /// Whether the user asked for states by name: then stopped ones are looked at too.
    fn asks_for_states(&self) -> bool {
        self.filters.iter().any(|(key, _)| matches!(key.as_str(), "status" | "exited"))
    }

    /// Whether there is a filter of that key.
    fn has(&self, key: &str) -> bool {
        self.filters.iter().any(|(name, _)| name == key)
    }

    /// Whether one value of `key` fits, or none is asked for.
    fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        let mut values =
            self.filters.iter().filter(|(name, _)| name == key).map(|(_, value)| value).peekable();
        values.peek().is_none() || values.any(|value| fits(value))
    }

    /// Whether all values of `key` fit.
    fn all(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        self.filters.iter().filter(|(name, _)| name == key).all(|(_, value)| fits(value))
    }
}

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
    /// Sources of bind mounts, names of volumes.
    pub mounts: Vec<String>,
    /// How many volumes it has.
    pub local_volumes: usize,
    /// `none`, `host`, `container:<id>`, or the networks' names.
    pub network: String,
    /// Those that are published, while it runs.
    pub ports: Vec<conex_network::Published>,
    /// With [`ListFilter::size`]: bytes of the writable layer, and of it and the image together.
    pub size: Option<(u64, u64)>,
}

struct Row {
    id: ContainerId,
    summary: Summary,
    state: ContainerState,
    /// Of one that runs and whose health is checked.
    health: Option<HealthStatus>,
    /// Whether a boot starts it; looked up only when somebody asks.
    boots: bool,
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
        let created = |key| -> Result<Option<crate::time::Time>> {
            let value = filter.filters.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            value.map(|name| Ok(self.parts.store.must_record(&self.find(name)?)?.created)).transpose()
        };
        let (before, since) = (created("before")?, created("since")?);
        rows.retain(|row| {
            before.is_none_or(|limit| row.summary.created < limit)
                && since.is_none_or(|limit| row.summary.created > limit)
        });
        if filter.has("should-start-on-boot") {
            for row in &mut rows {
                row.boots = self.boots(&row.id, row.summary.options.supervision.restart, &row.state)?;
            }
        }
        let ancestors = self.ancestors(filter);
        rows.retain(|row| passes(row, filter, &ancestors));
        rows.truncate(filter.last.unwrap_or(usize::MAX));
        // For all of them at once: each is looked for in all networks' directories.
        let attachments = match rows.iter().any(|row| row.state.process().is_some()) {
            true => self.parts.store.cni().attachments()?,
            false => Vec::new(),
        };
        rows.into_iter().map(|row| self.summarise(row, &attachments, filter.size)).collect()
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
        let summary = write::read_json(&store.directory(id).join("config.json"))?;
        if summary.is_none() {
            store.sweep(id)?;
        }
        let Some(summary): Option<Summary> = summary else { return Ok(None) };
        let health = match (&summary.health, state.process()) {
            (Some(_), Some(_)) => Health::read(&store.run_directory(id))?.map(|health| health.status),
            _ => None,
        };
        Ok(Some(Row { id: id.clone(), summary, state, health, boots: false }))
    }

    /// The ids of the images that `ancestor` filters name.
    fn ancestors(&self, filter: &ListFilter) -> Vec<Digest> {
        let named = filter.filters.iter().filter(|(key, _)| key == "ancestor");
        named.filter_map(|(_, name)| Some(self.parts.images.resolve(name, None).ok()?.id)).collect()
    }

    fn summarise(&self, row: Row, attachments: &[Attachment], size: bool) -> Result<ContainerSummary> {
        let Row { id, summary, state, health, .. } = row;
        let size = match size {
            true => Some(self.sizes(&id, &summary.image_id)?),
            false => None,
        };
        let network = match (&summary.options.namespaces.network, summary.joined.get("network")) {
            (NetworkMode::None, _) => "none".to_owned(),
            (NetworkMode::Host, _) => "host".to_owned(),
            (mode @ NetworkMode::Networks(_), _) => mode.to_string(),
            (NetworkMode::Container(_), Some(other)) => format!("container:{other}"),
            (NetworkMode::Container(name), None) => format!("container:{name}"),
        };
        let ports = match state.process() {
            Some(_) if matches!(summary.options.namespaces.network, NetworkMode::Networks(_)) => {
                let own = crate::network::endpoints(&self.parts.store.run_directory(&id))?;
                let theirs = attachments.iter().filter(|one| one.container == id.as_str());
                let own = own.into_iter().flat_map(|endpoint| endpoint.ports);
                own.chain(theirs.flat_map(|one| one.request.ports.clone())).collect()
            }
            _ => Vec::new(),
        };
        Ok(ContainerSummary {
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
                .collect(),
            local_volumes: summary.volumes.len(),
            network,
            ports,
            size,
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

    /// The containers that were made from an image, and the places where it is mounted: what stands in the way of `rmi`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn image_users(&self, image: &Digest) -> Result<Vec<Usage>> {
        let mounted = self.parts.images.mounted()?.into_iter().filter(|mounted| mounted.image == *image);
        let mut users: Vec<Usage> = mounted
            .map(|mounted| Usage {
                container: format!("(mounted on {})", mounted.path.display()),
                running: true,
            })
            .collect();
        for id in self.parts.store.ids()? {
            // One that cannot be looked at is taken to run.
            let running =
                self.parts.store.state(&id).map_or(true, |state| state.is_some_and(|s| s.is_live()));
            let record = self.parts.store.directory(&id).join("config.json");
            let uses = |summary: Summary| {
                summary.image_id == *image || summary.images.iter().any(|used| used.image == *image)
            };
            if write::read_json::<Summary>(&record)?.is_some_and(uses) {
                users.push(Usage { container: id.short().to_owned(), running });
            }
        }
        Ok(users)
    }
}

fn passes(row: &Row, filter: &ListFilter, ancestors: &[Digest]) -> bool {
    let Row { id, summary, state, .. } = row;
    let label = |wanted: &str| match wanted.split_once('=') {
        Some((key, value)) => summary.labels.get(key).is_some_and(|have| have == value),
        None => summary.labels.contains_key(wanted),
    };
    let exited = |code: &str| matches!(state, ContainerState::Exited(exit) if code == exit.code.to_string());
    let network = |wanted: &str| match &summary.options.namespaces.network {
        NetworkMode::None => wanted == "none",
        NetworkMode::Host => wanted == "host",
        NetworkMode::Networks(connections) => connections.iter().any(|one| one.network == wanted),
        NetworkMode::Container(name) => {
            let joined = summary.joined.get("network").map(ContainerId::as_str);
            wanted.strip_prefix("container:").is_some_and(|other| other == name || Some(other) == joined)
        }
    };
    let volume = |wanted: &str| {
        let mut binds = summary.options.storage.binds.iter();
        let mut volumes = summary.volumes.iter();
        binds.any(|bind| bind.source == Path::new(wanted) || bind.target == Path::new(wanted))
            || volumes.any(|volume| volume.name.as_str() == wanted || volume.target == Path::new(wanted))
    };
    let policy = |wanted: &str| {
        let own = summary.options.supervision.restart;
        own.name() == wanted || own.to_string() == wanted
    };
    filter.any("id", |prefix| id.as_str().starts_with(prefix))
        && filter.any("name", |part| summary.name.as_str().contains(part.trim_start_matches('/')))
        && filter.any("status", |word| state.word() == word)
        && filter.any("exited", exited)
        && filter.any("health", |wanted| row.health.map_or("none", HealthStatus::word) == wanted)
        && filter.any("restart-policy", policy)
        && filter.any("should-start-on-boot", |wanted| wanted == row.boots.to_string())
        && filter.all("label", label)
        && filter.any("network", network)
        && filter.any("volume", volume)
        && filter.any("ancestor", |name| name == summary.image || ancestors.contains(&summary.image_id))
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

/// Bytes of the regular files below a directory; what cannot be read counts nothing.
pub(super) fn tree_size(directory: &Path) -> u64 {
    let (mut total, mut left) = (0, vec![directory.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) if metadata.is_file() => total += metadata.len(),
                _ => {}
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_as_they_come() {
        let mut filter = ListFilter::default();
        for good in ["name=web", "status=running", "exited=137", "label=a=b", "LABEL=a"] {
            filter.add(good).unwrap();
        }
        for bad in ["name", "exited=x", "status=up", "nmae=web"] {
            assert!(filter.add(bad).is_err(), "{bad}");
        }
        let message = filter.add("nmae=web").unwrap_err().to_string();
        assert!(message.contains("did you mean name?"), "{message}");
    }
}
