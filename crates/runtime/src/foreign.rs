//! A mount of another container's as a bind's source: `/proc/PID/root/PATH`, as a shared /dev/shm is.
//!
//! The kernel clones a mount only for a process in that mount namespace (EINVAL for all others), so one is made that joins it,
//! clones and hands the clone over. The path there belongs to a hostile container: it is resolved beneath that root by
//! descriptor, never by a link of /proc, and this process joins nothing that would let the container see it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_oci::runtime::NamespaceKind;
use conex_sys::namespace;
use conex_sys::process::{Forked, exit_now, fork};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use crate::Error;
use crate::beneath;
use crate::channel::{Channel, Report};
use crate::create::reap;
use crate::fault::{During, Fault};
use crate::init::become_undumpable;
use crate::options::Recursion;
use crate::plan::parent;

/// The process and the path within its root that a source names; `None` for a path of the host's.
pub(crate) fn parse(source: &Path) -> Option<(u32, PathBuf)> {
    let (pid, path) = source.to_str()?.strip_prefix("/proc/")?.split_once("/root/")?;
    let digits = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    Some((pid.parse().ok().filter(|_| digits)?, Path::new("/").join(path)))
}

/// A detached copy of the mount at `path` as the process sees it.
pub(crate) fn clone_tree(pid: u32, path: &Path, recursion: Recursion) -> Result<OwnedFd, Error> {
    let during = || format!("bind {} of process {pid}", path.display());
    let (ours, theirs) = Channel::pair().map_err(parent("make a socket pair"))?;
    let place = PathBuf::from(format!("/proc/{pid}/ns/mnt"));
    let namespace = rustix::fs::open(&place, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::Namespace { path: place, source: errno.into() })?;
    match fork().map_err(parent("fork"))? {
        Forked::Child => {
            drop(ours);
            let clone = || -> Result<OwnedFd, Fault> {
                become_undumpable()?;
                namespace::join(namespace.as_fd(), NamespaceKind::Mount.clone_flag()).during(during)?;
                let root = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .during(during)?;
                let target = beneath::open(root.as_fd(), path).during(during)?;
                let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
                    | OpenTreeFlags::OPEN_TREE_CLOEXEC
                    | OpenTreeFlags::AT_EMPTY_PATH;
                if recursion == Recursion::All {
                    flags |= OpenTreeFlags::AT_RECURSIVE;
                }
                rustix::mount::open_tree(&target, "", flags).during(during)
            };
            match clone().and_then(|mount| theirs.report_ready(Some(mount.as_fd()))) {
                Ok(()) => exit_now(0),
                Err(fault) => {
                    theirs.report_failure(&fault);
                    exit_now(1)
                }
            }
        }
        Forked::Parent { pid: helper } => {
            drop(theirs);
            let report = ours.report().map_err(parent("hear of another container's mount"));
            reap(helper);
            match report? {
                Report::Ready { terminal: Some(mount) } => Ok(mount),
                Report::Failed(error) => Err(error),
                _ => Err(Error::Died { status: "before a mount was cloned".to_owned() }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_root_is_foreign() {
        let parse = |text: &str| parse(Path::new(text));
        assert_eq!(parse("/proc/42/root/dev/shm"), Some((42, "/dev/shm".into())));
        assert_eq!(parse("/proc/42/root/"), Some((42, "/".into())));
        for host in [
            "/dev/shm",
            "/proc/self/root/x",
            "/proc/+4/root/x",
            "/proc/4/cwd/root/x",
            "/proc//root/x",
            "/a/proc/4/root/x",
        ] {
            assert_eq!(parse(host), None, "{host}");
        }
    }
}
