//! The container's /dev: the nodes and links that every container has (config-linux.md#default-devices), and the spec's.
//!
//! Nodes are made with mknod; in a user namespace, where that is refused, those made outside (`nodes`) or the host's are bound. They are
//! made when all mounts are there, in whatever /dev is then, so a volume below may hold anything: what stands in a node's place is left alone when
//! it is that device and an error otherwise.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_oci::runtime::Device;
use rustix::fs::{self, AtFlags, Dev, FileType, Gid, Mode, Uid, makedev};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::mounts::{Root, attach};
use crate::beneath::{self, Make};
use crate::fault::{During, Fault};
use crate::plan::Plan;

const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// runtime-linux.md#dev-symbolic-links, and /dev/ptmx.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills /dev, whatever is mounted there.
pub(super) fn populate(plan: &Plan<'_>, root: &Root<'_>) -> Result<(), Fault> {
    let opened;
    let dev = match root.tmpfs(Path::new("/dev")) {
        Some(dev) => dev,
        None => {
            opened = beneath::ensure(root.tree, Path::new("/dev"), Make::Directory)
                .during(|| "open the container's /dev".into())?;
            opened.as_fd()
        }
    };
    let nodes = plan.nodes.as_ref().map(|nodes| nodes.take(dev)).transpose();
    let nodes = nodes.during(|| "take the devices that were made outside".into())?.unwrap_or_default();
    let mut maker = Maker { root: root.tree, dev, bind: plan.has_user_namespace() };
    for (name, major, minor) in DEFAULT {
        // The spec may name one again, with another mode or owner.
        let path = Path::new("/dev").join(name);
        if !plan.linux.devices.iter().any(|device| device.path == path) {
            let device = makedev(major, minor);
            let node = Node { kind: FileType::CharacterDevice, mode: 0o666, device, owner: (0, 0) };
            maker.make_in(dev, OsStr::new(name), &node, &path).during(|| format!("make /dev/{name}"))?;
        }
    }
    for (index, device) in plan.linux.devices.iter().enumerate() {
        // It is the link to this container's own.
        if device.path != Path::new("/dev/ptmx") {
            let node = Node::of(device)?;
            let made = nodes.get(index).and_then(Option::as_ref);
            maker
                .make(&device.path, &node, made.map(AsFd::as_fd))
                .during(|| format!("make the device {}", device.path.display()))?;
        }
    }
    for (name, target) in LINKS {
        link(dev, target, name).during(|| format!("make /dev/{name}"))?;
    }
    Ok(())
}

/// A /dev/ptmx of the image's own would be another's terminals.
fn link(dev: BorrowedFd<'_>, target: &str, name: &str) -> Result<(), Errno> {
    match fs::symlinkat(target, dev, name) {
        Err(Errno::EXIST) if name == "ptmx" => {
            fs::unlinkat(dev, name, AtFlags::empty())?;
            fs::symlinkat(target, dev, name)
        }
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// A node as the kernel takes it.
pub(crate) struct Node {
    pub(crate) kind: FileType,
    pub(crate) mode: u32,
    pub(crate) device: Dev,
    owner: (u32, u32),
}

impl Node {
    pub(crate) fn of(device: &Device) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            Fault::new(format!("make the device {} ({why})", device.path.display()), Errno::INVAL)
        };
        let kind = match device.kind.as_str() {
            "c" | "u" => FileType::CharacterDevice,
            "b" => FileType::BlockDevice,
            "p" => FileType::Fifo,
            _ => return Err(wrong("its type is none of c, b, u and p")),
        };
        if !device.path.is_absolute() {
            return Err(wrong("its path is not absolute"));
        }
        // Linux has 12 bits for the one and 20 for the other.
        let (major, minor) = (u32::try_from(device.major).ok(), u32::try_from(device.minor).ok());
        let number = match (kind, major.filter(|n| n >> 12 == 0), minor.filter(|n| n >> 20 == 0)) {
            (FileType::Fifo, _, _) => 0,
            (_, Some(major), Some(minor)) => makedev(major, minor),
            _ => return Err(wrong("its numbers are out of range")),
        };
        Ok(Self {
            kind,
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            device: number,
            owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
        })
    }

    /// `/dev/snd/timer`, of sysfs's `DEVNAME=snd/timer`.
    fn named_by_the_kernel(&self) -> Option<PathBuf> {
        let kind = if self.kind == FileType::BlockDevice { "block" } else { "char" };
        let (major, minor) = (fs::major(self.device), fs::minor(self.device));
        let event = std::fs::read_to_string(format!("/sys/dev/{kind}/{major}:{minor}/uevent")).ok()?;
        let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        Some(Path::new("/dev").join(name))
    }

    fn is(&self, stat: &fs::Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == self.kind
            && (self.kind == FileType::Fifo || stat.st_rdev == self.device)
    }
}

