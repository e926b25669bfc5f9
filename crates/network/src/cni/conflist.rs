//! Configuration files: `*.conflist`, and `*.conf` and `*.json` of one plugin.
//!
//! What a plugin is told is passed on as it stands in the file; only what concerns us is looked at.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Cni, CniError, Version};
use crate::Error;
use crate::definition::{NetworkId, NetworkName};
use crate::error::shown;

/// The most that is read of a file, in bytes.
const LIMIT: u64 = 1 << 20;
/// The most plugins of a network.
const MOST: usize = 64;

/// A network: plugins in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// What people call it.
    pub name: NetworkName,
    /// The highest version that its file allows and we speak.
    pub version: Version,
    /// At least one.
    pub plugins: Vec<Plugin>,
    /// Plugins cannot tell whether all is well.
    #[serde(default)]
    pub disable_check: bool,
    /// Somebody else puts containers on it, too.
    #[serde(default)]
    pub disable_gc: bool,
    /// Where it is defined.
    pub file: PathBuf,
}

/// A plugin's part of a network's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Plugin {
    kind: String,
    config: Map<String, Value>,
}

impl Plugin {
    /// Its type: the name of the program.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// All that is said to it.
    pub(super) fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// What it says it can be told at run time (CONVENTIONS.md), in order.
    pub fn capabilities(&self) -> BTreeSet<&str> {
        let map = self.config.get("capabilities").and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter(|(_, value)| value.as_bool() == Some(true))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

impl TryFrom<Map<String, Value>> for Plugin {
    type Error = String;

    fn try_from(config: Map<String, Value>) -> Result<Self, String> {
        let kind = match config.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(_) => return Err("a plugin's type is no string".to_owned()),
            None => return Err("a plugin has no type".to_owned()),
        };
        let is_name = |kind: &str| {
            !matches!(kind, "" | "." | "..")
                && kind.len() <= 255
                && !kind.contains(|c: char| c == '/' || c.is_control())
        };
        match is_name(&kind) {
            true => Ok(Self { kind, config }),
            false => Err("a plugin's type is not the name of a program".to_owned()),
        }
    }
}

impl From<Plugin> for Map<String, Value> {
    fn from(plugin: Plugin) -> Self {
        plugin.config
    }
}

impl List {
    /// Made of its name, as files have no ids.
    pub fn id(&self) -> NetworkId {
        NetworkId::of_name(&self.name)
    }

    /// Whether a plugin of it takes this at run time.
    pub fn can(&self, capability: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.capabilities().contains(capability))
    }

    /// The subnets that addresses are given out of, and their gateways if they are said, where the file says it as host-local has it.
    pub fn subnets(&self) -> Vec<(IpNet, Option<IpAddr>)> {
        let ipams = self.plugins.iter().filter_map(|plugin| plugin.config.get("ipam"));
        let ranges = |ipam: &Value| {
            let sets = ipam.get("ranges").and_then(Value::as_array).cloned().unwrap_or_default();
            sets.into_iter().filter_map(|set| set.as_array().cloned()).flatten().chain([ipam.clone()])
        };
        let text = |range: &Value, key: &str| range.get(key)?.as_str().map(str::to_owned);
        ipams
            .flat_map(ranges)
            .filter_map(|range| {
                let gateway = text(&range, "gateway").and_then(|gateway| gateway.parse().ok());
                Some((text(&range, "subnet")?.parse().ok()?, gateway))
            })
            .collect()
    }

    /// Who gives addresses out, as the file says it.
    pub fn manager(&self) -> Option<&str> {
        self.plugins.iter().find_map(|plugin| plugin.config.get("ipam")?.get("type")?.as_str())
    }

    /// When its file was written.
    pub fn modified(&self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::try_from(fs::metadata(&self.file).ok()?.modified().ok()?).ok()
    }

