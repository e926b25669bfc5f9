//! The spec, read once in the parent into what the calls need: masks, descriptors, C strings. Whatever is wrong with a spec
//! is found here, before a process exists.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use conex_oci::runtime::{Linux, Mount, Process, Spec};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::{Resource, Rlimit};

use crate::Error;
use crate::capability::Sets;
use crate::foreign;
use crate::namespaces::Namespaces;
use crate::options::{MountOptions, Recursion};

/// All that the new process needs to know.
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) linux: &'a Linux,
    pub(crate) namespaces: Namespaces,
    pub(crate) mounts: Vec<PlannedMount<'a>>,
    pub(crate) cgroups: Vec<GroupMount>,
    pub(crate) process: ProcessPlan<'a>,
}

/// One of the container's cgroup directories, as a detached mount.
pub(crate) struct GroupMount {
    /// The name below /sys/fs/cgroup; empty on a v2 host, where the group is /sys/fs/cgroup itself.
    pub(crate) hierarchy: String,
    pub(crate) mount: OwnedFd,
}

/// A mount with its options sorted and, for a bind, its source held.
pub(crate) struct PlannedMount<'a> {
    pub(crate) mount: &'a Mount,
    pub(crate) options: MountOptions,
    pub(crate) source: Option<OwnedFd>,
}

/// What runs, and with which rights.
pub(crate) struct ProcessPlan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) cwd: PathBuf,
    pub(crate) capabilities: Sets,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) seccomp: Option<&'a conex_seccomp::Program>,
    pub(crate) init: Option<&'a [u8]>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        spec: &'a Spec,
        cgroup: Option<&conex_cgroup::Cgroup>,
        seccomp: Option<&'a conex_seccomp::Program>,
        init: Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        let linux = spec.linux.as_ref().ok_or_else(|| missing("linux"))?;
        let process = spec.process.as_ref().ok_or_else(|| missing("process"))?;
        if spec.hooks.as_ref().is_some_and(|hooks| *hooks != Default::default()) {
            return Err(unsupported("hooks"));
        }
        if linux.personality.is_some() {
            return Err(unsupported("linux.personality"));
        }
        Ok(Self {
            spec,
            linux,
            namespaces: Namespaces::plan(linux)?,
            mounts: spec.mounts.iter().map(PlannedMount::new).collect::<Result<_, _>>()?,
            cgroups: group_mounts(spec, cgroup)?,
            process: ProcessPlan::new(process, seccomp, init)?,
        })
    }
}

fn group_mounts(spec: &Spec, cgroup: Option<&conex_cgroup::Cgroup>) -> Result<Vec<GroupMount>, Error> {
    let wanted = spec.mounts.iter().any(|mount| matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2")));
    let Some(cgroup) = cgroup.filter(|_| wanted) else { return Ok(Vec::new()) };
    cgroup
        .directories()
        .into_iter()
        .map(|(hierarchy, path)| Ok(GroupMount { hierarchy, mount: clone_tree(&path, Recursion::One)? }))
        .collect()
}

fn missing(field: &str) -> Error {
    Error::Spec { what: format!("{field} is missing") }
}

fn unsupported(field: &str) -> Error {
    Error::Spec { what: format!("{field} is not supported yet") }
}

impl<'a> PlannedMount<'a> {
    fn new(mount: &'a Mount) -> Result<Self, Error> {
        let mut options = MountOptions::parse(&mount.options)?;
        if mount.kind.as_deref() == Some("bind") && options.bind.is_none() {
            options.bind = Some(Recursion::One);
        }
        if !mount.destination.is_absolute() {
            let what = format!("mounts: the destination {} is not absolute", mount.destination.display());
            return Err(Error::Spec { what });
        }
        if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() || options.idmap.is_some() {
            return Err(unsupported("mounts: an idmapped mount"));
        }
        // The source is the host's, so it is opened here: in a user namespace the child may not reach it.
        let source = match options.bind {
            None => None,
            Some(recursion) => {
                let path = mount.source.as_deref().ok_or_else(|| missing("mounts: a bind's source"))?;
                Some(match foreign::parse(path) {
                    Some((pid, path)) => foreign::clone_tree(pid, &path, recursion)?,
                    None => clone_tree(path, recursion)?,
                })
            }
        };
        Ok(Self { mount, options, source })
    }
}

/// A detached copy of the mount at `path`.
pub(crate) fn clone_tree(path: &Path, recursion: Recursion) -> Result<OwnedFd, Error> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursion == Recursion::All {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(rustix::fs::CWD, path, flags)
        .map_err(|errno| Error::Init { what: format!("bind {}", path.display()), errno })
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
        if process.scheduler.is_some() {
            return Err(unsupported("process.scheduler"));
        }
        if process.io_priority.is_some() {
            return Err(unsupported("process.ioPriority"));
        }
        let cwd = process.cwd_or_root();
        if !cwd.is_absolute() {
            return Err(Error::Spec { what: format!("process.cwd: {} is not absolute", cwd.display()) });
        }
        let capabilities = process.capabilities.as_ref().map(Sets::parse).transpose()?.unwrap_or_default();
        let mut rlimits = Vec::with_capacity(process.rlimits.len());
        for limit in &process.rlimits {
            let resource = resource(&limit.kind).ok_or_else(|| Error::Spec {
                what: format!("process.rlimits: {:?} is no resource limit of Linux", limit.kind),
            })?;
            let bound = |value: u64| (value != u64::MAX).then_some(value);
            rlimits.push((resource, Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) }));
        }
        Ok(Self { process, cwd, capabilities, rlimits, seccomp, init })
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
