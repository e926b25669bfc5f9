//! Where a mount goes: a directory or file beneath the root filesystem, made when it is missing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::io::Errno;

use super::{Failure, Root};
use crate::beneath::{self, Make};

/// A place to mount on.
pub(super) struct Target {
    pub(super) place: OwnedFd,
    pub(super) is_directory: bool,
    /// Its permission bits, when it was there before.
    pub(super) mode: Option<u32>,
}

/// Which file on which mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    mount: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let stat = look(fd)?;
        Ok(Self { mount: stat.stx_mnt_id, inode: stat.stx_ino })
    }
}

fn look(fd: BorrowedFd<'_>) -> Result<rustix::fs::Statx, Errno> {
    let wanted = StatxFlags::MNT_ID | StatxFlags::INO | StatxFlags::MODE | StatxFlags::TYPE;
    statx(fd, "", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, wanted)
}

/// The files in procfs that may be covered: those that lxcfs emulates.
const COVERABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Nothing else may be covered inside procfs, by whatever path it is reached (CVE-2019-16884), and not the root itself: the
/// pivot would go to what lies below.
pub(super) fn find(root: &Root<'_>, destination: &Path, make: Make) -> Result<Target, Failure> {
    // What we make in a tmpfs of our own is what we have made.
    if make == Make::Directory
        && let (Some(parent), Some(name)) = (destination.parent(), destination.file_name())
        && let Some(tmpfs) = root.tmpfs(parent)
        && let Some(place) = beneath::make_directory(tmpfs, name)?
    {
        return Ok(Target { place, is_directory: true, mode: None });
    }
    let (place, existed) = match beneath::open(root.tree, destination) {
        Err(Errno::NOENT) => match beneath::ensure(root.tree, destination, make) {
            // Callers would read "no such file" as a missing program.
            Err(Errno::NOENT) if destination.starts_with("/proc") => return Err(inside_proc()),
            made => (made?, false),
        },
        opened => (opened?, true),
    };
    let stat = look(place.as_fd())?;
    let identity = Identity { mount: stat.stx_mnt_id, inode: stat.stx_ino };
    if identity == root.identity {
        let why = "that is the root filesystem itself".to_owned();
        return Err(Failure::Explained(Errno::BUSY, why));
    }
    let allowed = COVERABLE.iter().any(|path| destination == Path::new(path));
    // The root's own mount is no procfs, so most need no second look.
    if identity.mount != root.identity.mount && !allowed && beneath::is_procfs(place.as_fd())? {
        return Err(inside_proc());
    }
    let mode = u32::from(stat.stx_mode);
    let is_directory = FileType::from_raw_mode(mode) == FileType::Directory;
    Ok(Target { place, is_directory, mode: existed.then_some(mode & 0o7777) })
}

fn inside_proc() -> Failure {
    let why = "only some files of /proc may be covered, as /proc/cpuinfo".to_owned();
    Failure::Explained(Errno::PERM, why)
}

/// For procfs and sysfs: an image with a symlink there would have the kernel's files appear elsewhere (CVE-2019-19921,
/// CVE-2023-27561, CVE-2023-28642).
pub(super) fn real(root: &Root<'_>, destination: &Path) -> Result<OwnedFd, Failure> {
    let explained = |errno, why: &str| Err(Failure::Explained(errno, why.to_owned()));
    let place = match beneath::open_real(root.tree, destination) {
        Err(Errno::NOENT) => {
            beneath::ensure(root.tree, destination, Make::Directory)?;
            beneath::open_real(root.tree, destination)
        }
        opened => opened,
    };
    let place = match place {
        Err(Errno::LOOP) => {
            return explained(
                Errno::LOOP,
                "it must be mounted on ordinary directory; the image has a symbolic link there",
            );
        }
        place => place?,
    };
    let stat = look(place.as_fd())?;
    if FileType::from_raw_mode(u32::from(stat.stx_mode)) != FileType::Directory {
        return explained(Errno::NOTDIR, "the image has no directory there");
    }
    if (Identity { mount: stat.stx_mnt_id, inode: stat.stx_ino }) == root.identity {
        return explained(Errno::BUSY, "that is the root filesystem itself");
    }
    Ok(place)
}
