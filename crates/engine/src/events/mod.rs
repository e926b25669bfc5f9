//! Events: what has happened to containers, images, networks and volumes, one line of JSON each, in Docker's fields.
//!
//! There is nobody to ask for them: whoever does a thing notes it down (`journal`) in a file that everybody appends to, and
//! whoever wants to know reads the file and waits for it to grow ([`Follow`]). An event that cannot be noted (a full disk) is
//! a warning; what it is about goes on.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_engine::{Engine, Paths, events::Event};
//! # let paths = Paths { root: "/var/lib/conex".into(), run: "/run/conex".into() };
//! let engine = Engine::open(paths)?;
//! engine.event(&Event::new("volume", "create", "data").with("driver", "local"));
//! # Ok(()) }
//! ```

mod filter;
mod follow;
mod journal;

use std::collections::BTreeMap;
use std::path::Path;

use conex_oci::ContainerId;
use serde::{Deserialize, Serialize};

pub use filter::EventFilter;
pub use follow::Follow;
pub(crate) use journal::Journal;

use crate::store::Record;
use crate::time::Time;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "Docker's names, which its documentation of events explains")]
pub struct Event {
    /// Of containers and images, as before Docker 1.10: the action, the id, the image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What it has happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// A container's or network's id, an image's reference or id, a volume's name.
    #[serde(rename = "ID")]
    pub id: String,
    /// What else is known of it: `name`, `image`, labels, `exitCode`.
    #[serde(rename = "Attributes", default)]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// An event of this moment. `kind` is `container`, `image`, `network`, `volume`, …
    pub fn new(kind: &str, action: &str, id: impl Into<String>) -> Self {
        let now = Time::now();
        let id = id.into();
        let is_old = matches!(kind, "container" | "image");
        let of_old = |text: &str| if is_old { text.to_owned() } else { String::new() };
        Self {
            status: of_old(action),
            id: of_old(&id),
            from: String::new(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id, attributes: BTreeMap::new() },
            scope: "local".to_owned(),
            time: now.seconds(),
            time_nano: now.0,
        }
    }

    /// With one attribute more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.actor.attributes.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Notes an event in the store at `root`; for who has no engine open. Never an error.
pub fn note(root: &Path, event: &Event) {
    Journal::new(root.join("events")).write(event);
}

/// A container as its events name it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    id: ContainerId,
    name: String,
    image: String,
    labels: BTreeMap<String, String>,
}

impl From<&Record> for Subject {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            name: record.name.to_string(),
            image: record.image.clone(),
            labels: record.labels.clone(),
        }
    }
}

impl Subject {
    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(crate) fn event(&self, action: &str) -> Event {
        let mut event = Event::new("container", action, self.id.as_str());
        event.from.clone_from(&self.image);
        event.actor.attributes.clone_from(&self.labels);
        event.with("name", &self.name).with("image", &self.image)
    }
}
