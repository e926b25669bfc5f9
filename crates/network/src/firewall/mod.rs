//! Our part of the packet filter: the table `inet conex`, and `bridge conex` for what containers may not pretend to be; two more when
//! the host's `input` chains are to be asked ([`input`]).
//!
//! The rules are always the same ([`rules`]): they ask sets and maps, and networks and containers are elements of these
//! ([`elements`]). So a start adds a few elements in one transaction, whatever is there. Nothing here accepts anything for the
//! whole host: nftables asks every table, and what the host's own firewall drops is dropped.
//!
//! The tables may go at any time, with an `nft flush ruleset`: who adds elements then finds no set, and everything is written anew
//! ([`Firewall::restore`]).

mod elements;
mod input;
mod inside;
mod rules;

use conex_netlink::nft::{Batch, Element, Family, Nft, RuleCount, Table};
use conex_netlink::{Error as Netlink, unless_gone};

use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::{Error, Result};

use self::elements::Place;
pub use self::inside::{refuse_metadata, translate_port};

const INET: Table<'_> = Table { family: Family::Inet, name: "conex" };
const BRIDGE: Table<'_> = Table { family: Family::Bridge, name: "conex" };

/// A way to our tables.
#[derive(Debug)]
pub struct Firewall {
    nft: Nft,
    settings: Settings,
    /// Whether the tables have been seen to be as the settings want them.
    is_settled: bool,
}

/// What holds for all containers' packets, from the next that is admitted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Containers are kept from the metadata addresses of clouds.
    pub block_metadata: bool,
    /// Published ports are open to whom the host's own `input` chains let in, too.
    pub ask_input: bool,
}

fn failed(source: Netlink) -> Error {
    Error::Filter { source }
}

