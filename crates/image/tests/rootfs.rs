//! Root filesystems on a real kernel: as root, on a file system that overlayfs can write to.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use conex_archive::{Header, Kind, UnpackOptions, Writer, unpack};
use conex_image::rootfs::{RootfsRequest, Scratch, mount};

/// Whether the tests can run; says why if not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// A store of layers and one container, gone when the test ends.
struct Bed {
    directory: tempfile::TempDir,
    lowers: Vec<PathBuf>,
    scratch: Scratch,
}

impl Bed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let container = directory.path().join("container");
        fs::create_dir(&container).unwrap();
        let scratch = Scratch::at(&container);
        Self { directory, lowers: Vec::new(), scratch }
    }

    /// Adds a layer with files of these names and contents.
    fn layer(&mut self, files: &[(&str, &str)]) -> PathBuf {
        let layer = self.directory.path().join(format!("layers/{:03}/fs", self.lowers.len()));
        fs::create_dir_all(&layer).unwrap();
        for (name, contents) in files {
            fs::create_dir_all(layer.join(name).parent().unwrap()).unwrap();
            fs::write(layer.join(name), contents).unwrap();
        }
        self.lowers.push(layer.clone());
        layer
    }

    /// Adds a layer out of an archive.
    fn unpacked(&mut self, entries: &[Header]) -> PathBuf {
        let mut tar = Writer::new(Vec::new());
        for header in entries {
            tar.append(header, std::io::empty()).unwrap();
        }
        let tar = tar.finish().unwrap();
        let layer = self.layer(&[]);
        unpack(&tar[..], fs::File::open(&layer).unwrap().as_fd(), &UnpackOptions::default()).unwrap();
        layer
    }

    fn request(&self) -> RootfsRequest<'_> {
        RootfsRequest {
            lowers: &self.lowers,
            upper: &self.scratch.upper,
            work: &self.scratch.work,
            volatile: false,
            read_only: false,
            idmap: None,
        }
    }

    fn mount(&self) -> Root {
        self.scratch.create(self.lowers.last().map(PathBuf::as_path), (0, 0)).unwrap();
        Root::new(mount(&self.request()).unwrap())
    }
}

/// A mounted root, entered through its descriptor.
struct Root(OwnedFd);

impl Root {
    fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| format!("{error}"))
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The user namespace of a sleeping process, with ids from 0 mapped to 100000 of the host.
struct UserNamespace(Child);

impl UserNamespace {
    fn new() -> Self {
        let child = Command::new("unshare").args(["--user", "sleep", "60"]).spawn().unwrap();
        let namespace = Self(child);
        // Until unshare has done its work, the process is in the host's namespace and its map cannot be written.
        let ours = fs::read_link("/proc/self/ns/user").unwrap();
        while fs::read_link(namespace.proc("ns/user")).unwrap() == ours {
            std::thread::yield_now();
        }
        for map in ["uid_map", "gid_map"] {
            fs::write(namespace.proc(map), "0 100000 65536").unwrap();
        }
        namespace
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.0.id().to_string()).join(name)
    }

    fn open(&self) -> fs::File {
        fs::File::open(self.proc("ns/user")).unwrap()
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn writes_go_to_the_upper_layer_only() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    let lower = bed.layer(&[("etc/passwd", "root"), ("etc/gone", "gone"), ("bin/sh", "sh")]);
    let root = bed.mount();
    assert_eq!(root.read("etc/passwd"), "root");
    fs::write(root.path("etc/passwd"), "changed").unwrap();
    fs::write(root.path("new"), "new").unwrap();
    fs::remove_file(root.path("etc/gone")).unwrap();
    assert_eq!(root.names("etc"), ["passwd"]);
    assert_eq!(root.read("etc/passwd"), "changed");
    assert_eq!(fs::read_to_string(lower.join("etc/passwd")).unwrap(), "root");
    assert_eq!(fs::read_to_string(lower.join("etc/gone")).unwrap(), "gone");
    assert_eq!(fs::read_to_string(bed.scratch.upper.join("etc/passwd")).unwrap(), "changed");
    assert!(fs::symlink_metadata(bed.scratch.upper.join("etc/gone")).unwrap().file_type().is_char_device());
    drop(root);
    bed.scratch.remove().unwrap();
    assert!(fs::read_dir(bed.scratch.upper.parent().unwrap()).unwrap().next().is_none());
}

