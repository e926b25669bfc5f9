//! Where an ordinary user's own networks are: a network namespace that stands for the host, with their bridges and their table of the
//! packet filter. Nothing leads out of it: each container has its own way (`network::uplink`).
//!
//! It is mounted on `RUN/host.netns`, in the user's mount namespace, and so ends with that: with the last process of his containers.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use conex_netlink::{LOOPBACK, Route};
use conex_sys::namespace;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::retry_on_intr;
use rustix::mount::mount_bind;

use super::is_rootless;
use crate::{Error, Result};

/// Does something with the host's networks; of an ordinary user with those that he has instead. Nothing may be forked meanwhile.
///
/// # Errors
/// Those of `work`; [`Error::NetworkNamespace`].
pub(crate) fn on_host<T: Send>(run: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if !is_rootless() {
        return work();
    }
    let failed = |source| Error::NetworkNamespace { source };
    let there = open(run).map_err(failed)?;
    namespace::visit_network(there.as_fd(), work).map_err(failed)?
}

fn open(run: &Path) -> io::Result<OwnedFd> {
    let path = run.join("host.netns");
    if let Some(found) = find(&path)? {
        return Ok(found);
    }
    // Alone, as who enters is: not by a record lock, which would be the member's.
    let file = File::options().create(true).append(true).open(run.join("host.netns.lock"))?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    if let Some(found) = find(&path)? {
        return Ok(found);
    }
    let made = std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> io::Result<OwnedFd> {
            namespace::unshare(namespace::NETWORK)?;
            Route::open().and_then(|mut route| route.set_up(LOOPBACK)).map_err(io::Error::other)?;
            Ok(rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    File::create(&path)?;
    mount_bind(format!("/proc/self/fd/{}", made.as_raw_fd()), &path)?;
    Ok(made)
}

/// What is mounted there; `None` for an empty file that earlier namespaces have left.
fn find(path: &Path) -> io::Result<Option<OwnedFd>> {
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty());
    let file = match opened {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    Ok(namespace::kind(file.as_fd()).is_ok_and(|kind| kind == namespace::NETWORK).then_some(file))
}
