//! The spec, read once in the parent into what the calls need: masks, descriptors, C strings. Whatever is wrong with a spec
//! is found here, before a process exists.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::LazyLock;

use conex_oci::runtime::{Linux, NamespaceKind, Process, Spec};
use conex_sys::mount::Propagation;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::Error;
use crate::capability::{self, Sets};
use crate::namespaces::Namespaces;
use crate::network;
use crate::nodes::Nodes;
use crate::options::{self, Recursion};
use crate::rootless;
use crate::scheduling::Scheduling;
use crate::sources::{self, PlannedMount, Source};
use crate::sysctl;

/// Stands in for a `process` that the spec does not have: a container that is made and never started (config.md#process).
static NOTHING: LazyLock<Process> = LazyLock::new(Process::default);

/// All that the new process needs to know.
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) linux: &'a Linux,
    pub(crate) namespaces: Namespaces,
    /// Whether the caller is not root.
    pub(crate) ordinary_user: bool,
    pub(crate) mounts: Vec<PlannedMount<'a>>,
    pub(crate) cgroups: Vec<GroupMount>,
    /// The spec's devices that were made outside, in its order.
    pub(crate) nodes: Option<Nodes>,
    /// `linux.rootfsPropagation`
    pub(crate) propagation: Option<(Propagation, Recursion)>,
    pub(crate) process: ProcessPlan<'a>,
}

/// One of the container's cgroup directories, as a detached mount.
pub(crate) struct GroupMount {
    /// The name below /sys/fs/cgroup; empty on a v2 host, where the group is /sys/fs/cgroup itself.
    pub(crate) hierarchy: String,
    pub(crate) mount: Source,
}

/// What runs, and with which rights.
pub(crate) struct ProcessPlan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) cwd: PathBuf,
    pub(crate) capabilities: Sets,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) scheduling: Scheduling,
    pub(crate) seccomp: Option<&'a conex_seccomp::Program>,
    pub(crate) init: Option<&'a [u8]>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        spec: &'a Spec,
        cgroup: Option<&conex_cgroup::Cgroup>,
        seccomp: Option<&'a conex_seccomp::Program>,
        init: Option<&'a [u8]>,
        given: BTreeMap<usize, OwnedFd>,
    ) -> Result<Self, Error> {
        let linux = spec.linux.as_ref().ok_or_else(|| missing("linux"))?;
        let namespaces = Namespaces::plan(linux)?;
        if rootless::is_ordinary_user() && !namespaces.has(NamespaceKind::User) {
            return wrong("linux.namespaces: an ordinary user's container needs a user namespace");
        }
        check_names(spec, &namespaces)?;
        sysctl::check(linux, &namespaces)?;
        check_paths(linux)?;
        check_label(linux)?;
        network::check(&linux.net_devices)?;
        let mut process = match &spec.process {
            Some(process) => ProcessPlan::new(process, seccomp, init)?,
            None => ProcessPlan::of(&NOTHING, seccomp, init)?,
        };
        process.scheduling.take_over(linux)?;
        Ok(Self {
            spec,
            linux,
            mounts: sources::plan(spec, linux, &namespaces, given)?,
            cgroups: group_mounts(spec, cgroup, &namespaces)?,
            nodes: None,
            namespaces,
            ordinary_user: rootless::is_ordinary_user(),
            propagation: root_propagation(linux)?,
            process,
        })
    }

    /// Whether the container's user namespace is not the caller's.
    pub(crate) fn has_user_namespace(&self) -> bool {
        self.namespaces.has(NamespaceKind::User)
    }
}

fn root_propagation(linux: &Linux) -> Result<Option<(Propagation, Recursion)>, Error> {
    match linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty()) {
        None => Ok(None),
        Some(word) => match options::propagation(word) {
            Some(propagation) => Ok(Some(propagation)),
            None => wrong(format!(
                "linux.rootfsPropagation: {word:?} is none of shared, slave, private, unbindable (or with an r before it)"
            )),
        },
    }
}

/// All that can be said of a spec before anything is made. Sources of mounts and namespaces are opened, and closed again.
///
/// # Errors
/// [`Error::Spec`] and what opening gives.
pub fn check(spec: &Spec) -> Result<(), Error> {
    Plan::new(spec, None, None, None, BTreeMap::new()).map(drop)
}

/// What a caller should log of a spec that is nevertheless done (runtime.md#warnings): capabilities that Linux does not have are
/// not granted, mount destinations that are not absolute are taken from the root.
pub fn warnings(spec: &Spec) -> Vec<String> {
    let sets = spec.process.as_ref().and_then(|process| process.capabilities.as_ref());
    let unknown = sets.map(capability::unknown).unwrap_or_default();
    let mut warnings: Vec<_> = unknown
        .iter()
        .map(|name| format!("process.capabilities: {name:?} is no capability of Linux"))
        .collect();
    for (index, mount) in spec.mounts.iter().enumerate() {
        if !mount.destination.is_absolute() && !mount.destination.as_os_str().is_empty() {
            let place = mount.destination.display();
            warnings
                .push(format!("mounts[{index}].destination: {place} is not absolute, which is deprecated"));
        }
    }
    warnings
}

