//! The container's /dev: the nodes and links that every container has (config-linux.md#default-devices), and the spec's.
//!
//! Nodes are made with mknod on our own tmpfs; in a user namespace, where that is refused, the host's are bound.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use conex_oci::runtime::{Device, NamespaceKind};
use rustix::fs::{self, AtFlags, Dev, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::mounts::attach;
use crate::beneath::{self, Make};
use crate::fault::{During, Fault};
use crate::plan::Plan;

const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills a tmpfs just mounted on /dev.
pub(super) fn populate(plan: &Plan<'_>, dev: BorrowedFd<'_>) -> Result<(), Fault> {
    let maker = Maker {
        dev,
        bind: plan.namespaces.creates(NamespaceKind::User)
            || plan.namespaces.joins(NamespaceKind::User).is_some(),
    };
    // The modes are exact, whatever the caller's mask.
    let mask = rustix::process::umask(Mode::empty());
    for (name, major, minor) in DEFAULT {
        let node = Node {
            kind: FileType::CharacterDevice,
            mode: 0o666,
            device: makedev(major, minor),
            owner: None,
            host: Path::new("/dev").join(name),
        };
        maker.make(Path::new(name), &node).during(|| format!("make /dev/{name}"))?;
    }
    for device in &plan.linux.devices {
        let during = || format!("make the device {}", device.path.display());
        let Ok(name) = device.path.strip_prefix("/dev") else {
            return Err(Fault::new(
                format!("{} (only paths below /dev are supported)", during()),
                Errno::INVAL,
            ));
        };
        let node = Node::of(device).ok_or_else(|| Fault::new(during(), Errno::INVAL))?;
        maker.make(name, &node).during(during)?;
    }
    for (name, target) in LINKS {
        beneath::symlink(dev, target, name).during(|| format!("make /dev/{name}"))?;
    }
    rustix::process::umask(mask);
    Ok(())
}

struct Node {
    kind: FileType,
    mode: u32,
    device: Dev,
    owner: Option<(u32, u32)>,
    host: std::path::PathBuf,
}

impl Node {
    fn of(device: &Device) -> Option<Self> {
        let kind = match device.kind.as_str() {
            "c" | "u" => FileType::CharacterDevice,
            "b" => FileType::BlockDevice,
            "p" => FileType::Fifo,
            _ => return None,
        };
        let (major, minor) = (u32::try_from(device.major).ok(), u32::try_from(device.minor).ok());
        Some(Self {
            kind,
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            device: if kind == FileType::Fifo { 0 } else { makedev(major?, minor?) },
            owner: Some((device.uid.unwrap_or(0), device.gid.unwrap_or(0))),
            host: device.path.clone(),
        })
    }
}

struct Maker<'a> {
    dev: BorrowedFd<'a>,
    bind: bool,
}

impl Maker<'_> {
    fn make(&self, name: &Path, node: &Node) -> Result<(), Errno> {
        let file = name.file_name().ok_or(Errno::INVAL)?;
        match name.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => {
                let parent = beneath::ensure(self.dev, parent, Make::Directory)?;
                self.make_in(parent.as_fd(), file, node)
            }
            None => self.make_in(self.dev, file, node),
        }
    }

    fn make_in(&self, parent: BorrowedFd<'_>, file: &OsStr, node: &Node) -> Result<(), Errno> {
        if self.bind && node.kind != FileType::Fifo {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let host = rustix::mount::open_tree(fs::CWD, &node.host, flags)?;
            let target = beneath::ensure(parent, Path::new(file), Make::File)?;
            return attach(host.as_fd(), target.as_fd());
        }
        let mode = Mode::from_raw_mode(node.mode);
        match fs::mknodat(parent, file, node.kind, mode, node.device) {
            // The spec may name a default one again, with another mode or owner.
            Err(Errno::EXIST) => {
                fs::unlinkat(parent, file, AtFlags::empty())?;
                fs::mknodat(parent, file, node.kind, mode, node.device)?;
            }
            made => made?,
        }
        if let Some((uid, gid)) = node.owner.filter(|owner| *owner != (0, 0)) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fs::chownat(parent, file, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

/// `tmpcopyup`: the new tmpfs starts with what the image has in that place. Regular files, directories and symlinks; the
/// image's directory is read through held descriptors, to a depth that no real one reaches.
pub(super) fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let from = fs::openat(from, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    copy_directory(from.as_fd(), to, 64)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<(), Errno> {
    if depth == 0 {
        return Err(Errno::NAMETOOLONG);
    }
    for entry in fs::Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        let open = |flags| fs::openat(from, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                fs::mkdirat(to, name, mode)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = fs::openat(to, name, flags, Mode::empty())?;
                copy_directory(open(OFlags::RDONLY | OFlags::DIRECTORY)?.as_fd(), made.as_fd(), depth - 1)?;
            }
            FileType::Symlink => {
                let target = fs::readlinkat(from, name, Vec::new())?;
                fs::symlinkat(target.as_c_str(), to, name)?;
            }
            FileType::RegularFile => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut made = std::fs::File::from(fs::openat(to, name, flags, mode)?);
                let mut source = std::fs::File::from(open(OFlags::RDONLY)?);
                std::io::copy(&mut source, &mut made)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            }
            _ => continue,
        }
        fs::chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Whether `fd` is the character device `major:minor`.
pub(super) fn is_device(fd: impl AsFd, major: u32, minor: u32) -> Result<bool, Errno> {
    let stat = fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == makedev(major, minor))
}
