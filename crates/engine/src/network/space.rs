//! The network namespace of a container on networks of CNI, held at a path while plugins have to find it.
//!
//! `RUN/netns/ID` is there from before the first ADD until after the last DEL, so that a DEL finds the namespace when the container has
//! ended, and when its supervisor was killed: what plugins leave to a DEL with a namespace (rules of a masquerade, a device of the
//! host's that has to come back) is undone by it. Other networks need none, and have none.

use std::fs::File;
use std::path::PathBuf;

use conex_oci::ContainerId;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use crate::store::{Store, write};
use crate::{Error, Result};

/// `RUN/netns/ID`
pub(super) fn path(store: &Store, id: &ContainerId) -> PathBuf {
    store.namespaces().join(id.as_str())
}

/// Whether one is held: that of the container that runs, since another is let go of before that starts.
pub(super) fn is_held(store: &Store, id: &ContainerId) -> bool {
    conex_network::cni::is_namespace(&path(store, id))
}

/// Holds the namespace of a process, and no other that was held before.
pub(super) fn hold(store: &Store, id: &ContainerId, pid: u32) -> Result<()> {
    release(store, id)?;
    write::make_directory(&store.namespaces())?;
    let path = path(store, id);
    let fail = |source| Error::Namespace { what: "hold", path: path.clone(), source };
    File::create(&path).map_err(fail)?;
    mount_bind(format!("/proc/{pid}/ns/net"), &path).map_err(|errno| fail(errno.into()))
}

/// Lets go of it; nothing there is success.
pub(super) fn release(store: &Store, id: &ContainerId) -> Result<()> {
    let path = path(store, id);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    loop {
        match unmount(&path, UnmountFlags::DETACH) {
            Ok(()) => {}
            // Not mounted, or not any more.
            Err(Errno::INVAL | Errno::NOENT) => return write::unlink(&path),
            Err(errno) => {
                return Err(Error::Namespace { what: "let go of", path, source: errno.into() });
            }
        }
    }
}
