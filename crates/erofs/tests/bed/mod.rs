//! Places to make images in, mounts that nobody else sees, and what is seen there.

#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_archive::{UnpackOptions, UnpackStats};
use conex_erofs::{Backing, Image, MergeLayer, Merged, NodeKind, ReadAt, WriteOptions};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

#[path = "../../../archive/tests/tree/mod.rs"]
pub(crate) mod tree;

pub(crate) use tree::{Node, assert_same, look};

pub(crate) type Tree = BTreeMap<PathBuf, Node>;

/// Whether images can be mounted here; says why if not.
pub(crate) fn can_mount() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return false;
    }
    match conex_erofs::probe(&std::env::temp_dir()) {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// A directory for images, and one in memory for what is unpacked: EROFS reads no images from tmpfs, and trees of small files
/// come and go fastest there.
pub(crate) struct Bed {
    pub(crate) images: tempfile::TempDir,
    pub(crate) trees: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let trees = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { images: tempfile::tempdir().unwrap(), trees }
    }

    /// A new file for an image.
    pub(crate) fn file(&self, name: &str) -> (PathBuf, File) {
        let path = self.images.path().join(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        (path, file)
    }

    pub(crate) fn write(&self, name: &str, tar: &[u8]) -> Result<Layer, conex_erofs::Error> {
        let (path, file) = self.file(name);
        let stats = conex_erofs::write_layer(tar, &file, &WriteOptions::default())?;
        Ok(Layer { path, file, stats })
    }

    /// Unpacks into a new directory.
    pub(crate) fn unpack(
        &self,
        name: &str,
        tar: &[u8],
    ) -> Result<(PathBuf, UnpackStats), conex_archive::Error> {
        let path = self.trees.path().join(name);
        fs::create_dir(&path).unwrap();
        // What an image has for a root that its archive does not describe.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        set_mtime(&path, 0);
        let directory = File::open(&path).unwrap();
        let stats = conex_archive::unpack(tar, directory.as_fd(), &UnpackOptions::default())?;
        Ok((path, stats))
    }

    /// Merges layers, lowest first, named by their order.
    pub(crate) fn merge(&self, layers: &[Layer]) -> (PathBuf, Merged) {
        let (path, file) = self.file("merged.erofs");
        let names: Vec<_> = (0..layers.len()).map(|number| format!("{number:064x}")).collect();
        let layers: Vec<_> =
            layers.iter().zip(&names).map(|(layer, name)| MergeLayer { image: &layer.file, name }).collect();
        let merged = conex_erofs::merge(&layers, &file, &WriteOptions::default()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), merged.bytes);
        (path, merged)
    }

    /// Merges layers and mounts what comes out.
    pub(crate) fn mount_merged(&self, layers: &[Layer]) -> Root {
        let (path, merged) = self.merge(layers);
        let devices: Vec<_> = merged.devices.iter().map(|&index| layers[index].path.clone()).collect();
        Root::of(&path, &devices)
    }
}

/// A layer's image.
pub(crate) struct Layer {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) stats: UnpackStats,
}

/// A mount that hangs nowhere, entered through its descriptor.
pub(crate) struct Root(pub(crate) OwnedFd);

impl Root {
    pub(crate) fn of(image: &Path, devices: &[PathBuf]) -> Self {
        let backing = conex_erofs::probe(image.parent().unwrap()).unwrap();
        Self(conex_erofs::mount(image, devices, backing).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(crate) fn with(image: &Path, backing: Backing) -> Result<Self, conex_erofs::Error> {
        conex_erofs::mount(image, &[], backing).map(Self)
    }

    /// Directories, lowest first, under overlayfs as the root filesystem of a container has them.
    pub(crate) fn overlay(lowers: &[PathBuf]) -> Self {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        for lower in lowers.iter().rev() {
            rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir+", lower.as_path()).unwrap();
        }
        rustix::mount::fsconfig_create(context.as_fd()).unwrap();
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        Self(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).unwrap())
    }

    /// One directory with a writable one over it.
    pub(crate) fn writable(lower: &Path, upper: &Path, work: &Path) -> rustix::io::Result<Self> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, path) in [("lowerdir+", lower), ("upperdir", upper), ("workdir", work)] {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, path)?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::empty();
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Self)
    }

    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/.", self.0.as_raw_fd()).into()
    }

    pub(crate) fn look(&self) -> Tree {
        look(&self.path())
    }
}

pub(crate) fn set_mtime(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

/// A header block of ustar.
pub(crate) fn header_block(name: &str, kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    block[154] = 0;
    block
}

/// A program of erofs-utils that knows blocks of 512 bytes (1.7 and later): in the directory that `CONEX_TEST_EROFS_UTILS`
/// names, or in PATH.
pub(crate) fn tool(name: &str) -> Option<Command> {
    let program = match std::env::var_os("CONEX_TEST_EROFS_UTILS") {
        Some(directory) => Path::new(&directory).join(name),
        None => name.into(),
    };
    let version = match Command::new(&program).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => {
            println!("skipped: {}: {error} (Debian package erofs-utils)", program.display());
            return None;
        }
    };
    let number = version
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    let minor = number.and_then(|number| number.split('.').nth(1)?.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < 7) {
        println!("skipped: {} is too old for blocks of 512 bytes (1.7 has them)", program.display());
        return None;
    }
    Some(Command::new(program))
}

/// Runs fsck.erofs over an image, if there is one that can.
pub(crate) fn fsck(image: &Path, devices: &[PathBuf]) {
    let Some(mut fsck) = tool("fsck.erofs") else { return };
    fsck.args(devices.iter().map(|device| format!("--device={}", device.display())));
    let output = fsck.arg(image).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "fsck.erofs: {}: {said}", output.status);
}

/// What our own reader says of an image.
pub(crate) fn read<S: ReadAt>(image: &Image<S>) -> Tree {
    let mut tree = Tree::new();
    let mut first = HashMap::new();
    let mut walk = image.walk(1_000_000);
    while let Some(visit) = walk.next().unwrap() {
        let node = visit.node();
        let path = PathBuf::from(OsStr::from_bytes(visit.path()));
        let kind = match node.kind() {
            NodeKind::File => 0o100_000,
            NodeKind::Directory => 0o040_000,
            NodeKind::Symlink => 0o120_000,
            NodeKind::CharDevice => 0o020_000,
            NodeKind::BlockDevice => 0o060_000,
            NodeKind::Fifo => 0o010_000,
            NodeKind::Socket => 0o140_000,
        };
        let contents = match node.kind() {
            NodeKind::File => {
                let mut contents = vec![0; node.size() as usize];
                assert_eq!(image.read_at(node, &mut contents, 0).unwrap(), contents.len());
                contents
            }
            NodeKind::Symlink => image.link_target(node).unwrap(),
            _ => Vec::new(),
        };
        let (major, minor) = node.device().unwrap_or_default();
        let node = Node {
            mode: kind | node.mode(),
            owner: (node.uid(), node.gid()),
            device: rustix::fs::makedev(major, minor),
            mtime: (node.mtime().seconds, node.mtime().nanoseconds.into()),
            contents,
            xattrs: image.xattrs(node).unwrap().into_iter().collect(),
            first: first.entry(node.id()).or_insert(path.clone()).clone(),
        };
        tree.insert(path, node);
    }
    tree
}
