//! What a supervisor notes in the journal of events.

use super::container::Life;
use crate::events::Event;
use crate::network::NamedNetwork;

impl Life<'_> {
    pub(super) fn event(&self, action: &str) {
        self.parts.event(&self.subject.event(action));
    }

    /// One for each network that it has been put on or taken off.
    pub(super) fn network_events(&self, networks: Vec<NamedNetwork>, action: &str) {
        for network in networks {
            self.parts.event(&network.event(action).with("container", &self.id));
        }
    }

    /// One for each volume that it has got or given back.
    pub(super) fn volume_events(&self, action: &str) {
        for volume in &self.volumes {
            let event = Event::new("volume", action, volume.name.as_str()).with("container", &self.id);
            let event = event.with("driver", "local");
            self.parts.event(&match action {
                "mount" => event
                    .with("destination", volume.target.display())
                    .with("read/write", !volume.read_only)
                    // A volume's mounts are private, which Docker has no word for here.
                    .with("propagation", ""),
                _ => event,
            });
        }
    }
}
