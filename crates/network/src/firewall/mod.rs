//! Our part of the packet filter: the table `inet conex`, and `bridge conex` for what containers may not pretend to be.
//!
//! The rules are always the same ([`rules`]): they ask sets and maps, and networks and containers are elements of these
//! ([`elements`]). So a start adds a few elements in one transaction, whatever is there. Nothing here accepts anything for the
//! whole host: nftables asks every table, and what the host's own firewall drops is dropped.
//!
//! The tables may go at any time, with an `nft flush ruleset`: who adds elements then finds no set, and everything is written anew
//! ([`Firewall::restore`]).

mod elements;
mod rules;

use conex_netlink::Error as Netlink;
use conex_netlink::nft::{Batch, Element, Family, Nft, RuleCount, Table};

use crate::definition::Network;
use crate::endpoint::Endpoint;
use crate::{Error, Result};

use self::elements::Place;

const INET: Table<'_> = Table { family: Family::Inet, name: "conex" };
const BRIDGE: Table<'_> = Table { family: Family::Bridge, name: "conex" };

/// A way to our tables.
#[derive(Debug)]
pub struct Firewall {
    nft: Nft,
    block_metadata: bool,
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
        Ok(Self { nft: Nft::open().map_err(failed)?, block_metadata: false })
    }

    /// Keeps containers from the metadata addresses of clouds, from the next that is admitted on.
    #[must_use]
    pub fn blocking_metadata(mut self, block: bool) -> Self {
        self.block_metadata = block;
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
        let mut batch = Batch::new();
        // Its network's, too: they cost nothing when they are there, and may be missing when they are not.
        for element in
            elements::of_network(network).into_iter().chain(elements::of_endpoint(network, endpoint))
        {
            add(&mut batch, &element);
        }
        self.add_metadata(&mut batch);
        let peers = elements::of_peers(network)?;
        for element in &peers {
            add(&mut batch, element);
        }
        match self.nft.run(&batch) {
            Ok(()) => self.forget_peers_but(network, &peers).map(|()| true),
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
        for table in [INET, BRIDGE] {
            let mut batch = Batch::new();
            batch.delete_table(table);
            match self.nft.run(&batch) {
                Err(error) if !error.is_gone() => return Err(failed(error)),
                _ => {}
            }
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
        for table in [INET, BRIDGE] {
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
        self.add_metadata(&mut batch);
        self.nft.run(&batch).map_err(failed)
    }

    fn add_metadata(&self, batch: &mut Batch) {
        if self.block_metadata {
            elements::of_metadata().iter().for_each(|element| add(batch, element));
        }
    }

    /// Whether our tables are there.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn is_there(&mut self) -> Result<bool> {
        self.nft.has_table(INET).map_err(failed)
    }

    /// Rules and what they have counted.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn rules(&mut self) -> Result<Vec<RuleCount>> {
        let mut all = self.nft.rules(INET).map_err(failed)?;
        all.extend(self.nft.rules(BRIDGE).map_err(failed)?);
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
            match self.nft.run(&batch) {
                Err(error) if !error.is_gone() => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn add(batch: &mut Batch, (place, element): &(Place, Element)) {
    batch.add_elements(place.table, place.set, std::slice::from_ref(element));
}
