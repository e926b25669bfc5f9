//! Network interfaces and their addresses, from files alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::root::Root;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// `up`, `down`, `unknown`: the kernel's word, where /sys shows it.
    pub(crate) state: Option<String>,
    pub(crate) addresses: Vec<String>,
}

pub(crate) fn gather(root: &Root) -> Vec<Interface> {
    let devices = root.read("proc/self/net/dev").unwrap_or_default();
    let names = devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    let routes = routes(&root.read("proc/self/net/route").unwrap_or_default());
    let v4 = local_addresses(&root.read("proc/self/net/fib_trie").unwrap_or_default());
    let v6 = root.read("proc/self/net/if_inet6").unwrap_or_default();
    names
        .map(|name| {
            let mut addresses: Vec<String> = v4
                .iter()
                .filter(|address| interface_of(**address, &routes) == Some(&name))
                .map(ToString::to_string)
                .collect();
            addresses.extend(v6.lines().filter_map(|line| inet6(line, &name)));
            let state = root.line(format!("sys/class/net/{name}/operstate"));
            Interface { state, addresses, name }
        })
        .collect()
}

/// Interface, network and mask of each route to a network of its own.
fn routes(text: &str) -> Vec<(String, u32, u32)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
        let (network, gateway, mask) =
            (number(fields.get(1)?)?, number(fields.get(2)?)?, number(fields.get(7)?)?);
        (gateway == 0 && mask != 0).then(|| (fields[0].to_owned(), network, mask))
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// The addresses that the routing table of this namespace calls local, each once.
fn local_addresses(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    let mut last = None;
    for line in fib_trie.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

fn interface_of(address: Ipv4Addr, routes: &[(String, u32, u32)]) -> Option<&str> {
    if address.is_loopback() {
        return Some("lo");
    }
    let matching = routes.iter().filter(|(_, network, mask)| u32::from(address) & mask == *network);
    matching.max_by_key(|(_, _, mask)| *mask).map(|(name, ..)| name.as_str())
}

/// `fe80000000000000…  02 40 20 80 eth0`
fn inet6(line: &str, name: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.last()? != name {
        return None;
    }
    Some(Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?).to_string())
}
