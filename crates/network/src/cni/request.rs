//! What a container wants of a network, as plugins are told: by capabilities (CONVENTIONS.md, "Dynamic Plugin specific Fields"), or by
//! CNI_ARGS where a list's plugins have none for it.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AddResult, CniError, List, Plugin};
use crate::endpoint::mac_text;
use crate::ports::Published;

/// A container's place on a network, as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The path of its network namespace, good for any process of the host's.
    pub netns: PathBuf,
    /// Its device there: `eth0`.
    pub device: String,
    /// Addresses that it wants: `ips`, or `IP` for one alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// A MAC address that it wants: `mac`, or `MAC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<[u8; 6]>,
    /// Ports of the host's that are to lead there: `portMappings`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Published>,
    /// Who it wants to resolve names: `dns`.
    pub dns: Resolver,
    /// Names that it wants to have there: `aliases`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// More of CNI_ARGS, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
}

/// The capability `dns`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolver {
    /// Servers' addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Domains to search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
    /// The resolver's options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Whether plugins can be told of the container: it is a part of a file's name here, too.
pub(super) fn check_container(id: &str) -> Result<(), CniError> {
    let mut bytes = id.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins
        && id.len() <= 200
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    {
        true => Ok(()),
        false => Err(CniError::Invalid { what: "a container's id", text: id.chars().take(200).collect() }),
    }
}

impl Request {
    /// Whether the list can do what is wanted.
    ///
    /// # Errors
    /// [`CniError::Invalid`], [`CniError::NoPorts`], [`CniError::OneAddress`].
    pub fn check(&self, list: &List) -> Result<(), CniError> {
        let (network, path) = (list.name.to_string(), list.file.clone());
        let device = self.device.as_str();
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
        if matches!(device, "" | "." | "..") || device.len() > 15 || !device.chars().all(is_plain) {
            return Err(CniError::Invalid {
                what: "a device's name",
                text: device.chars().take(100).collect(),
            });
        }
        if !self.ports.is_empty() && !list.can("portMappings") {
            return Err(CniError::NoPorts { network, path });
        }
        if self.ips.len() > 1 && !list.can("ips") {
            return Err(CniError::OneAddress { network, path });
        }
        Ok(())
    }

    /// `CNI_ARGS`
    pub(super) fn arguments(&self, list: &List) -> String {
        let mut words = vec!["IgnoreUnknown=1".to_owned()];
        words.extend(self.args.iter().map(|(name, value)| format!("{name}={value}")));
        if let (Some(mac), false) = (self.mac, list.can("mac")) {
            words.push(format!("MAC={}", mac_text(mac)));
        }
        if let (Some(ip), false) = (self.ips.first(), list.can("ips")) {
            words.push(format!("IP={ip}"));
        }
        words.join(";")
    }

    /// `runtimeConfig`: what the plugin can be told of it.
    pub(super) fn runtime_config(&self, network: &str, plugin: &Plugin) -> Map<String, Value> {
        let known = plugin.capabilities();
        let mut config = Map::new();
        let mut tell = |name: &str, is_wanted: bool, value: &dyn Fn() -> Value| {
            if is_wanted && known.contains(name) {
                config.insert(name.to_owned(), value());
            }
        };
        tell("ips", !self.ips.is_empty(), &|| json!(self.ips));
        tell("mac", self.mac.is_some(), &|| json!(self.mac.map(mac_text)));
        tell("portMappings", !self.ports.is_empty(), &|| self.ports.iter().map(mapping).collect());
        tell("dns", self.dns != Resolver::default(), &|| json!(self.dns));
        tell("aliases", !self.aliases.is_empty(), &|| match plugin.kind() {
            // It came before the convention, and wants them by network.
            "dnsname" => json!({ network: self.aliases }),
            _ => json!(self.aliases),
        });
        config
    }

    /// Whether the result has what was wanted: IPAM plugins are free to take no notice.
    pub(super) fn is_met(&self, list: &List, result: &AddResult) -> Result<(), CniError> {
        let missing = |what: String| CniError::NotGiven { network: list.name.to_string(), what };
        let has = |ip: &IpAddr| result.ips.iter().any(|given| given.address.addr() == *ip);
        if let Some(ip) = self.ips.iter().find(|ip| !has(ip)) {
            return Err(missing(format!("the address {ip}")));
        }
        match (self.mac.map(mac_text), result.inside(&self.device)) {
            (Some(mac), Some(given)) if !given.mac.is_empty() && !given.mac.eq_ignore_ascii_case(&mac) => {
                Err(missing(format!("the MAC address {mac}")))
            }
            _ => Ok(()),
        }
    }
}

