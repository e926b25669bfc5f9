//! The spec's mounts as the parent prepares them: options sorted, a bind's source cloned by descriptor and idmapped.
//!
//! A source is the host's, so it is opened here: in a user namespace the child may not reach it. An ordinary user's runtime may
//! clone no mount; there the child does, as root of its own namespaces, and reaches what the user does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_oci::runtime::{Linux, Mount, NamespaceKind, Spec};
use conex_sys::mount::{Change, set_attributes};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::Error;
use crate::fault::{During, Fault};
use crate::foreign;
use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::options::{MountOptions, Recursion};
use crate::plan::parent;

/// More than any real spec has, and few enough to be refused before the kernel has done half of them (fs.mount-max).
const LIMIT: usize = 20_000;

/// A mount with its options sorted and, for a bind, its source held.
pub(crate) struct PlannedMount<'a> {
    pub(crate) mount: &'a Mount,
    /// Absolute.
    pub(crate) destination: Cow<'a, Path>,
    pub(crate) options: MountOptions,
    pub(crate) source: Option<Source>,
}

/// What a bind mount shows.
#[derive(Debug)]
pub(crate) enum Source {
    /// A detached mount.
    Held(OwnedFd),
    /// A path whose mount the child has to clone.
    Later(PathBuf, Recursion),
}

impl Source {
    pub(crate) fn of(path: &Path, recursion: Recursion, namespaces: &Namespaces) -> Result<Self, Error> {
        let own = namespaces.has(NamespaceKind::User) && namespaces.creates(NamespaceKind::Mount);
        match clone_tree(path, recursion) {
            Err(Errno::PERM) if own => Ok(Self::Later(path.to_owned(), recursion)),
            cloned => cloned.map(Self::Held).map_err(|errno| bind_error(path, errno)),
        }
    }

    /// The mount, detached.
    pub(crate) fn with<T, E: From<Errno>>(
        &self,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Held(mount) => act(mount.as_fd()),
            Self::Later(path, recursion) => act(clone_tree(path, *recursion)?.as_fd()),
        }
    }

    /// The same, for keeps.
    pub(crate) fn take(self) -> Result<OwnedFd, Fault> {
        match self {
            Self::Held(mount) => Ok(mount),
            Self::Later(path, recursion) => {
                clone_tree(&path, recursion).during(|| format!("bind {}", path.display()))
            }
        }
    }
}

/// All of them, in order.
pub(crate) fn plan<'a>(
    spec: &'a Spec,
    linux: &'a Linux,
    namespaces: &Namespaces,
    mut given: BTreeMap<usize, OwnedFd>,
) -> Result<Vec<PlannedMount<'a>>, Error> {
    if spec.mounts.len() > LIMIT {
        let what = format!("mounts: there are {}, more than {LIMIT}", spec.mounts.len());
        return Err(Error::Spec { what });
    }
    let mut idmaps = IdMaps::default();
    let mut planned = Vec::with_capacity(spec.mounts.len());
    for (index, mount) in spec.mounts.iter().enumerate() {
        let of = |error| match error {
            Error::Spec { what } => Error::Spec { what: format!("mounts[{index}]{what}") },
            other => other,
        };
        planned.push(one(mount, linux, namespaces, given.remove(&index), &mut idmaps).map_err(of)?);
    }
    Ok(planned)
}

/// Errors of the spec begin with the field within the mount.
fn one<'a>(
    mount: &'a Mount,
    linux: &'a Linux,
    namespaces: &Namespaces,
    given: Option<OwnedFd>,
    idmaps: &mut IdMaps<'a>,
) -> Result<PlannedMount<'a>, Error> {
    let wrong = |what: String| Err(Error::Spec { what });
    let mut options = MountOptions::parse(&mount.options);
    if mount.kind.as_deref() == Some("bind") && options.bind.is_none() {
        options.bind = Some(Recursion::One);
    }
    // "relative to /", config.md#mounts; an empty one is nobody's intention.
    let destination = match mount.destination.as_path() {
        path if path.as_os_str().is_empty() => return wrong(".destination: it is missing".to_owned()),
        path if path.is_absolute() => Cow::Borrowed(path),
        path => Cow::Owned(Path::new("/").join(path)),
    };
    let mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() || options.idmap.is_some();
    let Some(recursion) = options.bind.filter(|_| !options.remount) else {
        if mapped {
            return wrong(".options: only a bind mount can be idmapped".to_owned());
        }
        if options.bind.is_none() && mount.kind.as_deref().is_none_or(str::is_empty) && !options.remount {
            return wrong(".type: it is missing".to_owned());
        }
        return Ok(PlannedMount { mount, destination, options, source: None });
    };
    if let Some((name, _)) = options.data.first() {
        return wrong(format!(".options: {name:?} is no option of a bind mount"));
    }
    let path = match mount.source.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => path,
        None => return wrong(".source: a bind mount needs it".to_owned()),
    };
    let source = match (given, foreign::parse(path)) {
        (Some(mount), _) => Source::Held(mount),
        (None, Some((pid, path))) => Source::Held(foreign::clone_tree(pid, &path, recursion)?),
        (None, None) => Source::of(path, recursion, namespaces)?,
    };
    if mapped {
        match &source {
            Source::Held(source) => idmap(source, mount, &options, linux, namespaces, idmaps)?,
            Source::Later(path, _) => return Err(bind_error(path, Errno::PERM)),
        }
    }
    Ok(PlannedMount { mount, destination, options, source: Some(source) })
}

/// The mapping is the mount's own, else the container's (config.md#linux-mount-options, `idmap`).
fn idmap<'a>(
    source: &OwnedFd,
    mount: &'a Mount,
    options: &MountOptions,
    linux: &'a Linux,
    namespaces: &Namespaces,
    idmaps: &mut IdMaps<'a>,
) -> Result<(), Error> {
    let own = (mount.uid_mappings.as_slice(), mount.gid_mappings.as_slice());
    let namespace = match own {
        ([], []) => match namespaces.joins(NamespaceKind::User) {
            Some(joined) => joined.fd.as_fd(),
            None if namespaces.creates(NamespaceKind::User) => {
                idmaps.get(&linux.uid_mappings, &linux.gid_mappings)?
            }
            None => {
                let what =
                    ".options: an idmapped mount needs uidMappings and gidMappings, or a user namespace";
                return Err(Error::Spec { what: what.to_owned() });
            }
        },
        ([], _) => return Err(Error::Spec { what: ".uidMappings: gidMappings need them".to_owned() }),
        (_, []) => return Err(Error::Spec { what: ".gidMappings: uidMappings need them".to_owned() }),
        (uids, gids) => idmaps.get(uids, gids)?,
    };
    let change = Change { idmap: Some(namespace), ..Change::default() };
    set_attributes(source.as_fd(), &change, options.idmap == Some(Recursion::All))
        .map_err(parent("map the ids of a bind mount (its file system must support idmapped mounts)"))
}

/// A detached copy of the mount at `path`.
fn clone_tree(path: &Path, recursion: Recursion) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursion == Recursion::All {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(rustix::fs::CWD, path, flags)
}

fn bind_error(path: &Path, errno: Errno) -> Error {
    Error::Init { what: format!("bind {}", path.display()), errno }
}
