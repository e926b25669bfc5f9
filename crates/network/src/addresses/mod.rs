//! Addresses: which subnets are free, and who has which address of one.
//!
//! A lease is a symbolic link named by the address whose target is the container's id: made and read in one system call, and never
//! half. Nobody waits for anybody: two that want the same one find out by EEXIST, and the second takes the next.

pub(crate) mod pool;

pub use pool::Pool;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;

use crate::definition::{Network, Subnet};
use crate::store::{Lock, Networks};
use crate::{Error, Result};

/// An address that a container has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// Which address.
    pub address: IpAddr,
    /// The container's id.
    pub container: String,
}

impl Networks {
    /// Leases an address of each of the network's subnets to a container: one of `wanted`, or the first that is free. After an error
    /// none is kept.
    ///
    /// # Errors
    /// [`Error::NoAddress`], [`Error::AddressTaken`], [`Error::AddressOutside`], [`Error::NotFound`] for a network that is gone.
    pub fn lease(&self, network: &Network, container: &str, wanted: &[IpAddr]) -> Result<Vec<IpAddr>> {
        let directory = self.leases(&network.name);
        let is_for_one = network.driver.is_for_one();
        let _lock = if is_for_one { Lock::alone(&directory)? } else { Lock::shared(&directory)? };
        // It may have been removed while this one waited.
        if self.get(&network.name)?.is_none_or(|now| now.id != network.id) {
            return Err(Error::NotFound { name: network.name.to_string() });
        }
        let is_ours =
            |address: &&IpAddr| !network.subnets.iter().any(|subnet| subnet.subnet.contains(*address));
        if let Some(address) = wanted.iter().find(is_ours) {
            return Err(Error::AddressOutside { name: network.name.to_string(), address: *address });
        }
        if is_for_one
            && let Some(other) = self.leased(network)?.into_iter().find(|one| one.container != container)
        {
            let holder = other.container.chars().take(12).collect();
            return Err(Error::Alone { name: network.name.to_string(), holder });
        }
        let of_the_host = network.addresses_of_the_host()?;
        let mut leased = Vec::new();
        for subnet in &network.subnets {
            let wish = wanted.iter().find(|address| subnet.subnet.contains(*address));
            let taken = match wish {
                Some(address) if of_the_host.contains(address) => Err(Error::AddressTaken {
                    name: network.name.to_string(),
                    address: *address,
                    holder: "this host".to_owned(),
                }),
                Some(address) => self.lease_that(network, subnet, container, *address).map(|()| *address),
                None => self.lease_any(network, subnet, container, &of_the_host),
            };
            match taken {
                Ok(address) => leased.push(address),
                Err(error) => {
                    self.give_back(network, container, &leased);
                    return Err(error);
                }
            }
        }
        Ok(leased)
    }

    fn lease_that(&self, network: &Network, subnet: &Subnet, container: &str, address: IpAddr) -> Result<()> {
        let taken = |holder: String| Error::AddressTaken { name: network.name.to_string(), address, holder };
        if !subnet.is_free_for_containers(address) {
            let holder = if address == subnet.gateway { "the gateway" } else { "the subnet itself" };
            return Err(taken(holder.to_owned()));
        }
        if self.take(network, container, address)? {
            return Ok(());
        }
        let path = self.leases(&network.name).join(address.to_string());
        let holder = fs::read_link(&path).map(|holder| holder.to_string_lossy().chars().take(12).collect());
        Err(taken(holder.unwrap_or_else(|_| "another container".to_owned())))
    }

    fn lease_any(
        &self,
        network: &Network,
        subnet: &Subnet,
        container: &str,
        of_the_host: &[IpAddr],
    ) -> Result<IpAddr> {
        let taken = self.taken(network)?;
        let out_of = subnet.given_out();
        let mut offset = 0;
        while offset < crate::definition::size(out_of) {
            let address = crate::definition::at(out_of, offset);
            offset += 1;
            if !subnet.is_free_for_containers(address)
                || taken.contains(&address)
                || of_the_host.contains(&address)
            {
                continue;
            }
            if self.take(network, container, address)? {
                return Ok(address);
            }
            // Another one was faster. To try the next costs less than to look again at all that a crowd takes meanwhile.
        }
        Err(Error::NoAddress { name: network.name.to_string(), subnet: out_of })
    }

    /// False if somebody has it.
    fn take(&self, network: &Network, container: &str, address: IpAddr) -> Result<bool> {
        let path = self.leases(&network.name).join(address.to_string());
        match std::os::unix::fs::symlink(container, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::file("lease", &path)(error)),
        }
    }

    /// Gives addresses back that the container has; another's stay.
    pub fn give_back(&self, network: &Network, container: &str, addresses: &[IpAddr]) {
        for address in addresses {
            let path = self.leases(&network.name).join(address.to_string());
            if fs::read_link(&path).is_ok_and(|holder| holder.as_os_str() == container)
                && let Err(error) = fs::remove_file(&path)
            {
                log::warn!("cannot give {address} back: {error}");
            }
        }
    }

    /// Gives back all that the container has of a network.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn give_all_back(&self, network: &Network, container: &str) -> Result<()> {
        let leases = self.leased(network)?.into_iter().filter(|lease| lease.container == container);
        self.give_back(network, container, &leases.map(|lease| lease.address).collect::<Vec<_>>());
        Ok(())
    }

    /// The addresses that somebody has, in order: their names alone, since one start of many must not read what each of the others has written.
    fn taken(&self, network: &Network) -> Result<BTreeSet<IpAddr>> {
        let directory = self.leases(&network.name);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(Error::file("read", &directory)(error)),
        };
        let mut taken = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(Error::file("read", &directory))?.file_name();
            taken.extend(name.to_str().and_then(|name| name.parse::<IpAddr>().ok()));
        }
        Ok(taken)
    }

    /// All leases of a network, in order.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn leased(&self, network: &Network) -> Result<Vec<Lease>> {
        let directory = self.leases(&network.name);
        let lease = |address: IpAddr| {
            // One that was given back meanwhile is free.
            let holder = fs::read_link(directory.join(address.to_string())).ok()?;
            Some(Lease { address, container: holder.to_string_lossy().into_owned() })
        };
        Ok(self.taken(network)?.into_iter().filter_map(lease).collect())
    }
}
