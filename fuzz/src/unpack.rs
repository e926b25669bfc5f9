//! What is done with a layer's tar stream where layers are directories: unpacked beside a directory that must not change, by root,
//! and compared with the image that the stream makes: both are refused, or both hold the same.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conex_archive::{Limits, UnpackOptions, UnpackStats};
use conex_erofs::{Image, NodeKind, WriteOptions};

use crate::recipe::recipe;
use crate::sealed::sealed;
use crate::tree::{Node, assert_same, look};

/// Takes an archive or, after a byte of 0xff, the recipe of one; gives whether it was a layer.
pub(crate) fn unpack(bytes: &[u8]) -> bool {
    let bytes = match bytes.split_first() {
        Some((0xff, bytes)) => recipe(bytes),
        _ => sealed(bytes),
    };
    let limits = Limits { max_file: 1 << 20, ..Limits::default() };
    let bed = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let destination = bed.path().join("dest");
    let outside = beside(bed.path());
    directory(&destination);
    let root = File::open(&destination).expect("a directory");
    let options = UnpackOptions { limits: limits.clone(), ..UnpackOptions::default() };
    let unpacked = conex_archive::unpack(&bytes[..], root.as_fd(), &options);
    assert_eq!(beside(bed.path()), outside, "something outside has changed");
    let file: File =
        rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory").into();
    let written =
        conex_erofs::write_layer(&bytes[..], &file, &WriteOptions { limits, ..WriteOptions::default() });
    let is_layer = unpacked.is_ok();
    match (unpacked, written) {
        (Ok(unpacked), Ok(written)) => same(&destination, &unpacked, &file, &written),
        (Err(error), Err(_)) => clear(&error.to_string()),
        (Ok(_), Err(error)) => panic!("unpacked, but made into no image: {error}"),
        (Err(error), Ok(_)) => panic!("made into an image, but not unpacked: {error}"),
    }
    conex_archive::remove_tree(File::open(bed.path()).expect("a directory").as_fd(), OsStr::new("dest"))
        .expect("what was unpacked goes");
    is_layer
}

fn same(destination: &Path, unpacked: &UnpackStats, file: &File, written: &UnpackStats) {
    let mut found = look(destination);
    let mut expected = read(&Image::open(file).expect("it opens"));
    // A file system may have no extended attributes of some kind; then they are counted.
    if unpacked.dropped_xattrs != written.dropped_xattrs {
        found.values_mut().chain(expected.values_mut()).for_each(|node| node.xattrs.clear());
    }
    // Nobody sees more of a whiteout; the kernel may give it its directory's group and list.
    let nodes = found.values_mut().chain(expected.values_mut());
    for whiteout in nodes.filter(|node| node.mode == 0o020_000 && node.device == 0) {
        (whiteout.mtime, whiteout.owner) = ((0, 0), (0, 0));
        whiteout.xattrs.clear();
    }
    let dropped_xattrs = written.dropped_xattrs;
    assert_eq!(UnpackStats { dropped_xattrs, ..unpacked.clone() }, *written);
    assert_same(&found, &expected, "unpacked, against the image");
}

/// What the reader says of an image.
fn read(image: &Image<&File>) -> BTreeMap<PathBuf, Node> {
    let (mut tree, mut first) = (BTreeMap::new(), HashMap::new());
    let mut walk = image.walk(1_000_000);
    while let Some(visit) = walk.next().expect("all of it can be read") {
        let node = visit.node();
        let path = PathBuf::from(OsStr::from_bytes(visit.path()));
        let kind = match node.kind() {
            NodeKind::File => 0o100_000,
            NodeKind::Directory => 0o040_000,
            NodeKind::Symlink => 0o120_000,
            NodeKind::CharDevice => 0o020_000,
            NodeKind::BlockDevice => 0o060_000,
            NodeKind::Fifo => 0o010_000,
            NodeKind::Socket => panic!("no archive has sockets"),
        };
        let contents = match node.kind() {
            NodeKind::File => {
                let mut contents = vec![0; node.size() as usize];
                assert_eq!(image.read_at(node, &mut contents, 0).expect("its contents"), contents.len());
                contents
            }
            NodeKind::Symlink => image.link_target(node).expect("its target"),
            _ => Vec::new(),
        };
        let (major, minor) = node.device().unwrap_or_default();
        let node = Node {
            mode: kind | node.mode(),
            owner: (node.uid(), node.gid()),
            device: rustix::fs::makedev(major, minor),
            mtime: (node.mtime().seconds, node.mtime().nanoseconds.into()),
            contents,
            xattrs: image.xattrs(node).expect("its attributes").into_iter().collect(),
            first: first.entry(node.id()).or_insert(path.clone()).clone(),
        };
        tree.insert(path, node);
    }
    tree
}

/// A destination, as a layer's root is that no entry describes.
fn directory(path: &Path) {
    fs::create_dir(path).expect("a directory");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("its mode");
    let time = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).expect("its times");
}

/// What lies beside the destination, made if it is missing: names, contents, links, and times of the last change of any kind.
fn beside(bed: &Path) -> Vec<(PathBuf, Vec<u8>, u64, i64, i64)> {
    let outside = bed.join("outside");
    if !outside.exists() {
        fs::create_dir(&outside).expect("a directory");
        fs::write(outside.join("secret"), "secret").expect("a file");
    }
    let mut entries: Vec<PathBuf> = vec![outside.clone()];
    for directory in [bed, &outside] {
        let names =
            fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.extend(names.filter(|path| !path.ends_with("dest")));
    }
    entries.sort();
    let look = |path: PathBuf| {
        let stat = fs::symlink_metadata(&path).expect("it is there");
        let contents = if stat.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        (path, contents, stat.nlink(), stat.ctime(), stat.ctime_nsec())
    };
    entries.into_iter().map(look).collect()
}

/// One line that says something.
fn clear(message: &str) {
    assert!(!message.is_empty() && message.len() < 1500, "{} bytes: {message:.200}", message.len());
    assert!(!message.contains('\n'), "{message:?}");
}
