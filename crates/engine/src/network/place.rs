//! What a network's name means: one of ours, or one of CNI. Where both have a name, ours is meant.

use conex_network::cni::List;
use conex_network::{Error, Network, NetworkId, NetworkName};

use crate::Result;
use crate::events::Event;
use crate::rootless::is_rootless;
use crate::store::Store;

/// Where a container can be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there are a handful at a time")]
pub enum Place {
    /// Made by us.
    Own(Network),
    /// Made by somebody's plugins.
    Cni(List),
}

/// What an event says of a network.
pub(crate) struct NamedNetwork {
    pub(crate) id: NetworkId,
    pub(crate) name: NetworkName,
    pub(crate) driver: &'static str,
}

impl NamedNetwork {
    pub(crate) fn event(&self, action: &str) -> Event {
        let event = Event::new("network", action, self.id.to_string());
        event.with("name", &self.name).with("type", self.driver)
    }
}

impl Place {
    /// The one that is meant: by its name, its id, or the beginning of its id.
    pub(crate) fn find(store: &Store, meant: &str) -> Result<Self> {
        match store.networks().find(meant) {
            Ok(network) if network.name.as_str() == meant => Ok(Self::Own(network)),
            // Found by its id, which comes after names.
            Ok(network) => match store.cni().find(meant) {
                Ok(list) if list.name.as_str() == meant => Ok(Self::Cni(list)),
                _ => Ok(Self::Own(network)),
            },
            Err(Error::NotFound { .. }) => match store.cni().find(meant)? {
                // Its plugins change the host's own networks.
                _ if is_rootless() => Err(crate::Error::RootDriver { driver: "cni" }),
                list => Ok(Self::Cni(list)),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &NetworkName {
        match self {
            Self::Own(network) => &network.name,
            Self::Cni(list) => &list.name,
        }
    }

    /// Its id.
    pub fn id(&self) -> NetworkId {
        match self {
            Self::Own(network) => network.id.clone(),
            Self::Cni(list) => list.id(),
        }
    }

    /// For its events.
    pub(crate) fn named(&self) -> NamedNetwork {
        NamedNetwork { id: self.id(), name: self.name().clone(), driver: self.driver() }
    }

    /// `bridge`, `cni`
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Own(network) => network.driver.as_str(),
            Self::Cni(_) => "cni",
        }
    }

    /// The one of ours; of CNI there is nothing to be done with it but to edit its file.
    pub(crate) fn own(self, what: &'static str) -> Result<Network> {
        match self {
            Self::Own(network) => Ok(network),
            Self::Cni(list) => {
                Err(Error::Foreign { name: list.name.to_string(), path: list.file, what }.into())
            }
        }
    }

    /// Whether everywhere else may be reached by it.
    pub(super) fn leads_on(&self) -> bool {
        match self {
            Self::Own(network) => !network.internal,
            // What its plugins do nobody knows.
            Self::Cni(_) => true,
        }
    }

    /// Whether ports of the host's can lead there.
    pub(super) fn publishes(&self) -> bool {
        match self {
            Self::Own(network) => !network.internal && network.driver.switch().is_some(),
            Self::Cni(list) => list.can("portMappings"),
        }
    }
}
