//! What a container is: `config.json`, written at create and changed by `rename`, `update` and `network connect` only.

use std::collections::BTreeMap;

use conex_cgroup::CgroupPath;
use conex_oci::{ContainerId, ContainerName, Digest, Reference};
use serde::{Deserialize, Serialize};

use crate::options::CreateOptions;
use crate::spec::IdRange;
use crate::time::Time;
use crate::volumes::{ImageUse, VolumeUse};

/// A container as it was asked for, and what was found out on the way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// When it was made.
    pub created: Time,
    /// The image as typed.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// The reference that was found, in full.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The image's labels and the user's.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where its groups are.
    pub cgroup: CgroupPath,
    /// With a user namespace of its own: the host ids that it has.
    #[serde(default)]
    pub id_range: Option<IdRange>,
    /// Why it has the host's ids, if nobody asked for those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_notice: Option<String>,
    /// What `stop` sends.
    pub stop_signal: i32,
    /// Its hostname, also when the namespace is another's.
    pub hostname: String,
    /// The other containers whose namespaces it joins, by what joined them (`network`, `pid`, `ipc`, `uts`, `user`).
    #[serde(default)]
    pub joined: BTreeMap<String, ContainerId>,
    /// What is asked about its health: the image's check with the user's flags over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<crate::health::Check>,
    /// The volumes that it has, wherever they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeUse>,
    /// The images whose files it sees, other than its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageUse>,
    /// What the user asked.
    pub options: CreateOptions,
    /// Whether `update` has changed the limits since `spec.json` was made: a start takes them from [`Record::options`] then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limits_changed: bool,
}

/// What `ps` needs of a [`Record`]; reading it skips the rest.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    /// Its name.
    pub name: ContainerName,
    /// When it was made.
    pub created: Time,
    /// The image as typed.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// The reference that was found, in full.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The image's labels and the user's.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The other containers whose namespaces it joins.
    #[serde(default)]
    pub joined: BTreeMap<String, ContainerId>,
    /// Whether there is something to ask about its health.
    #[serde(default)]
    pub health: Option<serde::de::IgnoredAny>,
    /// The volumes that it has, wherever they were asked for.
    #[serde(default)]
    pub volumes: Vec<VolumeUse>,
    /// The images whose files it sees, other than its own.
    #[serde(default)]
    pub images: Vec<ImageUse>,
    /// What the user asked.
    pub options: Asked,
}

/// What `ps` needs of the options.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Its namespaces.
    pub namespaces: AskedNamespaces,
    /// Its file systems.
    pub storage: AskedStorage,
    /// Its pod.
    pub pod: Option<crate::options::PodPart>,
    /// How it is watched.
    pub supervision: AskedSupervision,
    /// Its ports.
    pub ports: crate::options::PortOptions,
}

/// What `ps` needs of the namespaces.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AskedNamespaces {
    /// `--network`
    pub network: crate::options::NetworkMode,
}

/// What `ps` needs of the storage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AskedStorage {
    /// `-v`
    pub binds: Vec<crate::options::Bind>,
}

/// What `ps` needs of the supervision.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AskedSupervision {
    /// `--restart`
    pub restart: crate::options::RestartPolicy,
}