fn mapping(port: &Published) -> Value {
    let mut entry = json!({
        "hostPort": port.host_port, "containerPort": port.container_port, "protocol": port.protocol,
    });
    // Without an address it is for all of both families.
    if let Some(map) = entry.as_object_mut().filter(|_| !port.host.is_unspecified()) {
        map.insert("hostIP".to_owned(), port.host.to_string().into());
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Protocol;

    fn list(plugins: &Value) -> List {
        let text = json!({ "name": "net", "cniVersion": "1.0.0", "plugins": plugins }).to_string();
        List::parse(&text, "/nowhere/x.conflist".as_ref()).unwrap()
    }

    fn request() -> Request {
        Request {
            device: "eth0".to_owned(),
            ips: vec![[10, 1, 2, 3].into()],
            mac: Some([2, 0, 0, 0, 0, 7]),
            ports: vec![
                Published {
                    host: [0, 0, 0, 0].into(),
                    host_port: 8080,
                    container_port: 80,
                    protocol: Protocol::Tcp,
                },
                Published {
                    host: [127, 0, 0, 1].into(),
                    host_port: 53,
                    container_port: 53,
                    protocol: Protocol::Udp,
                },
            ],
            aliases: vec!["db".to_owned()],
            args: vec![("K8S_POD_NAME".to_owned(), "web".to_owned())],
            ..Request::default()
        }
    }

    #[test]
    fn each_plugin_is_told_what_it_can_take() {
        let list = list(&json!([
            {"type": "bridge", "capabilities": {"ips": true, "mac": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "dnsname", "capabilities": {"aliases": true, "dns": true}},
            {"type": "names", "capabilities": {"aliases": true, "ips": false}},
        ]));
        let request = request();
        request.check(&list).unwrap();
        let told: Vec<_> = list.plugins.iter().map(|plugin| request.runtime_config("net", plugin)).collect();
        assert_eq!(
            json!(told),
            json!([
                {"ips": ["10.1.2.3"], "mac": "02:00:00:00:00:07"},
                {"portMappings": [
                    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                    {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
                ]},
                {"aliases": {"net": ["db"]}},
                {"aliases": ["db"]},
            ])
        );
        assert_eq!(request.arguments(&list), "IgnoreUnknown=1;K8S_POD_NAME=web");
    }

    #[test]
    fn what_no_plugin_takes_goes_by_arguments_or_is_refused() {
        let list = list(&json!([{"type": "bridge"}]));
        let mut request = request();
        assert!(matches!(request.check(&list), Err(CniError::NoPorts { .. })));
        request.ports.clear();
        request.check(&list).unwrap();
        assert_eq!(
            request.arguments(&list),
            "IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:00:00:00:00:07;IP=10.1.2.3"
        );
        request.ips.push("fd00::2".parse().unwrap());
        assert!(matches!(request.check(&list), Err(CniError::OneAddress { .. })));
    }

    #[test]
    fn names_that_are_none() {
        for id in ["", "..", "../x", "a/b", "-a", "a b", &"x".repeat(201)] {
            assert!(check_container(id).is_err(), "{id}");
        }
        check_container("pod-1_a.b").unwrap();
        let list = list(&json!([{"type": "bridge", "capabilities": {"portMappings": true}}]));
        for device in ["", "..", "a/b", "a:1", "a b", "0123456789abcdef"] {
            let request = Request { device: device.to_owned(), ..request() };
            assert!(matches!(request.check(&list), Err(CniError::Invalid { .. })), "{device}");
        }
    }

    #[test]
    fn wishes_that_were_not_met_are_seen() {
        let (list, request) = (list(&json!([{"type": "bridge"}])), request());
        let result = |text: &str| AddResult::of(&serde_json::from_str(text).unwrap()).unwrap();
        let met = r#"{"ips": [{"address": "10.1.2.3/24"}], "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:07", "sandbox": "/x"}]}"#;
        request.is_met(&list, &result(met)).unwrap();
        for (from, to) in [("10.1.2.3", "10.1.2.4"), ("00:07", "00:08")] {
            assert!(request.is_met(&list, &result(&met.replace(from, to))).is_err());
        }
    }
}