    /// What a file says.
    ///
    /// # Errors
    /// [`CniError::Config`]
    pub fn parse(text: &str, file: &Path) -> Result<Self, CniError> {
        let wrong = |why: String| CniError::Config { path: file.to_owned(), why };
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let name = match document.get("name") {
            Some(Value::String(name)) => name.parse().map_err(|error: Error| wrong(error.to_string())),
            _ => Err(wrong("it has no name".to_owned())),
        }?;
        let version = version(&document).map_err(&wrong)?;
        let plugins = match document.get("plugins") {
            Some(Value::Array(list)) => {
                let plugin = |value: &Value| serde_json::from_value(value.clone());
                list.iter()
                    .map(plugin)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| wrong(error.to_string()))?
            }
            Some(_) => return Err(wrong("its plugins are no list".to_owned())),
            None if document.contains_key("type") => {
                vec![Plugin::try_from(document.clone()).map_err(&wrong)?]
            }
            None => Vec::new(),
        };
        let is_set = |key: &str| match document.get(key) {
            Some(Value::Bool(value)) => Ok(*value),
            // libcni takes words for it, too.
            Some(Value::String(text)) => text.parse().map_err(|_| wrong(format!("{key} is no boolean"))),
            Some(_) => Err(wrong(format!("{key} is no boolean"))),
            None => Ok(false),
        };
        let mut list = Self {
            name,
            version,
            plugins,
            disable_check: is_set("disableCheck")?,
            disable_gc: is_set("disableGC")?,
            file: file.to_owned(),
        };
        if !is_set("loadOnlyInlinedPlugins")? && !document.contains_key("type") {
            list.plugins.extend(beside(file, &list.name)?);
        }
        match list.plugins.len() {
            0 => Err(wrong("it has no plugins".to_owned())),
            1..=MOST => Ok(list),
            _ => Err(wrong(format!("it has more than {MOST} plugins"))),
        }
    }
}

/// `cniVersion` and `cniVersions`: the highest that is spoken here.
fn version(document: &Map<String, Value>) -> Result<Version, String> {
    let mut texts: Vec<&str> = Vec::new();
    match document.get("cniVersions") {
        Some(Value::Array(list)) => texts.extend(list.iter().filter_map(Value::as_str)),
        Some(_) => return Err("its cniVersions are no list".to_owned()),
        None => {}
    }
    match document.get("cniVersion") {
        Some(Value::String(text)) => texts.push(text),
        Some(_) => return Err("its cniVersion is no string".to_owned()),
        // What there was before there was the key.
        None if texts.is_empty() => texts.push(Version::V0_1_0.as_str()),
        None => {}
    }
    texts.iter().filter_map(|text| text.parse().ok()).max().ok_or_else(|| {
        let known = Version::ALL.map(Version::as_str).join(", ");
        format!("its cniVersion is {:?}, and there are {known}", texts.join(", "))
    })
}

/// Plugins of a file each, in a directory of the network's name (1.1, `loadOnlyInlinedPlugins`).
fn beside(file: &Path, name: &NetworkName) -> Result<Vec<Plugin>, CniError> {
    let Some(directory) = file.parent().map(|parent| parent.join(name.as_str())) else {
        return Ok(Vec::new());
    };
    let plugin = |path: PathBuf| {
        let wrong = |why: String| CniError::Config { path: path.clone(), why };
        serde_json::from_str(&read(&path)?).map_err(|error| wrong(error.to_string()))
    };
    files(&directory, &["conf"])?.into_iter().map(plugin).collect()
}

/// The files of a directory that end so, in order; no directory has none.
fn files(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, CniError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(CniError::file("read", directory)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(CniError::file("read", directory))?.path();
        if path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one)) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, CniError> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut text = String::new();
    fs::File::options()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text))
        .map_err(CniError::file("read", path))?;
    match text.len() as u64 > LIMIT {
        true => Err(CniError::Config { path: path.to_owned(), why: "it is too large".to_owned() }),
        false => Ok(text),
    }
}

impl Cni {
    /// All networks, by name, and what is wrong with other files, or with the directory. Of several of one name the first file counts, lists
    /// before single plugins, as with libcni.
    pub fn lists(&self) -> (Vec<List>, Vec<CniError>) {
        let directory = &self.settings.config;
        let (mut paths, mut lists, mut wrong) = (Vec::new(), Vec::<List>::new(), Vec::new());
        for endings in [&["conflist"][..], &["conf", "json"]] {
            match files(directory, endings) {
                Ok(found) => paths.extend(found),
                Err(error) => wrong = vec![error],
            }
        }
        for path in paths {
            match read(&path).and_then(|text| List::parse(&text, &path)) {
                Ok(list) => match lists.iter().find(|other| other.name == list.name) {
                    Some(first) => wrong.push(CniError::Config {
                        why: format!("network {} is defined in {} already", list.name, first.file.display()),
                        path,
                    }),
                    None => lists.push(list),
                },
                Err(error) => wrong.push(error),
            }
        }
        lists.sort_by(|one, other| one.name.cmp(&other.name));
        (lists, wrong)
    }

