//! Which containers `ps` shows: `-a`, `-n`, and `--filter` by Docker's rules and with Podman's keys.

use std::collections::BTreeSet;
use std::path::Path;

use conex_network::PortRange;
use conex_oci::{ContainerId, Digest};

use super::list::Row;
use crate::Result;
use crate::filter::{has_label, invalid, known};
use crate::health::HealthStatus;
use crate::options::{NetworkMode, RestartPolicy};
use crate::store::ContainerState;

const KEYS: [&str; 19] = [
    "ancestor",
    "before",
    "command",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "label",
    "name",
    "network",
    "pod",
    "publish",
    "restart-policy",
    "should-start-on-boot",
    "since",
    "status",
    "until",
    "volume",
];
const STATES: [&str; 8] =
    ["created", "dead", "exited", "paused", "removing", "restarting", "running", "stopped"];
const HEALTH: [&str; 4] = ["healthy", "none", "starting", "unhealthy"];

/// What `ps` takes.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// `-a`: also those that do not run.
    pub all: bool,
    /// `-n`: the newest so many, whatever their state.
    pub last: Option<usize>,
    /// `-s`: sizes are filled in (walks the writable layers).
    pub size: bool,
    /// Platforms are filled in (reads the images' configurations).
    pub platform: bool,
    /// Exposed ports are filled in (reads the images' configurations).
    pub ports: bool,
    /// Names of pods are looked up.
    pub pods: bool,
    /// `--filter key=value`, see [`ListFilter::add`].
    pub(super) filters: Vec<(String, String)>,
}

impl ListFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives, keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that the key does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let (key, value) = known(filter, &KEYS)?;
        let invalid = |why: String| Err(invalid(filter, why));
        match key.as_str() {
            "exited" if value.parse::<i32>().is_err() => {
                return invalid("expected an exit code".to_owned());
            }
            "status" if !STATES.contains(&value.as_str()) => {
                return invalid(format!("expected one of {}", STATES.join(", ")));
            }
            "health" if !HEALTH.contains(&value.as_str()) => {
                return invalid(format!("expected one of {}", HEALTH.join(", ")));
            }
            "restart-policy" if value.parse::<RestartPolicy>().is_err() => {
                return invalid("expected no, on-failure, always or unless-stopped".to_owned());
            }
            "should-start-on-boot" | "is-task" if flag(&value).is_none() => {
                return invalid("expected true or false".to_owned());
            }
            "publish" | "expose" if port(&value).is_none() => {
                return invalid("expected a port or a range of ports, as 80, 8000-8010/udp".to_owned());
            }
            "until" if value.parse::<i64>().is_err() => {
                return invalid("expected seconds since 1970".to_owned());
            }
            _ => {}
        }
        self.filters.push((key, value));
        Ok(())
    }

    /// Whether the user asked for states by name: then stopped ones are looked at too.
    pub(super) fn asks_for_states(&self) -> bool {
        self.asks("status") || self.asks("exited")
    }

    pub(super) fn asks(&self, key: &str) -> bool {
        self.filters.iter().any(|(name, _)| name == key)
    }

    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.filters.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
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

    pub(super) fn passes(&self, row: &Row, descendants: &BTreeSet<Digest>) -> bool {
        let Row { id, summary, state, .. } = row;
        let label = |wanted: &str| has_label(&summary.labels, wanted);
        let exited =
            |code: &str| matches!(state, ContainerState::Exited(exit) if code == exit.code.to_string());
        let status = |word: &str| state.word() == if word == "stopped" { "exited" } else { word };
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
            let mut images = summary.images.iter();
            binds.any(|bind| bind.source == Path::new(wanted) || bind.target == Path::new(wanted))
                || volumes.any(|volume| volume.name.as_str() == wanted || volume.target == Path::new(wanted))
                || images.any(|image| image.source == wanted || image.target == Path::new(wanted))
        };
        let until = |limit: &str| limit.parse::<i64>().is_ok_and(|limit| summary.created.seconds() < limit);
        let policy = &summary.options.supervision.restart;
        self.any("id", |part| like(id.as_str(), part))
            && self.any("name", |part| like(summary.name.as_str(), part.trim_start_matches('/')))
            && self.any("status", status)
            && self.any("exited", exited)
            && self.all("label", label)
            && self.any("network", network)
            && self.any("volume", volume)
            && self.any("ancestor", |name| name == summary.image || descendants.contains(&summary.image_id))
            && self.any("command", |word| summary.command.first().is_some_and(|first| first == word))
            && self.any("health", |word| row.health.map_or("none", HealthStatus::word) == word)
            // Tasks are a swarm's.
            && self.any("is-task", |wanted| flag(wanted) == Some(false))
            && self.any("pod", |_| row.in_pod)
            && self.any("publish", |wanted| row.published.iter().any(|have| overlap(have, wanted)))
            && self.any("expose", |wanted| row.exposed.iter().any(|have| overlap(have, wanted)))
            && self.any("restart-policy", |wanted| policy.name() == wanted || policy.to_string() == wanted)
            && self.any("should-start-on-boot", |wanted| flag(wanted) == Some(row.boots))
            && self.all("until", until)
    }
}

/// Whether the text has the part in it; `^` and `$` stand for its ends, as people write them for Docker, which takes expressions.
fn like(text: &str, part: &str) -> bool {
    let (part, at_start) = match part.strip_prefix('^') {
        Some(rest) => (rest.trim_start_matches('/').trim_start_matches("?"), true),
        None => (part, false),
    };
    match (part.strip_suffix('$'), at_start) {
        (Some(part), true) => text == part,
        (Some(part), false) => text.ends_with(part),
        (None, true) => text.starts_with(part),
        (None, false) => text.contains(part),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// `80`, `80/tcp`, `8000-8010/udp`; TCP's without a word.
fn port(text: &str) -> Option<(PortRange, &str)> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let range = PortRange { first: first.parse().ok()?, last: last.parse().ok()? };
    (range.first <= range.last && matches!(protocol, "tcp" | "udp" | "sctp")).then_some((range, protocol))
}

fn overlap(have: &(PortRange, String), wanted: &str) -> bool {
    port(wanted).is_some_and(|(wanted, protocol)| {
        have.1 == protocol && have.0.first <= wanted.last && wanted.first <= have.0.last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_as_they_come() {
        let mut filter = ListFilter::default();
        for good in [
            "name=web",
            "status=running",
            "exited=137",
            "label=a=b",
            "LABEL=a",
            "publish=80",
            "expose=1-2/udp",
            "is-task=false",
            "health=none",
            "status=stopped",
        ] {
            filter.add(good).unwrap();
        }
        for bad in [
            "name",
            "exited=x",
            "status=up",
            "nmae=web",
            "publish=x",
            "publish=2-1",
            "health=fine",
            "is-task=x",
        ] {
            assert!(filter.add(bad).is_err(), "{bad}");
        }
        let message = filter.add("nmae=web").unwrap_err().to_string();
        assert!(message.contains("did you mean name?"), "{message}");
    }

    #[test]
    fn ends_of_names() {
        for (part, fits) in [
            ("eb", true),
            ("^web$", true),
            ("^/web$", true),
            ("^we", true),
            ("eb$", true),
            ("^eb", false),
            ("we$", false),
        ] {
            assert_eq!(like("web", part), fits, "{part}");
        }
    }
}
