//! What a supervisor notes in the journal of events.

use super::container::Life;
use crate::events::Event;

impl Life<'_> {
    pub(super) fn event(&self, action: &str) {
        self.parts.event(&self.subject.event(action));
    }

    /// One for each network that it has been put on or taken off.
    pub(super) fn network_events(&self, networks: Vec<(String, String)>, action: &str) {
        for (id, name) in networks {
            let event = Event::new("network", action, id).with("name", name).with("container", &self.id);
            self.parts.event(&event);
        }
    }

    /// One for each volume that it has got or given back.
    pub(super) fn volume_events(&self, action: &str) {
        for (name, target) in &self.volumes {
            let event = Event::new("volume", action, name.as_str()).with("container", &self.id);
            let event = event.with("driver", "local");
            self.parts.event(&match action {
                "mount" => event.with("destination", target.display()),
                _ => event,
            });
        }
    }
}
