//! Networks made.

use std::fs::File;
use std::io::Write;

use ipnet::IpNet;

use super::{Networks, refuse_predefined};
use crate::addresses::pool;
use crate::definition::{
    DEFAULT_DEVICE, DefinitionError, Network, NetworkId, NetworkName, NewNetwork, Subnet,
};
use crate::{Error, Result};

impl Networks {
    /// Makes a network. `taken` are subnets that somebody else has: the host's routes, with a word on each.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Overlap`], [`Error::NoSubnet`], [`Error::Definition`], [`Error::Predefined`].
    pub fn create(
        &self,
        name: &NetworkName,
        asked: &NewNetwork,
        taken: &[(IpNet, String)],
    ) -> Result<Network> {
        refuse_predefined(name, "created")?;
        let _lock = self.lock()?;
        if self.get(name)?.is_some() {
            return Err(Error::Exists { name: name.to_string() });
        }
        self.define(name, asked, taken)
    }

    pub(super) fn create_default(&self, name: &NetworkName) -> Result<Network> {
        let _lock = self.lock()?;
        if let Some(network) = self.get(name)? {
            return Ok(network);
        }
        let asked = NewNetwork::default();
        self.define(name, &asked, &crate::driver::routes_of_the_host()?)
    }

    /// The store is locked.
    fn define(&self, name: &NetworkName, asked: &NewNetwork, taken: &[(IpNet, String)]) -> Result<Network> {
        let others = self.list()?;
        let asked_subnets = crate::driver::survey(asked)?;
        let mut all_taken: Vec<(IpNet, String)> = match asked.driver.shares_subnets_with_the_host() {
            true => Vec::new(),
            false => taken.to_vec(),
        };
        for other in &others {
            let named =
                |subnet: &Subnet| (subnet.subnet, format!("network {} ({})", other.name, subnet.subnet));
            all_taken.extend(other.subnets.iter().map(named));
        }
        let id = NetworkId::random().map_err(Error::file("read", "/dev/random".as_ref()))?;
        let network = Network {
            name: name.clone(),
            driver: asked.driver.clone(),
            created: jiff::Timestamp::now(),
            subnets: subnets(
                asked_subnets,
                asked.v6,
                &id,
                &all_taken,
                name.as_str() == crate::DEFAULT,
                &self.pools.clone().unwrap_or_else(pool::Pool::usual),
            )?,
            internal: asked.internal || asked.driver.is_apart(),
            device: device(name, asked, &id),
            labels: asked.labels.clone(),
            id,
        };
        if let Some((other, what)) = others.iter().find_map(|other| Some((other, network.conflict(other)?))) {
            return Err(Error::Conflict { other: other.name.to_string(), what });
        }
        // Several can be on one of the host's.
        let same = |other: &&Network| {
            other.device == network.device
                && !(network.driver.shares_subnets_with_the_host()
                    && other.driver.shares_subnets_with_the_host())
        };
        if let Some(other) = others.iter().find(same) {
            return Err(Error::Overlap {
                subnet: network.subnets[0].subnet,
                with: format!("network {}, which has the device {}", other.name, other.device),
            });
        }
        self.write(&network)?;
        Ok(network)
    }

    /// Whole or not at all, and on the disk when this returns.
    fn write(&self, network: &Network) -> Result<()> {
        let path = self.definition(&network.name);
        let temporary = self.root.join(format!(".{}.json.new", network.name));
        let text = serde_json::to_vec_pretty(network).expect("a definition is JSON");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(Error::file("write", &path))
    }
}

/// What was asked for, and what is missing of it.
fn subnets(
    mut subnets: Vec<Subnet>,
    v6: bool,
    id: &NetworkId,
    taken: &[(IpNet, String)],
    is_default: bool,
    pools: &[pool::Pool],
) -> Result<Vec<Subnet>> {
    for (index, subnet) in subnets.iter().enumerate() {
        let overlaps = |other: &IpNet| other.contains(&subnet.subnet) || subnet.subnet.contains(other);
        if let Some((_, with)) = taken.iter().find(|(other, _)| overlaps(other)) {
            return Err(Error::Overlap { subnet: subnet.subnet, with: with.clone() });
        }
        if let Some(other) = subnets[..index].iter().find(|other| overlaps(&other.subnet)) {
            return Err(Error::Overlap { subnet: subnet.subnet, with: other.subnet.to_string() });
        }
    }
    let count = |v6| subnets.iter().filter(|subnet| subnet.subnet.addr().is_ipv6() == v6).count();
    if count(false) > 1 || count(true) > 1 {
        return Err(DefinitionError::TooMany.into());
    }
    if count(false) == 0 {
        let free = pool::free_v4(pools, taken, is_default).ok_or(Error::NoSubnet)?;
        subnets.insert(0, Subnet::new(free, None, None)?);
    }
    if v6 && subnets.iter().all(|subnet| subnet.subnet.addr().is_ipv4()) {
        subnets.push(Subnet::new(pool::unique_v6(id), None, None)?);
    }
    Ok(subnets)
}

/// The device's name: what was asked for, or one made of the id, as Docker does.
fn device(name: &NetworkName, asked: &NewNetwork, id: &NetworkId) -> String {
    match asked.driver.device() {
        Some(device) => device.to_owned(),
        None if name.as_str() == crate::DEFAULT => DEFAULT_DEVICE.to_owned(),
        None => format!("cx-{}", id.short()),
    }
}
