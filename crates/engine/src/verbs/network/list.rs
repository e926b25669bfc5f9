//! `network ls`

use std::collections::BTreeSet;

use conex_network::Network;

use crate::{Engine, Error, Result};

/// `--filter`
#[derive(Debug, Clone, Default)]
pub struct NetworkFilter {
    filters: Vec<(String, String)>,
}

const KEYS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

impl NetworkFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives (labels all hold), keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that it does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let invalid = |why: String| Error::Filter { filter: filter.to_owned(), why };
        let (key, value) = filter.split_once('=').ok_or_else(|| invalid("expected key=value".to_owned()))?;
        match (key, value) {
            ("dangling", "true" | "false" | "1" | "0") | ("type", "custom" | "builtin") => {}
            ("dangling", _) => return Err(invalid("expected true or false".to_owned())),
            ("type", _) => return Err(invalid("expected custom or builtin".to_owned())),
            (known, _) if KEYS.contains(&known) => {}
            _ => return Err(invalid(format!("unknown key; there are {}", KEYS.join(", ")))),
        }
        self.filters.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    fn passes(&self, network: &Network, is_used: bool) -> bool {
        let fits = |key: &str, value: &str| match key {
            "dangling" => matches!(value, "true" | "1") != (is_used || network.is_default()),
            "driver" => network.driver.as_str() == value,
            "id" => network.id.as_str().starts_with(value),
            "name" => network.name.as_str().contains(value),
            "scope" => value == "local",
            "type" => (value == "builtin") == network.is_default(),
            "label" => match value.split_once('=') {
                Some((name, value)) => network.labels.get(name).is_some_and(|has| has == value),
                None => network.labels.contains_key(value),
            },
            _ => false,
        };
        let any = |key: &str| {
            let mut values = self.filters.iter().filter(|(name, _)| name == key).peekable();
            match (values.peek().is_none(), key) {
                (true, _) => true,
                (false, "label") => values.all(|(key, value)| fits(key, value)),
                (false, _) => values.any(|(key, value)| fits(key, value)),
            }
        };
        KEYS.iter().all(|key| any(key))
    }
}

impl Engine {
    /// The networks that pass the filter, by name; the default one is there before it was used.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn networks(&self, filter: &NetworkFilter) -> Result<Vec<Network>> {
        let networks = self.parts.networks();
        networks.default_network()?;
        let used = self.used_networks()?;
        let mut all = networks.list()?;
        all.retain(|network| filter.passes(network, used.contains(network.name.as_str())));
        Ok(all)
    }

    /// Names of networks that containers are connected to, running or not.
    pub(super) fn used_networks(&self) -> Result<BTreeSet<String>> {
        let networks = self.parts.networks();
        let mut used = BTreeSet::new();
        for id in self.parts.store.ids()? {
            let Some(record) = self.parts.store.record(&id)? else { continue };
            for connection in record.options.namespaces.network.connections() {
                used.extend(networks.find(&connection.network).map(|network| network.name.to_string()));
            }
        }
        Ok(used)
    }
}
