//! `network inspect` of a network of CNI: Docker's fields as far as its file says them, its plugins, and who is on it.

use std::collections::BTreeSet;

use conex_network::cni::{List, Plugin};
use serde_json::{Map, Value, json};

use super::inspect::member;
use crate::{Engine, Result};

impl Engine {
    pub(super) fn inspect_cni(&self, list: &List) -> Result<Value> {
        let cni = self.parts.store.cni();
        let (mut containers, mut attached) = (Map::new(), Vec::new());
        for attachment in cni.attachments()?.iter().filter(|one| one.list.name == list.name) {
            let record = match attachment.container.parse() {
                Ok(id) => self.parts.store.record(&id)?,
                Err(_) => None,
            };
            let name = record.map_or_else(|| attachment.container.clone(), |record| record.name.to_string());
            let endpoint = attachment.endpoint();
            containers.insert(attachment.container.clone(), member(&name, &endpoint));
            attached.push(json!({
                "Container": name, "Device": endpoint.device, "HostDevice": endpoint.host_device,
                "Ports": endpoint.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "Result": attachment.result,
            }));
        }
        let plugins: Vec<Value> = list.plugins.iter().map(|plugin| self.plugin(list, plugin)).collect();
        let subnets = list.subnets();
        let has = |v6: bool| subnets.iter().any(|(subnet, _)| subnet.addr().is_ipv6() == v6);
        let pool = |(subnet, gateway): &(_, Option<std::net::IpAddr>)| json!({ "Subnet": subnet, "Gateway": gateway.map(|gateway| gateway.to_string()).unwrap_or_default() });
        let status = match cni.status(list) {
            Ok(()) => "ready".to_owned(),
            Err(error) => error.to_string(),
        };
        Ok(json!({
            "Name": list.name,
            "Id": list.id(),
            "Created": list.modified().map(|time| time.to_string()).unwrap_or_default(),
            "Scope": "local",
            "Driver": "cni",
            "EnableIPv4": has(false) || !has(true),
            "EnableIPv6": has(true),
            "IPAM": {
                "Driver": list.manager().unwrap_or_default(), "Options": {},
                "Config": subnets.iter().map(pool).collect::<Vec<_>>(),
            },
            "Internal": false,
            "Attachable": false,
            "Ingress": false,
            "ConfigFrom": { "Network": "" },
            "ConfigOnly": false,
            "Options": {},
            "Labels": {},
            "Containers": containers,
            "CNI": {
                "File": list.file, "Version": list.version, "Plugins": plugins, "Status": status,
                "DisableCheck": list.disable_check, "DisableGC": list.disable_gc, "Attachments": attached,
            },
        }))
    }

    /// A plugin, and what it says of itself.
    fn plugin(&self, list: &List, plugin: &Plugin) -> Value {
        let cni = self.parts.store.cni();
        let capabilities: BTreeSet<&str> = plugin.capabilities();
        match cni.versions(list, plugin) {
            Ok(versions) => json!({
                "Type": plugin.kind(), "Path": cni.program(plugin.kind()).ok(), "Versions": versions,
                "Capabilities": capabilities,
            }),
            Err(error) => json!({
                "Type": plugin.kind(), "Error": error.to_string(), "Capabilities": capabilities,
            }),
        }
    }
}
