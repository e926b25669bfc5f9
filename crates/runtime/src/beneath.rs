//! Paths inside a container's root filesystem, resolved as the container would see them and never outside.
//!
//! The image wrote these directories and is hostile: any component may be a symlink. The fast way is one
//! openat2(RESOLVE_IN_ROOT). Where something has to be made on the way, the walk goes component by component over held
//! descriptors: a symlink is read and its text walked from the root, `..` goes back along the walk and not along the
//! disk, so that no rename can lead out (CVE-2024-45310, CVE-2021-30465).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// What is made when the path does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Directory,
    File,
}

const LOOKUP: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
const SYMLINK_LIMIT: usize = 40;

/// Opens `path` (O_PATH) as the container sees it from `root`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open_with(root, path, LOOKUP)
}

/// Likewise with flags of the caller's.
pub(crate) fn open_with(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, ResolveFlags::empty())
}

/// Opens `path`, whose every component is a real directory or file: ELOOP when one is a symlink.
pub(crate) fn open_real(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    resolve(root, path, LOOKUP, ResolveFlags::NO_SYMLINKS)
}

/// openat2(2) gives up (EAGAIN) on a `..`, as an image's links have, when anything anywhere was renamed or mounted meanwhile:
/// on a host that starts many containers that is always.
fn resolve(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    besides: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    const PATIENCE: u32 = 10_000;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | besides;
    for _ in 1..PATIENCE {
        match fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens `path`, making what is missing: directories on the way (0755) and, at the end, a directory or an empty file.
pub(crate) fn ensure(root: BorrowedFd<'_>, path: &Path, make: Make) -> Result<OwnedFd, Errno> {
    match open(root, path) {
        Err(Errno::NOENT) => walk(root, path, make),
        opened => opened,
    }
}

fn walk(root: BorrowedFd<'_>, path: &Path, make: Make) -> Result<OwnedFd, Errno> {
    let mut held = vec![root.try_clone_to_owned().map_err(|_| Errno::MFILE)?];
    let mut ahead: VecDeque<OsString> = names(path);
    let mut symlinks = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            if held.len() > 1 {
                held.pop();
            }
            continue;
        }
        let here = held.last().ok_or(Errno::NOENT)?.as_fd();
        let next = match descend(here, &name) {
            Err(Errno::NOENT) => {
                let last = ahead.is_empty();
                make_entry(here, &name, if last { make } else { Make::Directory })?;
                descend(here, &name)?
            }
            found => found?,
        };
        if FileType::from_raw_mode(fs::fstat(&next)?.st_mode) == FileType::Symlink {
            symlinks += 1;
            if symlinks > SYMLINK_LIMIT {
                return Err(Errno::LOOP);
            }
            let target = fs::readlinkat(&next, "", Vec::new())?.into_bytes();
            if target.first() == Some(&b'/') {
                held.truncate(1);
            }
            for name in names(Path::new(OsStr::from_bytes(&target))).into_iter().rev() {
                ahead.push_front(name);
            }
            continue;
        }
        held.push(next);
    }
    held.pop().ok_or(Errno::NOENT)
}

/// The components that matter: names and `..`.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from_vec(b"..".to_vec())),
            _ => None,
        })
        .collect()
}

fn descend(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    fs::openat(parent, name, LOOKUP | OFlags::NOFOLLOW, Mode::empty())
}

fn make_entry(parent: BorrowedFd<'_>, name: &OsStr, make: Make) -> Result<(), Errno> {
    let made = match make {
        Make::Directory => fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Make::File => fs::openat(
            parent,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY,
            Mode::from_raw_mode(0o644),
        )
        .map(drop),
    };
    match made {
        // Somebody else made it in between; what it is, the next look tells.
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Makes a directory that is not there yet, in one that is nobody else's; `None` when something is there.
pub(crate) fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<OwnedFd>, Errno> {
    match fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(None),
        made => {
            made?;
            let flags = LOOKUP | OFlags::NOFOLLOW | OFlags::DIRECTORY;
            fs::openat(parent, name, flags, Mode::empty()).map(Some)
        }
    }
}

/// Opens one name in a directory, made when it is missing; ELOOP when it is a symlink.
pub(crate) fn ensure_here(parent: BorrowedFd<'_>, name: &OsStr, make: Make) -> Result<OwnedFd, Errno> {
    make_entry(parent, name, make)?;
    let opened = descend(parent, name)?;
    match FileType::from_raw_mode(fs::fstat(&opened)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        _ => Ok(opened),
    }
}

/// Whether `fd` is on procfs.
pub(crate) fn is_procfs(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    Ok(fs::fstatfs(fd)?.f_type.cast_unsigned() == PROC_SUPER_MAGIC)
}

/// Whether `fd` is a directory.
pub(crate) fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        let fd =
            fs::open(directory.path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        (directory, fd.unwrap())
    }

    #[test]
    fn dangling_symlinks_are_filled_in_below_the_root() {
        let (directory, fd) = root();
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        let far = format!("../../../..{}/resolv.conf", outside.path().display());
        symlink(far, directory.path().join("etc/resolv.conf")).unwrap();
        ensure(fd.as_fd(), Path::new("/etc/resolv.conf"), Make::File).unwrap();
        assert!(outside.path().read_dir().unwrap().next().is_none(), "something was made outside");
        let inside = directory.path().join(outside.path().strip_prefix("/").unwrap()).join("resolv.conf");
        assert!(inside.is_file());
    }

    #[test]
    fn absolute_symlinks_stay_below_and_loops_end() {
        let (directory, fd) = root();
        symlink("/", directory.path().join("up")).unwrap();
        ensure(fd.as_fd(), Path::new("/up/up/../made/here"), Make::Directory).unwrap();
        assert!(directory.path().join("made/here").is_dir());
        symlink("b", directory.path().join("a")).unwrap();
        symlink("a", directory.path().join("b")).unwrap();
        assert_eq!(ensure(fd.as_fd(), Path::new("/a/x"), Make::File).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn renames_elsewhere_are_waited_out() {
        let (directory, fd) = root();
        std::fs::create_dir_all(directory.path().join("a/b/c")).unwrap();
        symlink("../../a/../a/b/../b/c", directory.path().join("a/b/link")).unwrap();
        let other = tempfile::tempdir().unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (one, two) = (other.path().join("one"), other.path().join("two"));
                std::fs::create_dir(&one).unwrap();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::rename(&one, &two).unwrap();
                    std::fs::rename(&two, &one).unwrap();
                }
            });
            let result = (0..20_000).try_for_each(|_| open(fd.as_fd(), Path::new("/a/b/link")).map(drop));
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            result.unwrap();
        });
    }

    #[test]
    fn real_paths_refuse_symlinks() {
        let (directory, fd) = root();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        symlink("etc", directory.path().join("proc")).unwrap();
        assert_eq!(open_real(fd.as_fd(), Path::new("/proc")).unwrap_err(), Errno::LOOP);
    }
}
