//! From what the user asked and what the image says to an OCI runtime spec.
//!
//! [`build`] is a function of its [`SpecRequest`]: it changes nothing on the machine, and all it reads of it comes through two
//! traits, [`Host`] (devices, resolv.conf, what the kernel has) and [`ImageFiles`] (the image's passwd and group, hostile).
//! The result, a [`Plan`], says all that the engine then does: which files to write, which directories to make, the spec to run.
//! Nothing here may mount, create or start anything.

mod capabilities;
mod confine;
mod devices;
mod error;
mod etc;
mod exec;
mod host;
mod idrange;
mod image_files;
mod live_host;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod resources;
mod sysctl;
#[cfg(test)]
mod tests;
mod user;

pub use error::SpecError;
pub use exec::{ExecProcess, exec};
pub use host::{Host, HostDevice, HostPropagation};
pub(crate) use idrange::SIZE as RANGE_SIZE;
pub use idrange::{IdRange, free_range, id_pool};
pub use image_files::{ImageFiles, RootfsFiles};
pub use live_host::LiveHost;
pub(crate) use mounts::point_shm_at;
pub(crate) use process::merge as merge_env;
pub(crate) use resources::{difference, limit_anew, limits};

use std::path::{Path, PathBuf};

use conex_oci::ContainerId;
use conex_oci::image::ImageConfig;
use conex_oci::runtime::{IdMapping, Linux, Root, SeccompText, Spec};

use crate::options::{CreateOptions, IpcMode, UserMode, parse_signal};
use crate::volumes::{ImageUse, VolumeUse};

/// The version of the specification that is followed.
pub const OCI_VERSION: &str = "1.2.0";

/// All that a spec depends on.
#[derive(Clone, Copy)]
pub struct SpecRequest<'a> {
    /// What the user asked; checked by [`CreateOptions::validate`].
    pub options: &'a CreateOptions,
    /// What the image says.
    pub image: &'a ImageConfig,
    /// The container's id.
    pub id: &'a ContainerId,
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
    /// Its volumes, made or found.
    pub volumes: &'a [VolumeUse],
    /// The images that are mounted in it.
    pub images: &'a [ImageUse],
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
    /// Its hostname.
    pub hostname: String,
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
    /// Written before the start into the container's directory (file name, content, mode 0644); the spec binds them.
    pub files: Vec<(&'static str, String)>,
    /// Who owns [`Plan::files`] on the host: the container's root.
    pub owner: u32,
    /// Host directories that `-v` names and that are not there: made before the start, as Docker does.
    pub directories: Vec<PathBuf>,
    /// Its hostname, also when the namespace is another's.
    pub hostname: String,
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

impl<'a> SpecRequest<'a> {
    /// The host ids of the container's user namespace, its own or a joined one's; `None` when it has the host's.
    fn id_range(&self) -> Result<Option<IdRange>, SpecError> {
        match &self.options.namespaces.user {
            UserMode::Default | UserMode::Host => Ok(None),
            UserMode::Private => match self.id_range {
                Some(range) => Ok(Some(range)),
                None => Err(SpecError::NoIdRange(idrange::SIZE)),
            },
            UserMode::Container(name) => {
                let joined = self.joined("--userns", name, self.joined.user.as_ref())?;
                // A container in the host's user namespace has none to give: joining it is `--userns host`.
                Ok(joined.id_range)
            }
        }
    }

    /// The joined container that an option must have been resolved to.
    fn joined(
        &self,
        option: &str,
        name: &str,
        joined: Option<&'a JoinedContainer>,
    ) -> Result<&'a JoinedContainer, SpecError> {
        joined.ok_or_else(|| SpecError::Join {
            option: format!("{option} container:{name}"),
            why: "it is not running",
        })
    }
}

/// Builds the spec of a container.
///
/// # Errors
/// Any [`SpecError`]: what the image or the machine lacks.
pub fn build(request: &SpecRequest<'_>) -> Result<Plan, SpecError> {
    let options = request.options;
    let mut warnings = Vec::new();
    let range = request.id_range()?;
    if range.is_some() && options.security.privileged {
        let text = "privileged mode is incompatible with user namespaces (--privileged, --userns)";
        return Err(SpecError::Conflict(text.to_owned()));
    }
    let identity = namespaces::identity(request)?;
    let capabilities = capabilities::container_sets(request, range.is_some())?;
    let process = process::build(request, &identity, &capabilities, range)?;
    let (seccomp, source) = confine::seccomp(&options.security, &capabilities.bounding)?;
    let etc = etc::build(request, &identity)?;
    let devices = devices::build(request, range.is_some(), &mut warnings)?;
    let mounts = mounts::build(request, &etc, devices.binds)?;
    let paths = paths::build(request.host, &options.security);
    let mapping = range.map(|range| IdMapping { container_id: 0, host_id: range.base, size: range.size });
    // A joined user namespace brings its mappings along.
    let mappings: Vec<_> =
        mapping.into_iter().filter(|_| options.namespaces.user == UserMode::Private).collect();
    let init = process::init(options, &mut warnings);
    let linux = Linux {
        namespaces: namespaces::list(request, range)?,
        uid_mappings: mappings.clone(),
        gid_mappings: mappings,
        devices: devices.nodes,
        cgroups_path: Some(request.cgroups_path.to_owned()),
        resources: Some(resources::build(request, devices.rules, &mut warnings)?),
        seccomp: seccomp.as_ref().map(SeccompText::from),
        rootfs_propagation: mounts.rootfs_propagation,
        masked_paths: paths.masked,
        readonly_paths: paths.read_only,
        mount_label: confine::mount_label(request.host, &options.security)?,
        sysctl: sysctl::build(request, range.is_some())?,
        ..Linux::default()
    };
    let spec = Spec {
        oci_version: OCI_VERSION.to_owned(),
        root: Some(Root { path: request.rootfs.to_owned(), readonly: options.storage.read_only }),
        mounts: mounts.list,
        process: Some(process),
        hostname: identity.sets_hostname.then(|| identity.hostname.clone()),
        domainname: if identity.sets_hostname { options.namespaces.domainname.clone() } else { None },
        hooks: None,
        annotations: options.annotations.clone(),
        linux: Some(linux),
    };
    Ok(Plan {
        spec,
        files: etc.files,
        owner: range.map_or(0, |range| range.base),
        directories: mounts.directories,
        hostname: identity.hostname,
        init,
        seccomp: source,
        stop_signal: stop_signal(request)?,
        warnings,
    })
}

fn stop_signal(request: &SpecRequest<'_>) -> Result<i32, SpecError> {
    const SIGTERM: i32 = 15;
    match (request.options.supervision.stop_signal, request.image.stop_signal.as_deref()) {
        (Some(signal), _) => Ok(signal),
        (None, None | Some("")) => Ok(SIGTERM),
        (None, Some(text)) => parse_signal(text).map_err(|error| SpecError::Invalid {
            what: "stop signal of the image",
            text: text.to_owned(),
            why: error.to_string(),
        }),
    }
}
