//! The record of one container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conex_cgroup::CgroupPath;
use conex_oci::runtime::{State, Status};
use serde::{Deserialize, Serialize};

use super::Init;

/// `state.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The spec's `ociVersion`.
    pub oci_version: String,
    /// The container's.
    pub id: String,
    /// Absolute.
    pub bundle: PathBuf,
    /// Absolute.
    pub rootfs: PathBuf,
    /// When it was made, in UTC as RFC 3339 writes it.
    pub created: String,
    /// Where its groups are, or are about to be made; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupPath>,
    /// Its first process, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// Whether it lives in a pid namespace that others share: then its end is not that of its children.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares_pids: bool,
    /// The spec's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Record {
    /// The state document of runtime.md, with the process as seen from here.
    pub fn document(&self, status: Status) -> State {
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            status,
            pid: if status == Status::Stopped { 0 } else { self.init.map_or(0, |init| init.pid) },
            bundle: self.bundle.clone(),
            annotations: self.annotations.clone(),
        }
    }
}
