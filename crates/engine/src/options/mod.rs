//! What a user asks of a container, parsed and checked, before an image or the host is looked at.
//!
//! Every type here is serialised into the container's record (`config.json`), so that `start`, `restart` and
//! `inspect` see what `create` was asked. Texts in Docker's small languages (`-v a:b:ro`, `--ulimit nofile=1:2`)
//! become these types by [`std::str::FromStr`] or a `parse_…` function, in one place for the command line and,
//! later, the Docker API. [`CreateOptions::validate`] checks what no single option can tell.

mod bind;
mod capability;
mod device;
mod env;
mod error;
mod gpu;
mod health;
mod hosts;
mod limits;
mod log;
mod mount;
mod namespace;
mod network;
mod notify;
mod path;
mod pod;
mod restart;
mod security;
mod signal;
mod size;
mod suggest;
mod sysctl;
mod throttle;
mod tmpfs;
mod ulimit;
mod update;
mod validate;
mod volume;

pub use bind::{Bind, Propagation, Recursion, Relabel};
pub use capability::{CAPABILITIES, DEFAULT_CAPABILITIES, parse_capability};
pub use device::{DeviceMap, DeviceOption};
pub use env::{parse_label, read_env_file, read_label_file, resolve_env};
pub use error::OptionError;
pub use gpu::{DeviceCgroupRule, GpuCount, GpuRequest};
pub use health::{HealthOptions, OnUnhealthy, parse_health_cmd, parse_health_retries, parse_health_time};
pub(crate) use hosts::HOST_GATEWAY;
pub use hosts::{parse_dns_server, parse_extra_host, parse_hostname};
pub use limits::{
    LimitOptions, parse_blkio_weight, parse_cpus, parse_cpuset, parse_memory_swap, parse_oom_score_adj,
    parse_pids_limit, parse_swappiness,
};
pub use log::{LogDriver, LogOptions};
pub use mount::MountOption;
pub use namespace::{IpcMode, NamespaceMode, UserMode};
pub use network::{Connection, Exposed, NetworkMode, PortOptions, parse_mac, parse_publish};
pub use notify::NotifyMode;
pub(crate) use path::clean as clean_path;
pub use pod::{ExitPolicy, PodOptions, PodPart, Shared, SharedKind};
pub use restart::RestartPolicy;
pub use security::{SeccompMode, SecurityOpt, SecurityOptions, Unmask};
pub use signal::{parse_signal, signal_name};
pub use size::{format_size, parse_size};
pub use suggest::nearest;
pub use sysctl::parse_sysctl;
pub(crate) use sysctl::{Holder as SysctlHolder, holder as sysctl_holder};
pub use throttle::{DeviceRate, DeviceWeight, parse_device_bps, parse_device_iops, parse_device_weight};
pub use tmpfs::Tmpfs;
pub(crate) use tmpfs::kernel_option as tmpfs_kernel_option;
pub use ulimit::Ulimit;
pub use update::UpdateOptions;
pub use volume::{ImageOption, VolumeOption, VolumesFrom};

use std::collections::BTreeMap;
use std::time::Duration;

use conex_oci::{ContainerId, ContainerName, Platform, Reference};
use serde::{Deserialize, Serialize};

/// From the signal of `stop` to SIGKILL when nobody says anything.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The size of /dev/shm when nobody says anything, in bytes.
pub const SHM_SIZE: u64 = 64 << 20;

/// All that `create` and `run` take.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateOptions {
    /// The image, as a reference or an id; what the user typed.
    pub image: String,
    /// `--name`; a made-up one (`brave_turing`) when absent.
    pub name: Option<ContainerName>,
    /// `--platform`
    pub platform: Option<Platform>,
    /// `--pull`
    pub pull: PullPolicy,
    /// `--rm`: removed by the supervisor when it exits.
    pub auto_remove: bool,
    /// `-i`: standard input stays open.
    pub interactive: bool,
    /// `-t`: a pseudo-terminal.
    pub tty: bool,
    /// `-a`, `-d`: what the one who made it was attached to; absent it is all output, and input with `-i`. For `inspect` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<Attached>,
    /// `--label`, `--label-file`
    pub labels: BTreeMap<String, String>,
    /// `--annotation`
    pub annotations: BTreeMap<String, String>,
    /// What runs.
    pub process: ProcessOptions,
    /// Which views it has.
    pub namespaces: NamespaceOptions,
    /// Which of its ports lead where.
    pub ports: PortOptions,
    /// Its file systems.
    pub storage: StorageOptions,
    /// Its budget.
    pub limits: LimitOptions,
    /// Its rights.
    pub security: SecurityOptions,
    /// How it is watched.
    pub supervision: SupervisionOptions,
    /// `--pod`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodPart>,
    /// The command line that asked for it, for `generate systemd --new`; empty when another way did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command_line: Vec<String>,
}

