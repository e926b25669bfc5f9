//! `network ls`

use std::collections::BTreeSet;

use conex_network::Network;

use crate::filter::{invalid, known};
use crate::network::Place;
use crate::{Engine, Result};

/// `--filter`
#[derive(Debug, Clone, Default)]
pub struct NetworkFilter {
    filters: Vec<(String, String)>,
}

const KEYS: [&str; 8] = ["dangling", "driver", "id", "label", "label!", "name", "scope", "type"];

impl NetworkFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives (labels all hold), keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that it does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let (key, value) = known(filter, &KEYS)?;
        match (key.as_str(), value.as_str()) {
            ("dangling", "true" | "false" | "1" | "0") | ("type", "custom" | "builtin") => {}
            ("dangling", _) => return Err(invalid(filter, "expected true or false")),
            ("type", _) => return Err(invalid(filter, "expected custom or builtin")),
            _ => {}
        }
        self.filters.push((key, value));
        Ok(())
    }

    fn passes(&self, place: &Place, is_used: bool) -> bool {
        let own = match place {
            Place::Own(network) => Some(network),
            Place::Cni(_) => None,
        };
        let is_default = own.is_some_and(Network::is_default);
        let label = |name: &str| own.and_then(|network| network.labels.get(name));
        let fits = |key: &str, value: &str| match key {
            "dangling" => matches!(value, "true" | "1") != (is_used || is_default),
            "driver" => place.driver() == value,
            "id" => place.id().as_str().starts_with(value),
            "name" => place.name().as_str().contains(value),
            "scope" => value == "local",
            "type" => (value == "builtin") == is_default,
            "label" => match value.split_once('=') {
                Some((name, value)) => label(name).is_some_and(|has| has == value),
                None => label(value).is_some(),
            },
            "label!" => match value.split_once('=') {
                Some((name, value)) => label(name).is_none_or(|has| has != value),
                None => label(value).is_none(),
            },
            _ => false,
        };
        let any = |key: &str| {
            let mut values = self.filters.iter().filter(|(name, _)| name == key).peekable();
            match (values.peek().is_none(), key) {
                (true, _) => true,
                (false, "label" | "label!") => values.all(|(key, value)| fits(key, value)),
                (false, _) => values.any(|(key, value)| fits(key, value)),
            }
        };
        KEYS.iter().all(|key| any(key))
    }
}

impl Engine {
    /// The networks that pass the filter, by name, those of CNI among them; the default one is there before it was used. A file of CNI's
    /// that is wrong, or whose name is another's, is passed over.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn networks(&self, filter: &NetworkFilter) -> Result<Vec<Place>> {
        self.networks_among(filter, &self.used_networks()?)
    }

    /// The same, where those that are used are known.
    pub(super) fn networks_among(
        &self,
        filter: &NetworkFilter,
        used: &BTreeSet<String>,
    ) -> Result<Vec<Place>> {
        let networks = self.parts.networks();
        networks.default_network()?;
        let mut all: Vec<Place> = networks.list()?.into_iter().map(Place::Own).collect();
        let (lists, wrong) = self.parts.store.cni().lists();
        wrong.iter().for_each(|error| log::warn!("{error}"));
        for list in lists {
            match all.iter().any(|own| *own.name() == list.name) {
                true => log::warn!("{}: the network {} is another one", list.file.display(), list.name),
                false => all.push(Place::Cni(list)),
            }
        }
        all.sort_by(|one, other| one.name().cmp(other.name()));
        all.retain(|place| filter.passes(place, used.contains(place.name().as_str())));
        Ok(all)
    }

    /// Names of networks that containers are connected to, running or not.
    pub(super) fn used_networks(&self) -> Result<BTreeSet<String>> {
        let mut meant = BTreeSet::new();
        for id in self.parts.store.ids()? {
            let Some(record) = self.parts.store.record(&id)? else { continue };
            let connections = record.options.namespaces.network.connections().iter();
            meant.extend(connections.map(|connection| connection.network.clone()));
        }
        // Each looked for once, however many containers are on it.
        let found = meant.iter().filter_map(|name| Place::find(&self.parts.store, name).ok());
        Ok(found.map(|place| place.name().to_string()).collect())
    }
}
