//! A specification as a file has it (SPEC.md, "CDI JSON Specification"), and what must be true of it beyond its form.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{Kind, check_device};
use crate::{version, yaml};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Specification {
    /// Of the specification of CDI that it follows.
    #[serde(rename = "cdiVersion")]
    pub version: String,
    /// `vendor.com/class`
    pub kind: String,
    /// For whoever reads the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// At least one.
    pub devices: Vec<Device>,
    /// Made when any of the devices is asked for.
    #[serde(default, skip_serializing_if = "Edits::is_empty", rename = "containerEdits")]
    pub edits: Edits,
}

/// A device that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Within the kind.
    pub name: String,
    /// For whoever reads the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Made when it is asked for.
    #[serde(rename = "containerEdits")]
    pub edits: Edits,
}

/// What a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Edits {
    /// `NAME=value`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Device nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_nodes: Vec<DeviceNode>,
    /// Network devices of the host's; version 1.1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub net_devices: Vec<NetDevice>,
    /// Programs run at points of its life.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Files and directories of the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Cache and memory bandwidth; version 0.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt>,
    /// More groups for its process; version 0.7.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// A device node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceNode {
    /// In the container.
    pub path: PathBuf,
    /// On the host; the same when absent. Version 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<PathBuf>,
    /// `b`, `c`, `u` (as `c`) or `p`; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<String>,
    /// Major number; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Minor number; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Permission bits; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// What the device filter lets through.
    #[serde(default)]
    pub permissions: Permissions,
    /// Owner; the process's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group; the process's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// Of `r`, `w` and `m`; all when nothing is said, nothing for `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(String);

impl Permissions {
    /// As the runtime specification has them.
    pub fn access(&self) -> &str {
        match self.0.as_str() {
            "" => "rwm",
            "none" => "",
            text => text,
        }
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self("rwm".to_owned())
    }
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// As mount(8) has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Of the file system; version 0.4.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<String>,
}

/// A program of the host's, run at a point of the container's life (runtime-spec config.md#posix-platform-hooks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// When.
    pub hook_name: HookName,
    /// Absolute.
    pub path: PathBuf,
    /// With the program's name first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// `NAME=value`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the runtime specification's names")]
pub enum HookName {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetDevice {
    /// On the host.
    pub host_interface_name: String,
    /// In the container.
    pub name: String,
}

/// resctrl.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the runtime specification's names")]
pub struct IntelRdt {
    #[serde(rename = "closID", skip_serializing_if = "Option::is_none")]
    pub clos_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_monitoring: bool,
    /// Until 1.0.
    #[serde(rename = "enableCMT", skip_serializing_if = "std::ops::Not::not")]
    pub enable_cmt: bool,
    /// Until 1.0.
    #[serde(rename = "enableMBM", skip_serializing_if = "std::ops::Not::not")]
    pub enable_mbm: bool,
}

impl Specification {
    /// Of a file's text, JSON or YAML by its name.
    ///
    /// # Errors
    /// In one line: a form that is wrong, a field that is not known, a name or path that cannot be, a field that came with a later
    /// version than the file follows.
    pub fn parse(text: &str, is_yaml: bool) -> Result<Self, String> {
        let read = if is_yaml {
            yaml::from_str::<Self>(text)
        } else {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        read.and_then(|found| found.check().map(|()| found)).map_err(|why| visible(&why))
    }

    /// All that edits are made of: the specification's own and each device's.
    pub(crate) fn all_edits(&self) -> impl Iterator<Item = &Edits> {
        std::iter::once(&self.edits).chain(self.devices.iter().map(|device| &device.edits))
    }

    fn check(&self) -> Result<(), String> {
        let kind =
            self.kind.parse::<Kind>().map_err(|error| error.to_string().replace("CDI device", "kind"))?;
        version::check(self, &kind)?;
        if self.devices.is_empty() {
            return Err("it has no devices".to_owned());
        }
        let mut names = BTreeSet::new();
        for device in &self.devices {
            check_device(&device.name)?;
            if !names.insert(&device.name) {
                return Err(format!("it has the device {:?} twice", device.name));
            }
            if device.edits.is_empty() {
                return Err(format!("the device {:?} has no containerEdits", device.name));
            }
        }
        self.all_edits().try_for_each(Edits::check)
    }
}

impl Edits {
    /// Whether a container gets nothing by it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), String> {
        check_env(&self.env)?;
        for node in &self.device_nodes {
            node.check()?;
        }
        for mount in &self.mounts {
            if mount.host_path.as_os_str().is_empty() {
                return Err(format!("the mount at {} has no hostPath", mount.container_path.display()));
            }
            if !mount.container_path.is_absolute() {
                return Err(format!("the mount's containerPath {:?} is not absolute", mount.container_path));
            }
        }
        for hook in &self.hooks {
            if !hook.path.is_absolute() {
                return Err(format!("the hook's path {:?} is not absolute", hook.path));
            }
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return Err(format!("the timeout of the hook {} is not above 0", hook.path.display()));
            }
            check_env(&hook.env)?;
        }
        let (mut hosts, mut inside) = (BTreeSet::new(), BTreeSet::new());
        for device in &self.net_devices {
            if device.host_interface_name.is_empty() || device.name.is_empty() {
                return Err("a network device has an empty name".to_owned());
            }
            if !hosts.insert(&device.host_interface_name) || !inside.insert(&device.name) {
                return Err(format!("the network device {:?} is there twice", device.host_interface_name));
            }
        }
        Ok(())
    }
}

impl DeviceNode {
    fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        if !self.path.is_absolute() {
            return Err(format!("the device node's path {:?} is not absolute", self.path));
        }
        if let Some(kind) = self.kind.as_deref()
            && !matches!(kind, "" | "b" | "c" | "u" | "p")
        {
            return Err(format!("the device node {path} has the type {kind:?}: expected b, c, u or p"));
        }
        let access = &self.permissions.0;
        if access != "none" && !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(format!(
                "the device node {path} has the permissions {access:?}: expected r, w and m"
            ));
        }
        Ok(())
    }
}

fn check_env(list: &[String]) -> Result<(), String> {
    match list.iter().find(|text| text.find('=').is_none_or(|at| at == 0) || text.contains('\0')) {
        Some(text) => Err(format!("the variable {text:?} is not NAME=value")),
        None => Ok(()),
    }
}

/// What a file has in its names does not reach a terminal as it is.
fn visible(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