#[test]
fn two_containers_share_a_layer_and_nothing_else() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("f", "image")]);
    let first = bed.mount();
    let other = bed.directory.path().join("other");
    fs::create_dir(&other).unwrap();
    let scratch = Scratch::at(&other);
    scratch.create(None, (0, 0)).unwrap();
    let request = RootfsRequest { upper: &scratch.upper, work: &scratch.work, ..bed.request() };
    let second = Root::new(mount(&request).unwrap());
    fs::write(first.path("f"), "first").unwrap();
    assert_eq!(second.read("f"), "image");
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_below() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("a/x", "x"), ("a/y", "y"), ("b/x", "x"), ("c/x", "x"), ("d", "d")]);
    bed.unpacked(&[
        Header::new("a", Kind::Directory),
        Header::new("a/.wh.x", Kind::File { size: 0 }),
        Header::new("b", Kind::Directory),
        Header::new("b/.wh..wh..opq", Kind::File { size: 0 }),
        Header::new("b/new", Kind::File { size: 0 }),
        // Removed and made anew in one layer: what was below does not come back.
        Header::new(".wh.c", Kind::File { size: 0 }),
        Header::new("c", Kind::Directory),
        Header::new(".wh.d", Kind::File { size: 0 }),
    ]);
    let root = bed.mount();
    assert_eq!(root.names("."), ["a", "b", "c"]);
    assert_eq!(root.names("a"), ["y"]);
    assert_eq!(root.names("b"), ["new"]);
    assert_eq!(root.names("c"), [""; 0]);
}

#[test]
fn an_opaque_root_hides_all_below() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("old", "old")]);
    bed.unpacked(&[
        Header::new(".wh..wh..opq", Kind::File { size: 0 }),
        Header::new("new", Kind::File { size: 0 }),
    ]);
    bed.layer(&[("newer", "newer")]);
    assert_eq!(bed.mount().names("."), ["new", "newer"]);
}

#[test]
fn an_image_without_layers_is_empty_and_writable() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let root = bed.mount();
    assert!(root.names(".").is_empty());
    fs::write(root.path("f"), "f").unwrap();
    assert_eq!(root.read("f"), "f");
    drop(root);
    bed.scratch.remove().unwrap();
    assert!(fs::read_dir(bed.scratch.upper.parent().unwrap()).unwrap().next().is_none());
}

#[test]
fn a_layer_may_come_twice() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("a", "lowest"), ("gone", "gone")]);
    let twice = bed.unpacked(&[
        Header::new(".wh.gone", Kind::File { size: 0 }),
        Header::new("a", Kind::File { size: 0 }),
        Header::new("empty", Kind::Directory),
    ]);
    bed.layer(&[("a", "between"), ("gone", "again"), ("empty/f", "f")]);
    bed.lowers.push(twice.clone());
    bed.layer(&[("top", "top")]);
    let root = bed.mount();
    assert_eq!(root.names("."), ["a", "empty", "top"]);
    assert_eq!((root.read("a"), root.read("empty/f")), (String::new(), "f".to_owned()));
}

#[test]
fn a_hundred_layers() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    for number in 0..100 {
        let contents = number.to_string();
        bed.layer(&[("same", &contents), (&format!("own/{number}"), &contents)]);
    }
    let root = bed.mount();
    assert_eq!(root.read("same"), "99");
    assert_eq!(root.names("own").len(), 100);
    assert_eq!(root.read("own/0"), "0");
}

#[test]
fn odd_and_long_paths() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    let odd = bed.directory.path().join("a:b,c\\d e=f").join("x".repeat(240));
    fs::create_dir_all(odd.join("lower")).unwrap();
    fs::write(odd.join("lower/f"), "odd").unwrap();
    bed.lowers.push(odd.join("lower"));
    bed.scratch = Scratch::at(&odd);
    assert_eq!(bed.mount().read("f"), "odd");
}

