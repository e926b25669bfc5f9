//! The `NetworkSettings` of `inspect`, and what it says of ports.

use std::collections::BTreeMap;

use conex_network::{Endpoint, NetworkId, Published, mac_text};
use serde_json::{Map, Value, json};

use crate::options::{NetworkMode, PortOptions};
use crate::store::{ContainerState, Record};
use crate::{Engine, Result};

impl Engine {
    /// What is on record of the container's endpoints while it runs, and what it asked for else.
    pub(super) fn network_settings(&self, record: &Record, state: &ContainerState) -> Result<Value> {
        let endpoints = match state.process() {
            Some(_) => crate::network::places(&self.parts.store, &record.id)?,
            None => Vec::new(),
        };
        // Of others plugins say who resolves what.
        let of_plugins = |end: &Endpoint| end.network_id == NetworkId::of_name(&end.network);
        let mut networks = Map::new();
        match &record.options.namespaces.network {
            NetworkMode::None => drop(networks.insert("none".to_owned(), endpoint(None, &[], Value::Null))),
            NetworkMode::Host => drop(networks.insert("host".to_owned(), endpoint(None, &[], Value::Null))),
            NetworkMode::Container(_) => {}
            NetworkMode::Networks(connections) => {
                for one in connections {
                    let found = endpoints.iter().find(|end| {
                        end.network.as_str() == one.network
                            || end.network_id.as_str().starts_with(&one.network)
                    });
                    // On the default one names do not resolve.
                    let names = match one.network.as_str() {
                        conex_network::DEFAULT => Value::Null,
                        _ if found.is_some_and(of_plugins) => Value::Null,
                        _ => crate::network::dns_names(record, &one.aliases).into(),
                    };
                    networks.insert(one.network.clone(), endpoint(found, &one.aliases, names));
                }
            }
        }
        let first = endpoints.first().filter(|end| end.network.as_str() == conex_network::DEFAULT);
        let first = endpoint(first, &[], Value::Null);
        let ports: Vec<Published> = endpoints.iter().flat_map(|end| &end.ports).copied().collect();
        Ok(json!({
            "Bridge": "",
            "SandboxID": "",
            "SandboxKey": state.process().map(|process| format!("/proc/{}/ns/net", process.pid)).unwrap_or_default(),
            "Ports": published(&ports),
            "Gateway": first["Gateway"],
            "IPAddress": first["IPAddress"],
            "IPPrefixLen": first["IPPrefixLen"],
            "GlobalIPv6Address": first["GlobalIPv6Address"],
            "GlobalIPv6PrefixLen": first["GlobalIPv6PrefixLen"],
            "IPv6Gateway": first["IPv6Gateway"],
            "MacAddress": first["MacAddress"],
            "EndpointID": first["EndpointID"],
            // Packets to one's own published port are rewritten, and not sent back by the bridge.
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
            "Networks": networks,
        }))
    }
}

fn endpoint(endpoint: Option<&Endpoint>, aliases: &[String], names: Value) -> Value {
    let of = |v4: bool| {
        let found =
            endpoint.and_then(|end| end.addresses.iter().find(|(address, _)| address.is_ipv4() == v4));
        let (address, prefix) =
            found.map_or((String::new(), 0), |(address, prefix)| (address.to_string(), *prefix));
        let gateway = endpoint.and_then(|end| end.gateways.iter().find(|gateway| gateway.is_ipv4() == v4));
        (address, prefix, gateway.map(ToString::to_string).unwrap_or_default())
    };
    let (v4, v6) = (of(true), of(false));
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": if aliases.is_empty() { Value::Null } else { aliases.into() },
        "NetworkID": endpoint.map(|end| end.network_id.as_str()).unwrap_or_default(),
        "EndpointID": endpoint.map(|end| end.host_device.as_str()).unwrap_or_default(),
        "Gateway": v4.2,
        "IPAddress": v4.0,
        "IPPrefixLen": v4.1,
        "IPv6Gateway": v6.2,
        "GlobalIPv6Address": v6.0,
        "GlobalIPv6PrefixLen": v6.1,
        "MacAddress": endpoint.map(|end| mac_text(end.mac)).unwrap_or_default(),
        "DriverOpts": null,
        "DNSNames": names,
    })
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`
pub(crate) fn published(ports: &[Published]) -> Value {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in ports {
        let bindings = map.entry(format!("{}/{}", port.container_port, port.protocol)).or_default();
        bindings.push(json!({ "HostIp": port.host.to_string(), "HostPort": port.host_port.to_string() }));
    }
    json!(map)
}

/// What `-p` asked for, as Docker's `HostConfig` has it.
pub(super) fn port_bindings(asked: &PortOptions) -> Value {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for spec in &asked.publish {
        for index in 0..spec.container_ports.count() {
            let port = u32::from(spec.container_ports.first) + index;
            let host = match spec.host_ports {
                Some(range) if range.count() == spec.container_ports.count() => {
                    (u32::from(range.first) + index).to_string()
                }
                Some(range) => range.to_string(),
                None => String::new(),
            };
            let address = spec.host.map(|host| host.to_string()).unwrap_or_default();
            let bindings = map.entry(format!("{port}/{}", spec.protocol)).or_default();
            bindings.push(json!({ "HostIp": address, "HostPort": host }));
        }
    }
    json!(map)
}

/// The image's ports and those of `--expose` and `-p`.
pub(super) fn exposed(image: &BTreeMap<String, Value>, asked: &PortOptions) -> BTreeMap<String, Value> {
    let mut map = image.clone();
    let ranges = asked.expose.iter().map(|one| (one.ports, one.protocol));
    for (range, protocol) in
        ranges.chain(asked.publish.iter().map(|spec| (spec.container_ports, spec.protocol)))
    {
        for port in range.first..=range.last {
            map.entry(format!("{port}/{protocol}")).or_insert_with(|| json!({}));
        }
    }
    map
}
