//! Who is called what, on which network, with which address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::message::{Asked, Reply};
use crate::registration::Registration;

/// What the host is called.
const HOST: [&str; 4] =
    ["host.conex.internal", "host.docker.internal", "host.containers.internal", "gateway.docker.internal"];

/// All containers that are registered, each under the number of its connection.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    containers: HashMap<u64, Registration>,
    /// By network and name.
    names: HashMap<(String, String), Vec<u64>>,
    /// By network and address.
    addresses: HashMap<(String, IpAddr), u64>,
    turn: usize,
}

impl Directory {
    /// Adds a container, or changes all that is known of it.
    pub(crate) fn set(&mut self, number: u64, registration: Registration) {
        self.remove(number);
        for (network, name) in keys(&registration) {
            let holders = self.names.entry((network, name)).or_default();
            if !holders.contains(&number) {
                holders.push(number);
            }
        }
        for place in &registration.networks {
            for address in &place.addresses {
                self.addresses.insert((place.id.clone(), *address), number);
            }
        }
        self.containers.insert(number, registration);
    }

    /// Forgets a container.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(registration) = self.containers.remove(&number) else { return };
        for key in keys(&registration) {
            if let Some(holders) = self.names.get_mut(&key) {
                holders.retain(|holder| *holder != number);
                if holders.is_empty() {
                    self.names.remove(&key);
                }
            }
        }
        for place in registration.networks {
            for address in place.addresses {
                if let Entry::Occupied(entry) = self.addresses.entry((place.id.clone(), address))
                    && *entry.get() == number
                {
                    entry.remove();
                }
            }
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Registration> {
        self.containers.get(&number)
    }

    /// What is said to `asker`; `None` for what is not ours to know.
    pub(crate) fn answer(&mut self, asker: u64, asked: &Asked) -> Option<Reply> {
        let container = self.containers.get(&asker)?;
        match asked {
            Asked::Name(name) => {
                if HOST.contains(&name.as_str()) && !container.host.is_empty() {
                    return Some(Reply::Addresses(container.host.clone()));
                }
                // The first network that knows the name says what it means.
                let mut addresses = container.networks.iter().find_map(|place| {
                    let holders = self.names.get(&(place.id.clone(), name.clone()))?;
                    let of = |holder: &u64| {
                        let places = self.containers.get(holder).map(|one| one.networks.as_slice());
                        let there = places.unwrap_or_default().iter().find(|there| there.id == place.id);
                        there.map(|there| there.addresses.as_slice()).unwrap_or_default()
                    };
                    Some(holders.iter().flat_map(of).copied().collect::<Vec<_>>())
                })?;
                if addresses.len() > 1 {
                    self.turn = self.turn.wrapping_add(1);
                    let turn = self.turn % addresses.len();
                    addresses.rotate_left(turn);
                }
                Some(Reply::Addresses(addresses))
            }
            Asked::Address(address) => container.networks.iter().find_map(|place| {
                let holder = self.addresses.get(&(place.id.clone(), *address))?;
                let name = self.containers.get(holder)?.names.first()?;
                Some(Reply::Pointer(format!("{name}.{}", place.network)))
            }),
            Asked::Other => None,
        }
    }
}

/// A container's names on each of its networks, also those with the network's behind.
fn keys(registration: &Registration) -> impl Iterator<Item = (String, String)> {
    registration.networks.iter().flat_map(|place| {
        registration.names.iter().chain(&place.aliases).flat_map(|name| {
            let name = name.to_ascii_lowercase();
            let long = format!("{name}.{}", place.network.to_ascii_lowercase());
            [(place.id.clone(), name), (place.id.clone(), long)]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::Membership;

    fn on(id: &str, last: u8, aliases: &[&str]) -> Membership {
        Membership {
            id: id.into(),
            network: format!("Net-{id}"),
            addresses: vec![[10, 0, id.len() as u8, last].into()],
            aliases: aliases.iter().map(ToString::to_string).collect(),
        }
    }

    fn container(name: &str, networks: Vec<Membership>) -> Registration {
        Registration {
            names: vec![name.into()],
            networks,
            host: vec![[10, 0, 0, 1].into()],
            ..Registration::default()
        }
    }

    fn ask(directory: &mut Directory, asker: u64, name: &str) -> Option<Vec<IpAddr>> {
        match directory.answer(asker, &Asked::Name(name.into())) {
            Some(Reply::Addresses(addresses)) => Some(addresses),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_who_shares_a_network() {
        let mut all = Directory::default();
        all.set(1, container("Web", vec![on("a", 2, &["site"])]));
        all.set(2, container("db", vec![on("a", 3, &[]), on("bb", 3, &["store"])]));
        all.set(3, container("far", vec![on("bb", 4, &["site"])]));
        let v4 = |c, d| Some(vec![IpAddr::from([10, 0, c, d])]);
        assert_eq!(ask(&mut all, 1, "db"), v4(1, 3));
        assert_eq!(ask(&mut all, 1, "web.net-a"), v4(1, 2));
        assert_eq!(ask(&mut all, 3, "db"), v4(2, 3));
        assert_eq!(ask(&mut all, 1, "far"), None);
        assert_eq!(ask(&mut all, 1, "store"), None, "an alias of another network");
        assert_eq!(ask(&mut all, 2, "site"), v4(1, 2), "the first network has the word");
        assert_eq!(ask(&mut all, 9, "db"), None);
        assert_eq!(ask(&mut all, 1, "host.conex.internal"), v4(0, 1));
        let pointer = |all: &mut Directory, asker| all.answer(asker, &Asked::Address([10, 0, 2, 4].into()));
        assert_eq!(pointer(&mut all, 2), Some(Reply::Pointer("far.Net-bb".into())));
        assert_eq!(pointer(&mut all, 1), None);
        // Renamed, disconnected, gone.
        all.set(2, container("store2", vec![on("a", 3, &[])]));
        assert_eq!((ask(&mut all, 1, "db"), ask(&mut all, 1, "store2")), (None, v4(1, 3)));
        assert_eq!(ask(&mut all, 3, "store2"), None);
        for number in 1..4 {
            all.remove(number);
        }
        assert!(all.names.is_empty() && all.addresses.is_empty() && all.containers.is_empty());
    }

    #[test]
    fn several_take_turns() {
        let mut all = Directory::default();
        for number in 1..4 {
            all.set(number, container(&format!("c{number}"), vec![on("a", number as u8, &["web"])]));
        }
        let firsts: std::collections::BTreeSet<_> = (0..3)
            .map(|_| ask(&mut all, 1, "web").unwrap())
            .inspect(|all| assert_eq!(all.len(), 3))
            .map(|all| all[0])
            .collect();
        assert_eq!(firsts.len(), 3);
    }
}
