//! What ADD has given, in the words of every version of the specification.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The parts of a result that concern us.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AddResult {
    /// Devices, of the container and of the host.
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Vec<Interface>,
    /// Addresses.
    #[serde(deserialize_with = "or_default")]
    pub ips: Vec<Ip>,
    /// Who resolves names.
    #[serde(deserialize_with = "or_default")]
    pub dns: Dns,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC address, `02:42:0a:58:00:02`; empty when it has none that matters.
    #[serde(default)]
    pub mac: String,
    /// The path of its namespace; empty on the host.
    #[serde(default)]
    pub sandbox: String,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ip {
    /// With the length of its prefix.
    pub address: IpNet,
    /// Who leads on.
    #[serde(default, deserialize_with = "maybe")]
    pub gateway: Option<IpAddr>,
    /// Its device's place among the interfaces.
    #[serde(default)]
    pub interface: Option<i64>,
}

/// Who resolves names there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Servers' addresses.
    #[serde(deserialize_with = "or_default")]
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains to search.
    #[serde(deserialize_with = "or_default")]
    pub search: Vec<String>,
    /// The resolver's options.
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<String>,
}

/// Before 0.3.0: one address a family.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Old {
    ip4: Option<OldIp>,
    ip6: Option<OldIp>,
}

#[derive(Debug, Deserialize)]
struct OldIp {
    ip: IpNet,
    #[serde(default, deserialize_with = "maybe")]
    gateway: Option<IpAddr>,
}

/// Go writes `null` for an empty list.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// And some write an empty string for no address.
fn maybe<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl AddResult {
    /// Reads a result of any version.
    ///
    /// # Errors
    /// What does not fit.
    pub fn of(document: &Map<String, Value>) -> Result<Self, String> {
        let value = Value::Object(document.clone());
        let mut result = Self::deserialize(&value).map_err(|error| error.to_string())?;
        let old = Old::deserialize(&value).map_err(|error| error.to_string())?;
        let old = [old.ip4, old.ip6].into_iter().flatten();
        result.ips.extend(old.map(|old| Ip { address: old.ip, gateway: old.gateway, interface: None }));
        Ok(result)
    }

    /// The container's device of that name.
    pub fn inside(&self, device: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|one| !one.sandbox.is_empty() && one.name == device)
    }

    /// The host's end, where there is one: of a bridge and its cables the last cable.
    pub fn outside(&self) -> Option<&Interface> {
        self.interfaces.iter().rfind(|one| one.sandbox.is_empty())
    }
}

/// A plugin's standard output, as it goes on to the next.
pub(super) fn document(output: &[u8], version: super::Version) -> Result<Map<String, Value>, String> {
    let mut document: Map<String, Value> =
        serde_json::from_slice(output).map_err(|error| match output.trim_ascii().is_empty() {
            true => "there is none".to_owned(),
            false => error.to_string(),
        })?;
    document.entry("cniVersion").or_insert_with(|| version.as_str().into());
    AddResult::of(&document)?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> AddResult {
        AddResult::of(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn results_of_all_versions() {
        let old =
            of(r#"{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.2.3/24", "gateway": "10.1.2.1", "routes": []},
            "dns": {"nameservers": ["10.1.0.1"]}}"#);
        assert_eq!(old.ips[0].address.to_string(), "10.1.2.3/24");
        assert_eq!((old.ips[0].gateway, old.dns.nameservers.len()), (Some([10, 1, 2, 1].into()), 1));
        let with_family = of(
            r#"{"cniVersion": "0.4.0", "ips": [{"version": "6", "address": "fd00::2/64", "interface": 0}],
            "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/x"}], "dns": {}, "routes": null}"#,
        );
        assert_eq!(with_family.ips[0].interface, Some(0));
        assert_eq!(with_family.inside("eth0").map(|one| one.mac.as_str()), Some("02:00:00:00:00:01"));
        let newest = of(
            r#"{"cniVersion": "1.1.0", "ips": [{"address": "10.1.2.3/24", "gateway": ""}], "interfaces": [
            {"name": "br0"}, {"name": "veth1", "mtu": 1500}, {"name": "eth0", "sandbox": "/x", "mtu": 1500}], "dns": null,
            "routes": [{"dst": "0.0.0.0/0", "mtu": 1400, "table": 7}]}"#,
        );
        assert_eq!(newest.outside().map(|one| one.name.as_str()), Some("veth1"));
        assert_eq!(of(r#"{"interfaces": null, "ips": null}"#), AddResult::default());
    }

    #[test]
    fn results_that_are_none() {
        for (text, words) in [
            (&b""[..], "there is none"),
            (b"hello", "expected value"),
            (b"[]", "invalid type"),
            (br#"{"ips": [{"address": "10.1.2"}]}"#, "invalid"),
            (br#"{"ips": 7}"#, "invalid type"),
            (br#"{"ip4": {"ip": "x"}}"#, "invalid"),
        ] {
            let error = document(text, super::super::Version::V1_0_0).unwrap_err();
            assert!(error.contains(words), "{}: {error}", String::from_utf8_lossy(text));
        }
    }
}
