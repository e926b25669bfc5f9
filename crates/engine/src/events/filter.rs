//! `events --filter`, by Docker's rules: values of one key are alternatives, keys all hold.

use super::Event;
use crate::Result;
use crate::filter::{has_label, known};

const KEYS: [&str; 15] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "pod",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    filters: Vec<(String, String)>,
}

impl EventFilter {
    /// Adds a `key=value`.
    ///
    /// # Errors
    /// [`Error::Filter`](crate::Error::Filter) of an unknown key.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        self.filters.push(known(filter, &KEYS)?);
        Ok(())
    }

    /// Whether the event is wanted.
    pub fn passes(&self, event: &Event) -> bool {
        KEYS.iter().all(|key| {
            let mut values = self
                .filters
                .iter()
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
                .peekable();
            match (values.peek(), *key) {
                (None, _) => true,
                (_, "label") => values.all(|value| fits(event, key, value)),
                _ => values.any(|value| fits(event, key, value)),
            }
        })
    }
}

fn fits(event: &Event, key: &str, value: &str) -> bool {
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str);
    match key {
        "type" => event.kind == value,
        "scope" => event.scope == value,
        // `exec_start: sh -c …` is an `exec_start`, too.
        "event" => event.action == value || event.action.split(':').next() == Some(value),
        "label" => has_label(&event.actor.attributes, value),
        "pod" => attribute("pod") == Some(value),
        "image" => {
            let name = if event.kind == "container" { "image" } else { "name" };
            let is_of = |text: &str| text == value || without_tag(text) == value;
            let is_kind = matches!(event.kind.as_str(), "container" | "image");
            is_kind && (is_of(&event.actor.id) || attribute(name).is_some_and(is_of))
        }
        // Of a thing of that kind, by its name or the beginning of its id.
        kind => {
            let is_named = attribute("name") == Some(value.trim_start_matches('/'));
            let is_id = !value.is_empty() && event.actor.id.starts_with(value);
            event.kind == kind && (is_named || is_id)
        }
    }
}

fn without_tag(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_chosen() {
        let event = Event::new("container", "exec_start: sh", "abcdef")
            .with("name", "web")
            .with("image", "host:5000/alpine:3.20")
            .with("tier", "front");
        for (filters, passes) in [
            (&["container=web"][..], true),
            (&["container=/web"], true),
            (&["container=abc"], true),
            (&["container=db"], false),
            (&["container=db", "container=web"], true),
            (&["event=exec_start"], true),
            (&["event=exec_die"], false),
            (&["image=host:5000/alpine"], true),
            (&["image=host:5000/alpine:3.20"], true),
            (&["image=alpine"], false),
            (&["label=tier=front", "label=none"], false),
            (&["label=tier", "type=container", "scope=local"], true),
            (&["type=image"], false),
            (&["network=web"], false),
        ] {
            let mut filter = EventFilter::default();
            filters.iter().for_each(|text| filter.add(text).unwrap());
            assert_eq!(filter.passes(&event), passes, "{filters:?}");
        }
        let error = EventFilter::default().add("contaner=x").unwrap_err().to_string();
        assert!(error.contains("did you mean container?"), "{error}");
    }
}