#[test]
fn a_volatile_mount_can_be_made_again() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("f", "f")]);
    bed.scratch.create(None, (0, 0)).unwrap();
    for contents in ["f", "0", "1"] {
        let request = RootfsRequest { volatile: true, ..bed.request() };
        let root = Root::new(mount(&request).unwrap());
        let mark = bed.scratch.work.join("work/incompat/volatile");
        assert!(mark.is_dir(), "the mount is not volatile");
        assert_eq!(root.read("f"), contents);
        let next = if contents == "f" { "0" } else { "1" };
        fs::write(root.path("f"), next).unwrap();
    }
}

#[test]
fn a_read_only_root_takes_nothing() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("f", "f")]);
    bed.scratch.create(None, (0, 0)).unwrap();
    let root = Root::new(mount(&RootfsRequest { read_only: true, ..bed.request() }).unwrap());
    let error = fs::write(root.path("f"), "x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::ROFS.raw_os_error()));
    assert_eq!(root.read("f"), "f");
}

#[test]
fn an_idmap_moves_owners_and_only_in_the_mount() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    for number in 0..3 {
        let layer = bed.layer(&[(&format!("f{number}"), "f")]);
        std::os::unix::fs::chown(layer.join(format!("f{number}")), Some(number), Some(7)).unwrap();
    }
    bed.scratch.create(bed.lowers.last().map(PathBuf::as_path), (100_000, 100_000)).unwrap();
    let namespace = UserNamespace::new();
    let file = namespace.open();
    let root = Root::new(mount(&RootfsRequest { idmap: Some(file.as_fd()), ..bed.request() }).unwrap());
    let owner = |path: &str| {
        let stat = fs::metadata(root.path(path)).unwrap();
        (stat.uid(), stat.gid())
    };
    assert_eq!(owner("."), (100_000, 100_000));
    for number in 0..3 {
        assert_eq!(owner(&format!("f{number}")), (100_000 + number, 100_007));
    }
    fs::set_permissions(root.path("f2"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(owner("f2"), (100_002, 100_007), "the copy in the upper layer belongs to someone else");
    assert_eq!(fs::metadata(bed.lowers[2].join("f2")).unwrap().uid(), 2);
}

#[test]
fn the_root_directory_has_the_mode_of_the_images() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    let mut header = Header::new("./", Kind::Directory);
    header.mode = 0o555;
    bed.unpacked(&[header]);
    assert_eq!(fs::metadata(bed.mount().path(".")).unwrap().mode() & 0o7777, 0o555);
}

#[test]
fn a_layer_that_is_missing_is_named() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[]);
    bed.layer(&[]);
    fs::remove_dir_all(&bed.lowers[0]).unwrap();
    bed.scratch.create(None, (0, 0)).unwrap();
    let error = mount(&bed.request()).unwrap_err().to_string();
    assert!(error.contains(bed.lowers[0].to_str().unwrap()) && error.contains("No such file"), "{error}");
}

#[test]
fn what_a_container_leaves_is_removed_and_nothing_else() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.layer(&[("etc/passwd", "root")]);
    let root = bed.mount();
    let outside = bed.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "outside").unwrap();
    symlink(&outside, root.path("link")).unwrap();
    fs::set_permissions(root.path("etc"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::remove_dir_all(root.path("etc")).unwrap();
    // Deeper than a path can be long.
    let mut deep = rustix::fs::openat(
        &root.0,
        ".",
        rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..1000 {
        rustix::fs::mkdirat(&deep, "deep", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        deep = rustix::fs::openat(&deep, "deep", flags, rustix::fs::Mode::empty()).unwrap();
    }
    drop((deep, root));
    let immutable = bed.scratch.upper.join("immutable");
    fs::write(&immutable, "").unwrap();
    if !Command::new("chattr").arg("+i").arg(&immutable).status().is_ok_and(|status| status.success()) {
        println!("skipped: no immutable file (chattr fails here)");
    }
    bed.scratch.remove().unwrap();
    assert!(!bed.scratch.upper.exists() && !bed.scratch.work.exists());
    let mut contents = String::new();
    fs::File::open(outside.join("f")).unwrap().read_to_string(&mut contents).unwrap();
    assert_eq!(contents, "outside");
    bed.scratch.remove().unwrap();
}
