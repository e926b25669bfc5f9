//! Root filesystems: an image's layers under overlayfs, as a mount that hangs nowhere.
//!
//! The mount is made with fsopen, fsconfig and fsmount and given as a file descriptor; whoever runs the container moves it
//! into the container's own mount namespace. Nothing of it is ever mounted in the host's.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_image::rootfs::{self, RootfsRequest, Scratch};
//! let lowers = ["aa…", "bb…"].map(|hex| std::path::Path::new("/var/lib/conex/layers").join(hex).join("fs"));
//! let scratch = Scratch::at("/var/lib/conex/containers/cc…".as_ref());
//! scratch.create(lowers.last().map(std::path::PathBuf::as_path), (0, 0))?;
//! let mount = rootfs::mount(&RootfsRequest {
//!     lowers: &lowers,
//!     upper: &scratch.upper,
//!     work: &scratch.work,
//!     volatile: false,
//!     read_only: false,
//!     idmap: None,
//! })?;
//! // … the container runs and ends; its mount namespace, and with it the mount, is gone …
//! scratch.remove()?;
//! # Ok(()) }
//! ```
//!
//! The mount allows device nodes: which of them open is for the container's device filter to say, as in Docker, where a
//! container with CAP_MKNOD may build a root filesystem of its own.

mod error;
mod overlay;
mod private;
mod scratch;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use conex_archive::{RemoveError, remove_tree};
pub use error::{Result, RootfsError};
pub use scratch::Scratch;

use conex_archive::OverlayXattrs;
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;

/// What a root filesystem is made of.
#[derive(Debug, Clone)]
pub struct RootfsRequest<'a> {
    /// The image's layers, lowest first, as [`Layers::lower`](crate::layers::Layers::lower) gives them. None at all is
    /// an empty image.
    pub lowers: &'a [PathBuf],
    /// The container's writable layer; an existing directory. The root directory takes its owner and mode from it.
    pub upper: &'a Path,
    /// Overlayfs's own directory, on the same file system as `upper`; an existing directory.
    pub work: &'a Path,
    /// Leaves out every sync: for a container whose writable layer dies with it (Linux 5.10).
    pub volatile: bool,
    /// Read-only from the start, so that not even a mount point can be made in it: for looking at an image. A container's
    /// own read-only root is made so by the runtime, after its mounts.
    pub read_only: bool,
    /// A user namespace whose mapping the layers' owners are shown through (Linux 5.19). The files in `upper` are the
    /// container's own and not mapped.
    pub idmap: Option<BorrowedFd<'a>>,
}

/// Mounts the root filesystem, detached: it lives as long as the descriptor, or as what it is moved into.
pub fn mount(request: &RootfsRequest<'_>) -> Result<OwnedFd> {
    let lowers = lowers(request)?;
    let stack = Stack { request, lowers: &lowers };
    let mounted = match mount_once(&stack) {
        // Overlayfs marks the work directory of a volatile mount, and refuses it ever after: a crash of the host could
        // have lost what was written. Not so if only the container was stopped.
        Err(error) if request.volatile && error.is_invalid() && forget_volatile(request.work)? => {
            mount_once(&stack)
        }
        other => other,
    }?;
    match request.read_only {
        true => Ok(mounted),
        false => writable(mounted, request.work),
    }
}

/// Overlayfs that cannot make its own directory in the work directory mounts all the same, read-only, and says so to the kernel's
/// log alone (`fs/overlayfs/super.c`): on a full disk a container would be told of a read-only file system.
fn writable(mounted: OwnedFd, work: &Path) -> Result<OwnedFd> {
    let stat = rustix::fs::fstatvfs(&mounted).map_err(RootfsError::directory("look at", work))?;
    if !stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(mounted);
    }
    let own = work.join("work");
    let why = match rustix::fs::mkdir(&own, Mode::RWXU) {
        Err(error) if error != Errno::EXIST => error,
        _ => Errno::ROFS,
    };
    Err(RootfsError::directory("create", &own)(why))
}

/// A request whose list of layers is final: at least one, highest first.
struct Stack<'a> {
    request: &'a RootfsRequest<'a>,
    lowers: &'a [&'a Path],
}

fn mount_once(stack: &Stack<'_>) -> Result<OwnedFd> {
    match overlay::mount(stack) {
        // Before Linux 6.7 there is no `lowerdir+`, before 6.15 no layer may be a detached mount.
        Err(first) if first.is_invalid() => {
            private::mount(stack).map_err(|second| match second.is_invalid() {
                // Then the request itself is wrong, and the first error has what overlayfs says about it.
                true => first,
                false => second,
            })
        }
        other => other,
    }
}

/// The layers to mount, highest first, less those that cannot be seen:
/// a layer that comes again higher up (overlayfs refuses one twice; all that the lower one says, the higher says again),
/// and what lies below an opaque root (overlayfs looks for that mark in all directories but the root).
fn lowers<'a>(request: &'a RootfsRequest<'_>) -> Result<Vec<&'a Path>> {
    let mut lowers: Vec<&Path> = Vec::with_capacity(request.lowers.len());
    for (index, lower) in request.lowers.iter().enumerate().rev() {
        // As strings: both come from one store, and comparing paths part by part takes ten times as long.
        if lowers.iter().any(|higher| higher.as_os_str() == lower.as_os_str()) {
            continue;
        }
        lowers.push(lower);
        if index > 0 && is_opaque(lower)? {
            break;
        }
    }
    Ok(lowers)
}

fn is_opaque(lower: &Path) -> Result<bool> {
    let mut value = [0; 1];
    match rustix::fs::getxattr(lower, OverlayXattrs::here().opaque(), &mut value) {
        Ok(length) => Ok(value[..length] == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(RootfsError::directory("look at", lower)(error)),
    }
}

/// Takes overlayfs's mark of a volatile mount away; says whether there was one.
fn forget_volatile(work: &Path) -> Result<bool> {
    let incompatible = work.join("work/incompat");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(&incompatible, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(RootfsError::directory("open", &incompatible)(error)),
    };
    remove_tree(directory.as_fd(), "volatile".as_ref())
        .map(|()| true)
        .map_err(|source| RootfsError::Clear { path: incompatible, source })
}