struct Maker<'a> {
    root: BorrowedFd<'a>,
    dev: BorrowedFd<'a>,
    /// Whether nodes cannot be made here.
    bind: bool,
}

impl Maker<'_> {
    fn make(&mut self, path: &Path, node: &Node, made: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let file = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let opened;
        let parent = if parent == Path::new("/dev") {
            self.dev
        } else {
            opened = beneath::ensure(self.root, parent, Make::Directory)?;
            if beneath::is_procfs(opened.as_fd())? {
                return Err(Errno::PERM);
            }
            opened.as_fd()
        };
        match made {
            Some(made) => attach(made, beneath::ensure_here(parent, file, Make::File)?.as_fd()),
            None => self.make_in(parent, file, node, path),
        }
    }

    fn make_in(
        &mut self,
        parent: BorrowedFd<'_>,
        file: &OsStr,
        node: &Node,
        host: &Path,
    ) -> Result<(), Errno> {
        if self.bind && node.kind != FileType::Fifo {
            return bind(parent, file, node, host);
        }
        match fs::mknodat(parent, file, node.kind, Mode::from_raw_mode(node.mode), node.device) {
            Err(Errno::EXIST) => {
                // "If a file already exists at path that does not match the requested device, the runtime MUST generate
                // an error."
                let there = fs::statat(parent, file, AtFlags::SYMLINK_NOFOLLOW)?;
                return if node.is(&there) { Ok(()) } else { Err(Errno::EXIST) };
            }
            // The runtime itself is in a user namespace, or its device cgroup forbids it.
            Err(Errno::PERM) if node.kind != FileType::Fifo => {
                self.bind = true;
                return bind(parent, file, node, host);
            }
            made => made?,
        }
        if node.owner != (0, 0) {
            let (uid, gid) = (Some(Uid::from_raw(node.owner.0)), Some(Gid::from_raw(node.owner.1)));
            fs::chownat(parent, file, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

/// The host's node, checked to be the one that is asked for: that of the same path, or where the kernel says that it is.
fn bind(parent: BorrowedFd<'_>, file: &OsStr, node: &Node, host: &Path) -> Result<(), Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let open = |path: &Path| -> Result<OwnedFd, Errno> {
        let source: OwnedFd = rustix::mount::open_tree(fs::CWD, path, flags)?;
        let is_it = node.is(&fs::statat(&source, "", AtFlags::EMPTY_PATH)?);
        if is_it { Ok(source) } else { Err(Errno::NODEV) }
    };
    let source = open(host).or_else(|error| match node.named_by_the_kernel() {
        Some(path) => open(&path),
        None => Err(error),
    })?;
    let target = beneath::ensure_here(parent, file, Make::File)?;
    attach(source.as_fd(), target.as_fd())
}

/// Whether `fd` is the character device `major:minor`.
pub(super) fn is_device(fd: impl AsFd, major: u32, minor: u32) -> Result<bool, Errno> {
    let stat = fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == makedev(major, minor))
}
