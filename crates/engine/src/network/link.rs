//! `--netns-link`: a container's network namespace under its name in /run/netns, where `ip netns` looks (ip-netns(8)).
//!
//! Two symbolic links: `/run/netns/NAME` to `RUN/containers/ID/netns`, and that to `/proc/PID/ns/net`. iproute2 opens what it finds
//! there, so a mount is not needed, which would hold the namespace when the container has ended. The first link says whose it is: only
//! one that leads to our own is ever removed. The second is made before it and removed after it, so that whoever finds a
//! killed supervisor finds both.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use conex_oci::ContainerId;

use crate::store::{Record, Store, write};
use crate::{Error, Result};

/// iproute2's directory.
const DIRECTORY: &str = "/run/netns";

/// `RUN/containers/ID/netns`
fn inner(store: &Store, id: &ContainerId) -> PathBuf {
    store.run_directory(id).join("netns")
}

/// Links the network namespace of a process that starts, when that was asked for.
pub(crate) fn link(store: &Store, record: &Record, pid: u32) -> Result<()> {
    if !record.options.namespaces.netns_link {
        return Ok(());
    }
    let inner = inner(store, &record.id);
    // Of a run whose end was cut short.
    write::unlink(&inner)?;
    make(&inner, Path::new(&format!("/proc/{pid}/ns/net")))?;
    std::fs::create_dir_all(DIRECTORY)
        .map_err(|source| Error::Directory { path: DIRECTORY.into(), source })?;
    let outer = Path::new(DIRECTORY).join(record.name.as_str());
    match symlink(&inner, &outer) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !is_stale(&outer) {
                return Err(Error::NetnsTaken { path: outer });
            }
            write::unlink(&outer)?;
            make(&outer, &inner)
        }
        Err(source) => Err(Error::Write { path: outer, source }),
    }
}

/// Removes the links of a container, by whatever name it had when they were made.
pub(crate) fn unlink(store: &Store, id: &ContainerId) -> Result<()> {
    let inner = inner(store, id);
    if inner.symlink_metadata().is_err() {
        return Ok(());
    }
    if let Ok(entries) = std::fs::read_dir(DIRECTORY) {
        let ours = |path: &PathBuf| std::fs::read_link(path).is_ok_and(|target| target == inner);
        for path in entries.flatten().map(|entry| entry.path()).filter(ours) {
            write::unlink(&path)?;
        }
    }
    write::unlink(&inner)
}

/// A link that leads to nothing: a run directory went, and something kept its owner from removing the link before.
fn is_stale(outer: &Path) -> bool {
    let target = std::fs::read_link(outer);
    target.is_ok_and(|target| target.ends_with("netns") && target.symlink_metadata().is_err())
}

fn make(path: &Path, target: &Path) -> Result<()> {
    symlink(target, path).map_err(|source| Error::Write { path: path.to_owned(), source })
}
