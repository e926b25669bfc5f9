//! What a directory tree looks like, for comparing two of them or one before and after.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Everything that an unpacked file is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) device: u64,
    pub(crate) mtime: (i64, i64),
    /// A file's bytes, or a link's text.
    pub(crate) contents: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the same file.
    pub(crate) first: PathBuf,
}

/// All that lies below `root`, and `root` itself, by path.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Node> {
    look_less(root, |_| false)
}

/// The same less what `is_left_out`.
pub(crate) fn look_less(root: &Path, is_left_out: impl Fn(&Path) -> bool) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(path) = left.pop() {
        if is_left_out(&path) {
            continue;
        }
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        paths.push(path);
    }
    paths.sort();
    for path in paths {
        let stat = fs::symlink_metadata(&path).unwrap();
        let contents = if stat.is_file() {
            fs::read(&path).unwrap()
        } else if stat.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let below = path.strip_prefix(root).unwrap().to_owned();
        let first = if stat.is_dir() { &below } else { files.entry(stat.ino()).or_insert(below.clone()) };
        let node = Node {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            device: stat.rdev(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            contents,
            xattrs: xattrs(&path),
            first: first.clone(),
        };
        nodes.insert(below, node);
    }
    nodes
}

pub(crate) fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect()
}

/// Fails with the first difference, and not with two pages of everything.
pub(crate) fn assert_same(found: &BTreeMap<PathBuf, Node>, expected: &BTreeMap<PathBuf, Node>, what: &str) {
    for (path, node) in expected {
        let found = found.get(path).unwrap_or_else(|| panic!("{what}: {} is missing", path.display()));
        let (found_short, short) =
            (Node { contents: Vec::new(), ..found.clone() }, Node { contents: Vec::new(), ..node.clone() });
        assert_eq!(found_short, short, "{what}: {}", path.display());
        assert!(found.contents == node.contents, "{what}: {}: the contents differ", path.display());
    }
    for path in found.keys() {
        assert!(expected.contains_key(path), "{what}: {} should not be there", path.display());
    }
}

pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}