/// The host's own names must not change.
fn check_names(spec: &Spec, namespaces: &Namespaces) -> Result<(), Error> {
    for (field, name) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        let given = name.as_ref().is_some_and(|name| !name.is_empty());
        if given && !namespaces.has(NamespaceKind::Uts) {
            return wrong(format!("{field}: it needs a uts namespace in linux.namespaces"));
        }
    }
    if !spec.linux.as_ref().is_none_or(|linux| linux.net_devices.is_empty())
        && !namespaces.has(NamespaceKind::Network)
    {
        return wrong("linux.netDevices: they need a network namespace in linux.namespaces");
    }
    Ok(())
}

/// "MUST be absolute paths", config-linux.md#masked-paths.
fn check_paths(linux: &Linux) -> Result<(), Error> {
    for (field, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)] {
        if let Some((index, path)) = paths.iter().enumerate().find(|(_, path)| !path.is_absolute()) {
            return wrong(format!("linux.{field}[{index}]: {} is not absolute", path.display()));
        }
    }
    Ok(())
}

fn check_label(linux: &Linux) -> Result<(), Error> {
    const SELINUX_MAGIC: u64 = 0xf97c_ff8c;
    let given = linux.mount_label.as_ref().is_some_and(|label| !label.is_empty());
    let on =
        || rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|fs| fs.f_type.cast_unsigned() == SELINUX_MAGIC);
    if given && !on() {
        return wrong("linux.mountLabel: SELinux is not enabled on this host");
    }
    Ok(())
}

fn group_mounts(
    spec: &Spec,
    cgroup: Option<&conex_cgroup::Cgroup>,
    namespaces: &Namespaces,
) -> Result<Vec<GroupMount>, Error> {
    let wanted = spec.mounts.iter().any(|mount| matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2")));
    let Some(cgroup) = cgroup.filter(|_| wanted) else { return Ok(Vec::new()) };
    cgroup
        .directories()
        .into_iter()
        .map(|(hierarchy, path)| {
            Ok(GroupMount { hierarchy, mount: Source::of(&path, Recursion::One, namespaces)? })
        })
        .collect()
}

pub(crate) fn missing(field: &str) -> Error {
    Error::Spec { what: format!("{field} is missing") }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Spec { what: what.into() })
}

impl<'a> ProcessPlan<'a> {
    pub(crate) fn new(
        process: &'a Process,
        seccomp: Option<&'a conex_seccomp::Program>,
        init: Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        if process.args.is_empty() {
            return Err(missing("process.args"));
        }
        Self::of(process, seccomp, init)
    }

    fn of(
        process: &'a Process,
        seccomp: Option<&'a conex_seccomp::Program>,
        init: Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        for (field, strings) in [("args", &process.args), ("env", &process.env)] {
            if let Some(index) = strings.iter().position(|string| string.contains('\0')) {
                return wrong(format!("process.{field}[{index}]: it contains a NUL character"));
            }
        }
        let cwd = process.cwd_or_root();
        if !cwd.is_absolute() {
            return Err(Error::Spec { what: format!("process.cwd: {} is not absolute", cwd.display()) });
        }
        let capabilities = process.capabilities.as_ref().map(Sets::from).unwrap_or_default();
        let mut rlimits: Vec<(Resource, Rlimit)> = Vec::with_capacity(process.rlimits.len());
        for (index, limit) in process.rlimits.iter().enumerate() {
            let field = format!("process.rlimits[{index}]");
            let Some(resource) = resource(&limit.kind) else {
                return wrong(format!("{field}.type: {:?} is no resource limit of Linux", limit.kind));
            };
            if rlimits.iter().any(|(known, _)| *known == resource) {
                return wrong(format!("{field}.type: {:?} stands there twice", limit.kind));
            }
            if limit.soft > limit.hard {
                return wrong(format!("{field}: soft ({}) is more than hard ({})", limit.soft, limit.hard));
            }
            let bound = |value: u64| (value != u64::MAX).then_some(value);
            rlimits.push((resource, Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) }));
        }
        if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
            return wrong(format!("process.oomScoreAdj: {score} is not within -1000 and 1000"));
        }
        if let Some(mask) = process.user.umask.filter(|mask| mask & !0o777 != 0) {
            return wrong(format!("process.user.umask: {mask} is more than 511 (0777)"));
        }
        let scheduling = Scheduling::new(process)?;
        Ok(Self { process, cwd, capabilities, rlimits, scheduling, seccomp, init })
    }
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name.strip_prefix("RLIMIT_").unwrap_or(name) {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}

/// What the parent could not do, in the same words as the child's failures.
pub(crate) fn parent(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Parent { what, source }
}

/// Likewise for rustix.
pub(crate) fn parent_errno(what: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::Parent { what, source: errno.into() }
}