/// Standard streams of a container that somebody is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the streams' own names")]
pub struct Attached {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// `--pull`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Even when the image is here.
    Always,
    /// When it is not.
    #[default]
    Missing,
    /// Fail when it is not.
    Never,
}

impl std::str::FromStr for PullPolicy {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            _ => Err(OptionError::syntax("--pull", text, "expected always, missing or never")),
        }
    }
}

/// What runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessOptions {
    /// `--entrypoint`: replaces the image's (an empty text clears it) and drops the image's command.
    pub entrypoint: Option<String>,
    /// The words after the image; replace the image's command.
    pub command: Vec<String>,
    /// `--env-file`, then `-e`, already resolved to `NAME=value`, in order; a bare `NAME` takes the image's away.
    pub env: Vec<String>,
    /// `-w`
    pub workdir: Option<String>,
    /// `-u`: `name|uid[:group|gid]`, looked up in the image's files.
    pub user: Option<String>,
    /// `--group-add`
    pub groups: Vec<String>,
    /// `--init`: a tiny init of ours as PID 1.
    pub init: bool,
    /// `--ulimit`
    pub ulimits: Vec<Ulimit>,
    /// `--oom-score-adj`
    pub oom_score_adj: Option<i32>,
}

/// Which views it has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceOptions {
    /// `-h`; the short id when absent.
    pub hostname: Option<String>,
    /// `--domainname`
    pub domainname: Option<String>,
    /// `--network`
    pub network: NetworkMode,
    /// `--netns-link`: /run/netns has its network namespace by the container's name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub netns_link: bool,
    /// `--add-host name:address`
    pub extra_hosts: Vec<(String, String)>,
    /// `--dns`
    pub dns: Vec<String>,
    /// `--dns-search`
    pub dns_search: Vec<String>,
    /// `--dns-option`
    pub dns_options: Vec<String>,
    /// `--pid`
    pub pid: NamespaceMode,
    /// `--ipc`
    pub ipc: IpcMode,
    /// `--uts`
    pub uts: NamespaceMode,
    /// `--cgroupns`
    pub cgroup: NamespaceMode,
    /// `--userns`
    pub user: UserMode,
    /// The time namespace; no flag of Docker's. Absent is the host's.
    pub time: Option<NamespaceMode>,
    /// `debug`: it joins what its neighbour shares with no other, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub debugs: bool,
    /// `--sysctl`
    pub sysctls: BTreeMap<String, String>,
}

/// Its file systems.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageOptions {
    /// `-v`, `--mount type=bind`
    pub binds: Vec<Bind>,
    /// `--tmpfs`, `--mount type=tmpfs`
    pub tmpfs: Vec<Tmpfs>,
    /// `-v`, `--mount type=volume`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeOption>,
    /// `--mount type=image`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageOption>,
    /// `--volumes-from`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<VolumesFrom>,
    /// `--volume-driver`: for volumes that `-v` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_driver: Option<String>,
    /// `--storage-opt size=`: how much the container may write, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `--storage-opt` as it was typed, for `inspect`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--shm-size`, bytes; 64 MiB when absent.
    pub shm_size: Option<u64>,
    /// `--device`
    pub devices: Vec<DeviceMap>,
    /// `--device vendor.com/class=name`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cdi: Vec<conex_cdi::QualifiedName>,
    /// `--gpus`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuRequest>,
    /// `--device-cgroup-rule`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_rules: Vec<DeviceCgroupRule>,
}

/// How it is watched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SupervisionOptions {
    /// `--restart`
    pub restart: RestartPolicy,
    /// `--stop-signal`, a number.
    pub stop_signal: Option<i32>,
    /// `--stop-timeout`; `None` is Docker's 10 s, [`Duration::MAX`] (`-1`) waits without end.
    pub stop_timeout: Option<Duration>,
    /// `--log-driver`, `--log-opt`
    pub log: LogOptions,
    /// `--detach-keys`
    pub detach_keys: Option<String>,
    /// `--health-cmd` and its like.
    pub health: HealthOptions,
    /// `--sdnotify`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifyMode>,
}

/// What `--cidfile` and `run` need to know of a container just made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// The image it was made from, in full.
    pub image: Option<Reference>,
    /// Settings that were taken with a change; Docker prints `WARNING: …` for them.
    pub warnings: Vec<String>,
}
