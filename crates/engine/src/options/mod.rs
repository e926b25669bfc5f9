//! What a user asks of a container, parsed and checked, before an image or the host is looked at.
//!
//! Every type here is serialised into the container's record (`config.json`), so that `start`, `restart` and
//! `inspect` see what `create` was asked. Texts in Docker's small languages (`-v a:b:ro`, `--ulimit nofile=1:2`)
//! become these types by [`std::str::FromStr`], in one place for the command line and, later, the Docker API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use conex_oci::{ContainerId, ContainerName, Platform, Reference};
use serde::{Deserialize, Serialize};

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
    /// `--label`, `--label-file`
    pub labels: BTreeMap<String, String>,
    /// `--annotation`
    pub annotations: BTreeMap<String, String>,
    /// What runs.
    pub process: ProcessOptions,
    /// Which views it has.
    pub namespaces: NamespaceOptions,
    /// Its file systems.
    pub storage: StorageOptions,
    /// Its budget.
    pub limits: LimitOptions,
    /// Its rights.
    pub security: SecurityOptions,
    /// How it is watched.
    pub supervision: SupervisionOptions,
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

/// What runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessOptions {
    /// `--entrypoint`: replaces the image's (an empty text clears it) and drops the image's command.
    pub entrypoint: Option<String>,
    /// The words after the image; replace the image's command.
    pub command: Vec<String>,
    /// `-e`, `--env-file`, already resolved to `NAME=value`, in order.
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

/// `--ulimit name=soft[:hard]`; -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower case, without `RLIMIT_`: `nofile`.
    pub name: String,
    /// In force.
    pub soft: i64,
    /// The ceiling.
    pub hard: i64,
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
    pub ipc: NamespaceMode,
    /// `--uts`
    pub uts: NamespaceMode,
    /// `--cgroupns`
    pub cgroup: NamespaceMode,
    /// `--userns`
    pub user: UserMode,
    /// `--sysctl`
    pub sysctls: BTreeMap<String, String>,
}

/// `private` (the default), `host`, or `container:<name|id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    /// One of its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by name or id as typed.
    Container(String),
}

/// `--network`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A namespace with only a loopback device, up. The default until the bridge driver comes.
    #[default]
    None,
    /// The host's.
    Host,
    /// Another container's, by name or id as typed.
    Container(String),
}

/// `--userns`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserMode {
    /// The host's ids (Docker's default).
    #[default]
    Host,
    /// A user namespace with a range of host ids of its own (`private` and `auto`).
    Private,
    /// Another container's, by name or id as typed.
    Container(String),
}

/// Its file systems.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageOptions {
    /// `-v`, `--mount type=bind`
    pub binds: Vec<Bind>,
    /// `--tmpfs`, `--mount type=tmpfs`
    pub tmpfs: Vec<Tmpfs>,
    /// `--read-only`
    pub read_only: bool,
    /// `--shm-size`, bytes; 64 MiB when absent.
    pub shm_size: Option<u64>,
    /// `--device`
    pub devices: Vec<DeviceMap>,
}

/// A host path in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute, on the host.
    pub source: PathBuf,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// `ro`
    pub read_only: bool,
    /// Whether mounts below the source come along (`rbind`, Docker's default).
    pub recursive: bool,
    /// `rprivate` when absent.
    pub propagation: Propagation,
    /// `-v` makes a missing source directory, `--mount` refuses.
    pub create_source: bool,
}

/// How mounts and unmounts travel between host and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mount_namespaces(7)'s own words")]
pub enum Propagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

/// A tmpfs in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tmpfs {
    /// Absolute, in the container.
    pub target: PathBuf,
    /// mount(8) options (`size=64m`, `mode=1777`, `exec`); `nosuid,nodev,noexec` come first.
    pub options: Vec<String>,
}

/// `--device host[:container[:rwm]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMap {
    /// On the host.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// Of `r`, `w`, `m`.
    pub access: String,
}

/// Its budget. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitOptions {
    /// `--memory`, bytes, at least 6 MiB.
    pub memory: Option<u64>,
    /// `--memory-swap`: memory plus swap in bytes, -1 unlimited. Twice the memory when absent.
    pub memory_swap: Option<i64>,
    /// `--memory-reservation`, bytes.
    pub memory_reservation: Option<u64>,
    /// `--cpus`, in billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// `--cpu-shares`
    pub cpu_shares: Option<u64>,
    /// `--cpu-period`, microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpu-quota`, microseconds.
    pub cpu_quota: Option<i64>,
    /// `--cpuset-cpus`
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`; -1 or 0 unlimited.
    pub pids: Option<i64>,
    /// `--blkio-weight`, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// `--cgroup-parent`
    pub cgroup_parent: Option<String>,
}

/// Its rights.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityOptions {
    /// `--cap-add`, normalised to `CAP_…` or `ALL`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, normalised to `CAP_…` or `ALL`.
    pub cap_drop: Vec<String>,
    /// `--privileged`
    pub privileged: bool,
    /// `--security-opt seccomp=`
    pub seccomp: SeccompMode,
    /// `--security-opt no-new-privileges`
    pub no_new_privileges: bool,
    /// `--security-opt mask=/a:/b`
    pub mask: Vec<PathBuf>,
    /// `--security-opt unmask=ALL|/a:/b`
    pub unmask: Unmask,
    /// `--security-opt apparmor=`
    pub apparmor: Option<String>,
    /// `--security-opt label=…`; `disable` or SELinux's four parts.
    pub label: Vec<String>,
}

/// `--security-opt seccomp=`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompMode {
    /// The built-in allow list.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's format: the file's content, read at create.
    Profile(String),
}

/// `--security-opt unmask=`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmask {
    /// Everything.
    All,
    /// These.
    Paths(Vec<PathBuf>),
}

impl Default for Unmask {
    fn default() -> Self {
        Self::Paths(Vec::new())
    }
}

/// How it is watched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SupervisionOptions {
    /// `--restart`
    pub restart: RestartPolicy,
    /// `--stop-signal`, a number.
    pub stop_signal: Option<i32>,
    /// `--stop-timeout`; `None` is Docker's 10 s.
    pub stop_timeout: Option<Duration>,
    /// `--log-driver`, `--log-opt`
    pub log: LogOptions,
    /// `--detach-keys`
    pub detach_keys: Option<String>,
}

/// `--restart`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a status other than 0, at most so often (`None`: without end).
    OnFailure {
        /// `on-failure:3`
        max_retries: Option<u32>,
    },
    /// Whatever happens, `stop` excepted until the next start.
    Always,
    /// Likewise, and not after a boot when it was stopped.
    UnlessStopped,
}

/// `--log-driver`, `--log-opt`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// Where the output goes.
    pub driver: LogDriver,
    /// `max-size`, bytes; `None` is unlimited.
    pub max_size: Option<u64>,
    /// `max-file`; `None` is 1 (or 5 when `max-size` is set without it).
    pub max_file: Option<u32>,
}

/// `--log-driver`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// One JSON object a line, Docker's file format.
    #[default]
    JsonFile,
    /// Nowhere.
    None,
    /// systemd's journal; an error at create when there is none.
    Journald,
    /// systemd's journal when there is one, else `json-file`.
    JournaldIfPresent,
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