impl Firewall {
    /// Of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open().map_err(failed)?, settings: Settings::default(), is_settled: false })
    }

    /// With other settings than none.
    #[must_use]
    pub fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.is_settled = false;
        self
    }

    /// Lets a container's endpoint take part. False when our tables are not there, or not whole: restore them, and ask again.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn admit(&mut self, network: &Network, endpoint: &Endpoint) -> Result<bool> {
        if network.driver.switch().is_none() {
            return Ok(true);
        }
        let is_input_asked = self.settings.ask_input && !self.is_settled;
        if is_input_asked && !(input::device()?.is_some() && self.has_all(&input::TABLES)?) {
            return Ok(false);
        }
        let mut batch = Batch::new();
        // Its network's, too: they cost nothing when they are there, and may be missing when they are not.
        for element in
            elements::of_network(network).into_iter().chain(elements::of_endpoint(network, endpoint))
        {
            add(&mut batch, &element);
        }
        self.put_settings(&mut batch);
        let peers = elements::of_peers(network)?;
        for element in &peers {
            add(&mut batch, element);
        }
        match self.nft.run(&batch) {
            Ok(()) => {
                if !self.is_settled {
                    self.forget_settings()?;
                    self.is_settled = true;
                }
                self.forget_peers_but(network, &peers).map(|()| true)
            }
            Err(error) if error.is_gone() => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Takes an endpoint's elements away; those that are not there are gone already.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn dismiss(&mut self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.take_away(&elements::of_endpoint(network, endpoint))
    }

    /// Takes a network's elements away, and with the last network all.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn forget(&mut self, network: &Network, is_last: bool) -> Result<()> {
        if is_last {
            return self.remove();
        }
        self.take_away(&elements::of_network(network))?;
        self.forget_peers_but(network, &[])
    }

    /// Takes away who is no peer of the network's tunnel any more.
    fn forget_peers_but(&mut self, network: &Network, now: &[(Place, Element)]) -> Result<()> {
        let Some((places, begin)) = elements::peers_begin(network) else { return Ok(()) };
        let mut gone = Vec::new();
        for place in places {
            let there = self.nft.elements(place.table, place.set).map_err(failed)?;
            let is_gone = |element: &Element| {
                element.key().starts_with(&begin) && !now.iter().any(|(_, now)| now == element)
            };
            gone.extend(there.into_iter().filter(is_gone).map(|element| (place, element)));
        }
        if gone.is_empty() { Ok(()) } else { self.take_away(&gone) }
    }

    /// Removes both tables.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn remove(&mut self) -> Result<()> {
        self.delete_tables(&[INET, BRIDGE])?;
        self.delete_tables(&input::TABLES)?;
        input::lower()
    }

    /// Those that are there.
    fn delete_tables(&mut self, tables: &[Table<'_>]) -> Result<()> {
        for table in tables {
            let mut batch = Batch::new();
            batch.delete_table(*table);
            unless_gone(self.nft.run(&batch)).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes everything anew, in one transaction: the rules, the networks, the endpoints of all containers that run. What is of nobody
    /// any more goes.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn restore<'a>(
        &mut self,
        networks: &[Network],
        endpoints: impl IntoIterator<Item = (&'a Network, &'a Endpoint)>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        for table in [INET, BRIDGE].into_iter().chain(input::TABLES) {
            // To be removed it has to be there.
            batch.add_table(table);
            batch.delete_table(table);
        }
        rules::write(&mut batch, networks.iter().any(elements::is_encrypted));
        for network in networks {
            for element in elements::of_network(network) {
                add(&mut batch, &element);
            }
            match elements::of_peers(network) {
                Ok(peers) => peers.iter().for_each(|peer| add(&mut batch, peer)),
                // Its tunnel stays shut; the other networks need not.
                Err(error) => log::warn!("network {}: {error}", network.name),
            }
        }
        for (network, endpoint) in endpoints {
            for element in elements::of_endpoint(network, endpoint) {
                add(&mut batch, &element);
            }
        }
        self.put_settings(&mut batch);
        if self.settings.ask_input {
            let device = match input::device()? {
                Some(device) => device,
                None => {
                    // They name the one that is lost: who is killed here leaves none that look whole.
                    self.delete_tables(&input::TABLES)?;
                    input::raise()?
                }
            };
            input::write_tables(&mut batch, device);
        }
        self.nft.run(&batch).map_err(failed)?;
        if self.settings.ask_input { Ok(()) } else { input::lower() }
    }

    /// What each setting is in the tables.
    fn elements_of_settings(&self) -> [(bool, Vec<(Place, Element)>); 2] {
        let Settings { block_metadata, ask_input } = self.settings;
        [(block_metadata, elements::of_metadata()), (ask_input, input::elements())]
    }

    fn put_settings(&self, batch: &mut Batch) {
        let on = self.elements_of_settings().into_iter().filter(|(on, _)| *on);
        on.for_each(|(_, elements)| elements.iter().for_each(|element| add(batch, element)));
    }

    /// Those that were on, and are not any more: looked for first, which costs less than a transaction.
    fn forget_settings(&mut self) -> Result<()> {
        for (_, elements) in self.elements_of_settings().into_iter().filter(|(on, _)| !on) {
            let Some((place, _)) = elements.first() else { continue };
            if !self.nft.elements(place.table, place.set).map_err(failed)?.is_empty() {
                self.take_away(&elements)?;
            }
        }
        Ok(())
    }

    fn has_all(&mut self, tables: &[Table<'_>]) -> Result<bool> {
        for table in tables {
            if !self.nft.has_table(*table).map_err(failed)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Rules and what they have counted.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn rules(&mut self) -> Result<Vec<RuleCount>> {
        let mut all = self.nft.rules(INET).map_err(failed)?;
        for table in [BRIDGE].into_iter().chain(input::TABLES) {
            all.extend(self.nft.rules(table).map_err(failed)?);
        }
        Ok(all)
    }

    fn take_away(&mut self, elements: &[(Place, Element)]) -> Result<()> {
        let mut batch = Batch::new();
        for (place, element) in elements {
            batch.destroy_elements(place.table, place.set, std::slice::from_ref(element));
        }
        match self.nft.run(&batch) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_gone() => return Ok(()),
            // Before Linux 6.3 there is no such message.
            Err(error) => log::debug!("{error}; one by one"),
        }
        for (place, element) in elements {
            let mut batch = Batch::new();
            batch.delete_elements(place.table, place.set, std::slice::from_ref(element));
            unless_gone(self.nft.run(&batch)).map_err(failed)?;
        }
        Ok(())
    }
}

fn add(batch: &mut Batch, (place, element): &(Place, Element)) {
    batch.add_elements(place.table, place.set, std::slice::from_ref(element));
}
