//! From what the user asked and what the image says to an OCI runtime spec.
//!
//! [`build`] is a function of its [`SpecRequest`]: it changes nothing on the machine, and all it reads of it comes through two
//! traits, [`Host`] (devices, resolv.conf, what the kernel has) and [`ImageFiles`] (the image's passwd and group, hostile).
//! The result, a [`Plan`], says all that the engine then does: which files to write, which directories to make, the spec to run.
//! Nothing here may mount, create or start anything.

mod error;
mod host;
mod idrange;
mod image_files;

pub use error::SpecError;
pub use host::{Host, HostDevice, LiveHost};
pub use idrange::{IdRange, free_range};
pub use image_files::{ImageFiles, RootfsFiles};

use std::path::{Path, PathBuf};

use conex_oci::image::ImageConfig;
use conex_oci::runtime::{Process, Spec};
use conex_oci::{ContainerId, ContainerName};

use crate::options::{CreateOptions, IpcMode};

/// All that a spec depends on.
#[derive(Clone, Copy)]
pub struct SpecRequest<'a> {
    /// What the user asked; checked by [`CreateOptions::validate`].
    pub options: &'a CreateOptions,
    /// What the image says.
    pub image: &'a ImageConfig,
    /// The container's id.
    pub id: &'a ContainerId,
    /// The container's name.
    pub name: &'a ContainerName,
    /// The machine.
    pub host: &'a dyn Host,
    /// The root filesystem's own files.
    pub files: &'a dyn ImageFiles,
    /// The containers whose namespaces are joined.
    pub joined: &'a Joined,
    /// Where the engine will write hosts, hostname and resolv.conf: `containers/<id>`.
    pub directory: &'a Path,
    /// The range of host ids, when `--userns private|auto` asks for one of its own.
    pub id_range: Option<IdRange>,
    /// Goes to `linux.cgroupsPath` as it is.
    pub cgroups_path: &'a str,
    /// Where the root filesystem will be, for `root.path`.
    pub rootfs: &'a Path,
}

/// The containers that `container:NAME` options name, resolved; each is there when, and only when, its option asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// `--network container:`
    pub network: Option<JoinedContainer>,
    /// `--pid container:`
    pub pid: Option<JoinedContainer>,
    /// `--ipc container:`
    pub ipc: Option<JoinedContainer>,
    /// `--uts container:`
    pub uts: Option<JoinedContainer>,
    /// `--cgroupns container:`
    pub cgroup: Option<JoinedContainer>,
    /// `--userns container:`
    pub user: Option<JoinedContainer>,
    /// The time namespace.
    pub time: Option<JoinedContainer>,
}

/// A running container that another one joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedContainer {
    /// Its init, as the host numbers it.
    pub pid: u32,
    /// `containers/<id>`: with `--network container:` its hosts, hostname and resolv.conf are shared.
    pub directory: PathBuf,
    /// Its own `--ipc`: only shareable ones may be joined.
    pub ipc: IpcMode,
    /// Its range of host ids, when it has a user namespace of its own.
    pub id_range: Option<IdRange>,
}

/// What to run, and what to prepare for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// For the runtime.
    pub spec: Spec,
    /// Written before the start into the container's directory (file name, content); the spec binds them.
    pub files: Vec<(&'static str, String)>,
    /// Host directories that `-v` names and that are not there: made before the start, as Docker does.
    pub directories: Vec<PathBuf>,
    /// Whether a small init of ours is PID 1.
    pub init: bool,
    /// Where the filter in `spec.linux.seccomp` comes from.
    pub seccomp: SeccompSource,
    /// What stops it: `--stop-signal`, else the image's, else SIGTERM.
    pub stop_signal: i32,
    /// To print after `WARNING: `.
    pub warnings: Vec<String>,
}

/// Where a filter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeccompSource {
    /// There is none.
    Unconfined,
    /// The built-in profile.
    Builtin,
    /// The user's file.
    Profile,
}

/// Builds the spec of a new container.
pub fn build(_request: &SpecRequest<'_>) -> Result<Plan, SpecError> {
    todo!()
}

/// What `exec` asks of a running container.
#[derive(Debug, Clone, Default)]
pub struct ExecProcess<'a> {
    /// Program and arguments.
    pub args: &'a [String],
    /// `-e`, `--env-file`: `NAME=value`, put after the container's own.
    pub env: &'a [String],
    /// `-w`; the container's when absent.
    pub workdir: Option<&'a str>,
    /// `-u`; the container's when absent.
    pub user: Option<&'a str>,
    /// `--privileged`
    pub privileged: bool,
    /// `-t`
    pub tty: bool,
}

/// Builds the process of an `exec` in the container that runs by `base`.
pub fn exec(
    _base: &Spec,
    _asked: &ExecProcess<'_>,
    _host: &dyn Host,
    _files: &dyn ImageFiles,
) -> Result<Process, SpecError> {
    todo!()
}
