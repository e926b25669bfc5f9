//! `network inspect`: Docker's fields, and what an engineer looks for: devices, cables, rules, counters.

use std::collections::BTreeMap;

use conex_netlink::{Neighbour, Route};
use conex_network::{Endpoint, Firewall, Network, Overlay, mac_text};
use serde_json::{Map, Value, json};

use crate::network::{Place, all_endpoints};
use crate::rootless::on_host;
use crate::store::Store;
use crate::{Engine, Result};

impl Engine {
    /// All about a network.
    ///
    /// # Errors
    /// A name that is no network's.
    pub fn network_inspect(&self, name: &str) -> Result<Value> {
        let network = match Place::find(&self.parts.store, name)? {
            Place::Own(network) => network,
            Place::Cni(list) => return self.inspect_cni(&list),
        };
        let store = &self.parts.store;
        on_host(&self.parts.paths.run, || document(&network, store))
    }
}

/// A container on a network, as Docker tells of it.
pub(super) fn member(name: &str, endpoint: &Endpoint) -> Value {
    let of = |v4: bool| {
        let found = endpoint.addresses.iter().find(|(address, _)| address.is_ipv4() == v4);
        found.map(|(address, prefix)| format!("{address}/{prefix}")).unwrap_or_default()
    };
    json!({
        "Name": name, "EndpointID": endpoint.host_device, "MacAddress": mac_text(endpoint.mac),
        "IPv4Address": of(true), "IPv6Address": of(false),
    })
}

/// An overlay's tunnel, and where it leads now.
fn tunnel(network: &Network, overlay: &Overlay, host: &mut Route) -> Value {
    let device = network.tunnel_device();
    let link = host.link(&device).ok().flatten();
    let mut peers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in host.forwarding().unwrap_or_default() {
        if let Neighbour::Tunnel { index, mac: known, host } = entry
            && link.as_ref().is_some_and(|link| link.index == index)
        {
            // All zeros: frames for all go there.
            let known = (known != [0; 6]).then(|| mac_text(known));
            peers.entry(host.to_string()).or_default().extend(known);
        }
    }
    let peers: Vec<_> =
        peers.into_iter().map(|(host, macs)| json!({ "Host": host, "MacAddresses": macs })).collect();
    let [received, received_bytes, sent, sent_bytes] = link.as_ref().map_or([0; 4], |link| link.traffic);
    json!({
        "Device": device, "Up": link.as_ref().is_some_and(|link| link.is_running),
        "Number": overlay.number(&network.name), "Port": overlay.port, "Encrypted": overlay.encrypted,
        "Mtu": link.as_ref().map(|link| link.mtu), "Peers": peers,
        "RxPackets": received, "RxBytes": received_bytes, "TxPackets": sent, "TxBytes": sent_bytes,
    })
}

fn document(network: &Network, store: &Store) -> Result<Value> {
    let mut containers = Map::new();
    let mut cables = Vec::new();
    // What is on the host: nothing of it is needed to tell the rest.
    let mut host = Route::open().ok();
    for (id, endpoint) in all_endpoints(store)? {
        if endpoint.network_id != network.id {
            continue;
        }
        let Some(record) = store.record(&id)? else { continue };
        containers.insert(id.to_string(), member(record.name.as_str(), &endpoint));
        if network.driver.switch().is_none() {
            // Its device is in the container alone.
            cables.push(json!({ "Container": record.name, "Device": endpoint.device }));
            continue;
        }
        let link = host.as_mut().and_then(|host| host.link(&endpoint.host_device).ok().flatten());
        let [received, received_bytes, sent, sent_bytes] = link.as_ref().map_or([0; 4], |link| link.traffic);
        cables.push(json!({
            "Container": record.name, "Device": endpoint.device, "HostDevice": endpoint.host_device,
            "Up": link.as_ref().is_some_and(|link| link.is_running),
            // As the container sees it: what it sends the host's end receives.
            "RxPackets": sent, "RxBytes": sent_bytes, "TxPackets": received, "TxBytes": received_bytes,
            "Ports": endpoint.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    let link = host.as_mut().and_then(|host| host.link(&network.device).ok().flatten());
    let rules = Firewall::open().and_then(|mut firewall| firewall.rules()).unwrap_or_default();
    let rules: Vec<Value> = rules
            .iter()
            .filter_map(|rule| Some((rule, rule.counted?)))
            .map(|(rule, (packets, bytes))| {
                json!({ "Chain": rule.chain, "Comment": rule.comment, "Packets": packets, "Bytes": bytes })
            })
            .collect();
    let mut document = fields(network);
    if let Some(map) = document.as_object_mut() {
        map.insert("Containers".to_owned(), containers.into());
        let mut on_host = json!({
            "Device": network.device, "Up": link.is_some_and(|link| link.is_up),
            "Cables": cables, "Rules": rules,
        });
        if let (Some(overlay), Some(host), Some(map)) =
            (network.driver.overlay(), host.as_mut(), on_host.as_object_mut())
        {
            map.insert("Tunnel".to_owned(), tunnel(network, overlay, host));
        }
        map.insert("Host".to_owned(), on_host);
    }
    Ok(document)
}

fn fields(network: &Network) -> Value {
    let pools: Vec<Value> = network
        .subnets
        .iter()
        .map(|subnet| {
            let mut pool =
                json!({ "Subnet": subnet.subnet.to_string(), "Gateway": subnet.gateway.to_string() });
            if let (Some(range), Some(map)) = (subnet.range, pool.as_object_mut()) {
                map.insert("IPRange".to_owned(), range.to_string().into());
            }
            pool
        })
        .collect();
    let options: Map<String, Value> =
        network.driver.options().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.to_string(),
        "Scope": "local",
        "Driver": network.driver.as_str(),
        "EnableIPv4": true,
        "EnableIPv6": network.has_v6(),
        "IPAM": { "Driver": "default", "Options": {}, "Config": pools },
        "Internal": network.internal,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Options": options,
        "Labels": network.labels,
    })
}