    /// The network that is meant: by its name, its id, or the beginning of its id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotUnderstood`] if it may be what a file is about that is wrong, [`Error::Ambiguous`].
    pub fn find(&self, meant: &str) -> Result<List, Error> {
        let (mut lists, mut wrong) = self.lists();
        let is_named = |list: &List| list.name.as_str() == meant;
        let has_name = lists.iter().any(is_named);
        lists.retain(|list| match has_name {
            true => is_named(list),
            false => !meant.is_empty() && list.id().as_str().starts_with(meant),
        });
        let name = || shown(meant, 140);
        match (lists.pop(), lists.is_empty()) {
            (Some(list), true) => Ok(list),
            (Some(_), false) => Err(Error::Ambiguous { name: name() }),
            (None, _) if wrong.is_empty() => Err(Error::NotFound { name: name() }),
            (None, _) => Err(Error::NotUnderstood { name: name(), source: wrong.swap_remove(0) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<List, String> {
        List::parse(text, Path::new("/nowhere/10-x.conflist")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_understood() {
        let list = parse(
            r#"{"cniVersion": "1.0.0", "name": "web", "disableCheck": true, "plugins": [
            {"type": "bridge", "ipam": {"type": "host-local", "ranges": [
                [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.254"}], [{"subnet": "fd00::/64"}]]}},
            {"type": "portmap", "capabilities": {"portMappings": true, "ips": false}}]}"#,
        )
        .unwrap();
        assert_eq!((list.name.as_str(), list.version, list.disable_check), ("web", Version::V1_0_0, true));
        assert_eq!(list.plugins.iter().map(Plugin::kind).collect::<Vec<_>>(), ["bridge", "portmap"]);
        assert!(list.can("portMappings") && !list.can("ips") && !list.can("mac"));
        let subnets: Vec<_> =
            list.subnets().iter().map(|(subnet, gateway)| (subnet.to_string(), *gateway)).collect();
        assert_eq!(
            subnets,
            [("10.1.0.0/24".to_owned(), Some([10, 1, 0, 254].into())), ("fd00::/64".to_owned(), None)]
        );
        assert_eq!(list.manager(), Some("host-local"));
        let kept = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<List>(&kept).unwrap(), list);
        // One plugin, and no version: what there was first.
        let one = parse(r#"{"name": "one", "type": "ptp"}"#).unwrap();
        assert_eq!((one.version, one.plugins.len()), (Version::V0_1_0, 1));
        let newest = r#"{"name": "n", "cniVersion": "0.4.0", "cniVersions": ["1.0.0", "9.0.0", "1.1.0"], "type": "a"}"#;
        assert_eq!(parse(newest).unwrap().version, Version::V1_1_0);
    }

    #[test]
    fn what_is_not() {
        for (text, words) in [
            ("[]", "invalid type"),
            (r#"{"type": "a"}"#, "it has no name"),
            (r#"{"name": "../x", "type": "a"}"#, "is not valid"),
            (r#"{"name": "a", "plugins": []}"#, "it has no plugins"),
            (r#"{"name": "a", "plugins": {}}"#, "no list"),
            (r#"{"name": "a", "plugins": [{}]}"#, "a plugin has no type"),
            (r#"{"name": "a", "type": "../../bin/sh"}"#, "not the name of a program"),
            (r#"{"name": "a", "type": "b", "cniVersion": "2.0.0"}"#, "its cniVersion is \"2.0.0\""),
            (r#"{"name": "a", "type": "b", "disableGC": 1}"#, "disableGC is no boolean"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(words) && error.starts_with("/nowhere/10-x.conflist: "),
                "{text}: {error}"
            );
        }
    }
}
