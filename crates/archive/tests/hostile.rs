//! What a hostile layer could try, each attack built byte by byte. Whatever unpack says, nothing outside the
//! destination may change, and it may not panic, hang or fill memory.

mod tree;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conex_archive::{
    Compression, Compressor, Error, Header, Kind, Limits, Reader, UnpackOptions, UnpackStats, Writer,
    decompress, unpack,
};
use proptest::prelude::*;
use tree::{Node, is_root, look, xattrs};

/// A destination, and a directory beside it that must never change.
struct Bed {
    directory: tempfile::TempDir,
    outside: BTreeMap<PathBuf, (Node, i64)>,
}

impl Bed {
    fn new() -> Self {
        // In memory where there is one: thousands of small trees come and go.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir_all(directory.path().join("outside/directory")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        fs::create_dir(directory.path().join("dest")).unwrap();
        let mut bed = Self { directory, outside: BTreeMap::new() };
        bed.outside = bed.look_outside();
        bed
    }

    /// Everything beside the destination, with the time of the last change of any kind.
    fn look_outside(&self) -> BTreeMap<PathBuf, (Node, i64)> {
        let root = self.directory.path();
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dest", "outside"]);
        let nodes = look(&root.join("outside")).into_iter();
        nodes
            .map(|(path, node)| {
                let stat = fs::symlink_metadata(root.join("outside").join(&path)).unwrap();
                (path, (node, stat.ctime() * 1_000_000_000 + stat.ctime_nsec() + stat.nlink() as i64))
            })
            .collect()
    }

    fn dest(&self, path: &str) -> PathBuf {
        self.directory.path().join("dest").join(path)
    }

    fn unpack_with(&self, tar: impl Read, limits: Limits) -> Result<UnpackStats, Error> {
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        let result = unpack(tar, File::open(self.dest("")).unwrap().as_fd(), &options);
        assert!(self.look_outside() == self.outside, "something outside the destination has changed");
        result
    }

    fn unpack(&self, tar: &[u8]) -> Result<UnpackStats, Error> {
        self.unpack_with(tar, Limits::default())
    }

    /// Unpacks entries; those with contents `x` are files with one byte.
    fn entries(&self, entries: &[(&str, Kind)]) -> Result<UnpackStats, Error> {
        self.unpack(&archive(entries))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dest(path)).unwrap_or_else(|error| format!("{error}"))
    }
}

const FILE: Kind = Kind::File { size: 1 };

fn symlink(target: &str) -> Kind {
    Kind::Symlink { target: target.into() }
}

fn hard_link(target: &str) -> Kind {
    Kind::HardLink { target: target.into() }
}

fn archive(entries: &[(&str, Kind)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, kind) in entries {
        let header = Header::new(*path, kind.clone());
        let contents = if header.size() == 1 { &b"x"[..] } else { b"" };
        writer.append(&header, contents).unwrap();
    }
    writer.finish().unwrap()
}

/// One header block with its fields as given, and a right checksum.
fn raw(name: &[u8], kind: u8, size: &[u8], change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    seal(&mut block);
    block.to_vec()
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    block[154] = 0;
}

fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|length| *length == rest.len() + length.to_string().len()).unwrap();
        data.extend(format!("{length}{rest}").into_bytes());
    }
    let mut bytes = raw(b"pax", kind, format!("{:011o}", data.len()).as_bytes(), |_| {});
    data.resize(data.len().next_multiple_of(512), 0);
    bytes.extend(data);
    bytes
}

fn assert_path(result: Result<UnpackStats, Error>, reason: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Path { .. }) && error.to_string().contains(reason), "{error}");
}

fn assert_limit(result: Result<UnpackStats, Error>, reason: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Limit { .. }) && error.to_string().contains(reason), "{error}");
}

#[test]
fn paths_that_go_up_are_refused() {
    for path in ["../escape", "a/../../escape", "..", "/../escape", "a/..", "./../outside/secret"] {
        assert_path(Bed::new().entries(&[(path, FILE)]), "goes up");
        assert_path(Bed::new().entries(&[(path, Kind::Directory)]), "goes up");
        assert_path(Bed::new().entries(&[(path, symlink("x"))]), "goes up");
    }
}

#[test]
fn absolute_paths_mean_the_destination() {
    let bed = Bed::new();
    bed.entries(&[("/etc/passwd", FILE), ("//a//b", FILE)]).unwrap();
    assert_eq!((bed.read("etc/passwd"), bed.read("a/b")), ("x".to_owned(), "x".to_owned()));
}

#[test]
fn parents_that_are_links_are_followed_within_the_destination_only() {
    let bed = Bed::new();
    let outside = bed.directory.path().join("outside");
    for target in ["../outside", outside.to_str().unwrap(), "../../../../../../../proc/self/root"] {
        assert_path(bed.entries(&[("l", symlink(target)), ("l/secret", FILE)]), "link to nothing");
        assert_path(bed.entries(&[("l", symlink(target)), ("l/a/b", Kind::Directory)]), "link to nothing");
    }
    // A root above the root is the root.
    bed.entries(&[("up", symlink("../../..")), ("up/f", FILE), ("root", symlink("/")), ("root/g", FILE)])
        .unwrap();
    assert_eq!((bed.read("f"), bed.read("g")), ("x".to_owned(), "x".to_owned()));
    // As images do have it.
    let bed = Bed::new();
    bed.entries(&[("usr/lib", Kind::Directory), ("lib", symlink("usr/lib")), ("lib/x", FILE)]).unwrap();
    assert_eq!(bed.read("usr/lib/x"), "x");
    let error = bed.entries(&[("a", symlink("b")), ("b", symlink("a")), ("a/x", FILE)]).unwrap_err();
    assert!(error.to_string().contains("symbolic links"), "{error}");
}

#[test]
fn links_are_replaced_and_never_written_through() {
    let target = "../outside/secret";
    for kind in [FILE, Kind::File { size: 0 }, Kind::Directory, Kind::Fifo, symlink("x")] {
        let bed = Bed::new();
        bed.entries(&[("f", symlink(target)), ("f", kind.clone())]).unwrap();
        let found = fs::symlink_metadata(bed.dest("f")).unwrap();
        assert!(!found.is_symlink() || fs::read_link(bed.dest("f")).unwrap() == Path::new("x"), "{kind:?}");
    }
    // Mode, owner and times of a directory that a link stands for.
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    writer.append(&Header::new("d", symlink("../outside/directory")), io::empty()).unwrap();
    let mut header = Header::new("d", Kind::Directory);
    header.mode = 0o777;
    writer.append(&header, io::empty()).unwrap();
    bed.unpack(&writer.finish().unwrap()).unwrap();
    assert_eq!(fs::symlink_metadata(bed.dest("d")).unwrap().permissions().mode(), 0o40777);
}

#[test]
fn hard_links_stay_inside() {
    assert_path(Bed::new().entries(&[("h", hard_link("../outside/secret"))]), "goes up");
    let bed = Bed::new();
    for target in
        [bed.directory.path().join("outside/secret").to_str().unwrap(), "outside/secret", "/etc/passwd"]
    {
        let error = bed.entries(&[("h", hard_link(target))]).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
    let error = bed.entries(&[("l", symlink("../outside")), ("h", hard_link("l/secret"))]).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    // The link itself gets another name, and is replaced under it.
    bed.entries(&[("l", symlink("../outside/secret")), ("h", hard_link("l")), ("h", FILE)]).unwrap();
    assert!(fs::symlink_metadata(bed.dest("h")).unwrap().is_file());
    assert!(fs::symlink_metadata(bed.dest("l")).unwrap().is_symlink());
    assert_path(bed.entries(&[("h", hard_link("/"))]), "root directory");
    assert!(bed.entries(&[("d", Kind::Directory), ("h", hard_link("d"))]).is_err());
    // To itself: what is there stays.
    bed.entries(&[("f", FILE), ("f", hard_link("f")), ("f", hard_link("./f"))]).unwrap();
    assert_eq!(bed.read("f"), "x");
    // Over the directory that the target lies in.
    assert!(bed.entries(&[("d/f", FILE), ("d", hard_link("d/f"))]).is_err());
}

#[test]
fn the_root_directory_cannot_be_replaced() {
    for kind in [FILE, symlink("../outside"), hard_link("x"), Kind::Fifo] {
        for path in ["/", ".", "./"] {
            assert_path(Bed::new().entries(&[(path, kind.clone())]), "root directory");
        }
    }
    let bed = Bed::new();
    let mut header = Header::new("./", Kind::Directory);
    header.mode = 0o1750;
    header.mtime.seconds = 7;
    let mut writer = Writer::new(Vec::new());
    writer.append(&header, io::empty()).unwrap();
    writer.append(&Header::new("a/b", Kind::Directory), io::empty()).unwrap();
    bed.unpack(&writer.finish().unwrap()).unwrap();
    let stat = fs::metadata(bed.dest("")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o1750, 7));
}

#[test]
fn a_file_is_no_directory() {
    for kind in [FILE, Kind::Fifo] {
        assert_path(Bed::new().entries(&[("f", kind), ("f/x", FILE)]), "is a file");
    }
    assert_path(
        Bed::new().entries(&[("f", FILE), ("l", symlink("f")), ("l/x", FILE)]),
        "is a symbolic link to a file",
    );
}

#[test]
fn kinds_replace_each_other() {
    let kinds = [FILE, Kind::Directory, symlink("x"), Kind::Fifo, hard_link("other")];
    for before in &kinds {
        for after in &kinds {
            let bed = Bed::new();
            bed.entries(&[("other", FILE), ("a", before.clone()), ("a", after.clone())]).unwrap();
            let expected = Bed::new();
            expected.entries(&[("other", FILE), ("a", after.clone())]).unwrap();
            let kind = |bed: &Bed| fs::symlink_metadata(bed.dest("a")).unwrap().file_type();
            assert_eq!(kind(&bed), kind(&expected), "{before:?}, then {after:?}");
        }
    }
    let bed = Bed::new();
    bed.entries(&[("a/b/c", FILE), ("a", FILE), ("a", Kind::Directory), ("a/d", FILE)]).unwrap();
    assert_eq!(look(&bed.dest("a")).len(), 2);
}

#[test]
fn whiteouts_name_one_name() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b", "a/.wh.b/c"] {
        assert_path(Bed::new().entries(&[(name, FILE)]), "whiteout");
    }
    let bed = Bed::new();
    let bookkeeping = [(".wh..wh.plnk", Kind::Directory), (".wh..wh.plnk/1.2", FILE), (".wh..wh.aufs", FILE)];
    assert_eq!(bed.entries(&bookkeeping).unwrap().skipped, 3);
    assert_eq!(look(&bed.dest("")).len(), 1);
}

#[test]
fn whiteouts_become_overlayfs_own() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let is_whiteout = |path: &str| {
        let stat = fs::symlink_metadata(bed.dest(path)).unwrap();
        stat.file_type().is_char_device() && stat.rdev() == 0
    };
    let opaque = |path: &str| xattrs(&bed.dest(path)).get(&b"trusted.overlay.opaque"[..]).cloned();
    let stats = bed.entries(&[
        ("a/.wh.x", FILE),
        ("b/.wh..wh..opq", FILE),
        ("b/f", FILE),
        // In one layer with what it hides: that stays, whichever comes first.
        ("c", FILE),
        (".wh.c", FILE),
        (".wh.d", FILE),
        ("d", FILE),
        ("e", Kind::Directory),
        (".wh.e", FILE),
        (".wh.g", FILE),
        ("g", Kind::Directory),
        (".wh.h", FILE),
        ("h/i", FILE),
        (".wh.j", FILE),
        (".wh.j", FILE),
    ]);
    assert_eq!(stats.unwrap().whiteouts, 9);
    assert!(is_whiteout("a/x") && is_whiteout("j"));
    for path in ["b", "e", "g", "h"] {
        assert_eq!(opaque(path).as_deref(), Some(&b"y"[..]), "{path}");
    }
    assert_eq!(opaque("a"), None);
    for path in ["b/f", "c", "d", "h/i"] {
        assert_eq!(bed.read(path), "x");
    }
    // A whiteout through a link hides a name inside, if anything.
    bed.entries(&[("l", symlink("/")), ("l/.wh.k", FILE)]).unwrap();
    assert!(is_whiteout("k"));
    assert_path(bed.entries(&[("m", symlink("../outside")), ("m/.wh.secret", FILE)]), "link to nothing");
    assert_path(bed.entries(&[("m/.wh..wh..opq", FILE)]), "link to nothing");
}

#[test]
fn attributes_that_steer_the_host_are_dropped() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    for (path, kind) in [("f", FILE), ("d", Kind::Directory), ("l", symlink("f")), ("./", Kind::Directory)] {
        let mut header = Header::new(path, kind);
        for name in
            ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.opaque", "security.selinux"]
        {
            header.xattrs.push((name.into(), b"y".to_vec()));
        }
        let contents = if header.size() == 1 { &b"x"[..] } else { b"" };
        writer.append(&header, contents).unwrap();
    }
    assert_eq!(bed.unpack(&writer.finish().unwrap()).unwrap().dropped_xattrs, 16);
    for path in ["f", "d", "l", ""] {
        assert!(xattrs(&bed.dest(path)).is_empty(), "{path}");
    }
}

#[test]
fn setuid_and_capabilities_are_kept() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut header = Header::new("su", FILE);
    (header.mode, header.uid, header.gid) = (0o6755, 5, 6);
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    header.xattrs.push((b"security.capability".to_vec(), capability.clone()));
    let mut writer = Writer::new(Vec::new());
    writer.append(&header, &b"x"[..]).unwrap();
    bed.unpack(&writer.finish().unwrap()).unwrap();
    let stat = fs::metadata(bed.dest("su")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o6755, 5, 6));
    assert_eq!(xattrs(&bed.dest("su"))[&b"security.capability"[..]], capability);
}

#[test]
fn devices_are_nodes_and_are_not_opened() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let device = Kind::BlockDevice { major: 7, minor: 0 };
    bed.entries(&[("loop", device.clone()), ("zero", Kind::CharDevice { major: 1, minor: 5 })]).unwrap();
    assert!(fs::symlink_metadata(bed.dest("loop")).unwrap().file_type().is_block_device());
    assert_eq!(fs::symlink_metadata(bed.dest("zero")).unwrap().rdev(), rustix::fs::makedev(1, 5));
    bed.entries(&[("loop", FILE), ("fifo", Kind::Fifo), ("fifo", FILE)]).unwrap();
    assert_eq!((bed.read("loop"), bed.read("fifo")), ("x".to_owned(), "x".to_owned()));
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let limits = || Limits { max_file: 1 << 20, max_bytes: 4 << 20, ..Limits::default() };
    let huge = raw(b"f", b'0', b"77777777777", |_| {});
    assert_limit(Bed::new().unpack_with(&huge[..], limits()), "size of a file");
    let huge = raw(b"f", b'0', b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", |_| {});
    assert_limit(Bed::new().unpack(&huge), "size of a file");
    let negative = raw(b"f", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", |_| {});
    assert!(matches!(Bed::new().unpack(&negative), Err(Error::Header { .. })));
    let huge = [pax(b'x', &[("size", "9223372036854775807")]), raw(b"f", b'0', b"0", |_| {})].concat();
    assert_limit(Bed::new().unpack(&huge), "size of a file");
    // What an unknown entry or the rest of the stream says and has counts too.
    let unknown = raw(b"f", b'Z', b"77777777777", |_| {});
    let endless = || unknown.chain(io::repeat(7));
    assert_limit(Bed::new().unpack_with(endless(), limits()), "uncompressed size");
    let endless = [0; 1024].chain(io::repeat(0));
    assert_limit(Bed::new().unpack_with(endless, limits()), "uncompressed size");
}

#[test]
fn many_of_anything_are_refused() {
    let limits = || Limits { max_entries: 100, ..Limits::default() };
    let names: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), FILE)).collect();
    assert_limit(Bed::new().unpack_with(&archive(&entries)[..], limits()), "number of its entries");
    let deep = ["d"; 200].join("/");
    assert_limit(
        Bed::new().unpack_with(&archive(&[(&deep, FILE), ("f", FILE)])[..], limits()),
        "number of its entries",
    );
    let long = ["d"; 2100].join("/");
    assert_limit(Bed::new().entries(&[(&long, FILE)]), "length of a path");
    assert_limit(Bed::new().entries(&[("l", symlink(&long))]), "length of a path");
    assert_path(Bed::new().entries(&[(&"n".repeat(256), FILE)]), "longer than 255");
    let bed = Bed::new();
    bed.entries(&[(&["d"; 2000].join("/"), FILE)]).unwrap();
}

#[test]
fn extended_headers_are_bounded() {
    let value = "v".repeat(2 << 20);
    let entry = raw(b"f", b'0', b"0", |_| {});
    let big = [pax(b'x', &[("comment", &value)]), entry.clone()].concat();
    assert_limit(Bed::new().unpack(&big), "extended header");
    for kind in [b'x', b'g', b'L', b'K'] {
        let declared = raw(b"pax", kind, b"77777777777", |_| {});
        assert_limit(Bed::new().unpack(&declared), "extended header");
    }
    let names: Vec<_> = (0..3000).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let flood = [pax(b'x', &records), entry.clone()].concat();
    assert!(matches!(Bed::new().unpack(&flood), Err(Error::Pax { .. })));
    for record in [("path", "/etc/x"), ("linkpath", "x"), ("size", "512"), ("SCHILY.xattr.user.x", "x")] {
        let global = [pax(b'g', &[record]), entry.clone(), vec![0; 1024]].concat();
        assert!(matches!(Bed::new().unpack(&global), Err(Error::Pax { .. })), "{record:?}");
    }
    let global = [pax(b'g', &[("comment", "a commit"), ("mtime", "5")]), entry, vec![0; 1024]].concat();
    let bed = Bed::new();
    bed.unpack(&global).unwrap();
    assert_eq!(fs::metadata(bed.dest("f")).unwrap().mtime(), 5);
}

#[test]
fn ids_that_chown_would_ignore_are_refused() {
    let entry = raw(b"f", b'0', b"0", |block| block[108..116].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff"));
    assert!(matches!(Bed::new().unpack(&entry), Err(Error::Header { .. })));
    let entry = [pax(b'x', &[("gid", "4294967295")]), raw(b"f", b'0', b"0", |_| {})].concat();
    assert!(matches!(Bed::new().unpack(&entry), Err(Error::Pax { .. })));
}

/// 10 GiB, in each of the ways to say so.
#[test]
fn sparse_bombs_take_no_disk() {
    const SIZE: u64 = 10 << 30;
    let size = SIZE.to_string();
    let old = raw(b"f", b'S', b"0", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[483..495].copy_from_slice(format!("{SIZE:012o}").as_bytes());
    });
    let version = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")];
    let mut data = b"1\n10737418239\n1\n".to_vec();
    data.resize(512, 0);
    data.push(b'x');
    data.resize(1024, 0);
    let one = [
        pax(b'x', &[version[0], version[1], ("GNU.sparse.name", "f"), ("GNU.sparse.realsize", &size)]),
        raw(b"GNUSparseFile.0/f", b'0', b"00000001001", |_| {}),
        data,
    ];
    let zero =
        [pax(b'x', &[("GNU.sparse.size", &size), ("GNU.sparse.map", "0,0")]), raw(b"f", b'0', b"0", |_| {})];
    for tar in [old, one.concat(), zero.concat()] {
        let bed = Bed::new();
        let stats = bed.unpack(&[tar.clone(), vec![0; 1024]].concat()).unwrap();
        let stat = fs::metadata(bed.dest("f")).unwrap();
        assert_eq!((stats.bytes, stat.len()), (SIZE, SIZE));
        assert!(stat.blocks() < 64, "{} blocks", stat.blocks());
        assert_limit(
            bed.unpack_with(&tar[..], Limits { max_file: SIZE - 1, ..Limits::default() }),
            "size of a file",
        );
    }
}

/// A file of zeros, small as long as it is compressed.
#[test]
fn zero_bombs_take_no_disk() {
    const SIZE: u64 = 128 << 20;
    let mut compressor = Compressor::new(Vec::new(), Compression::Zstd).unwrap();
    compressor.write_all(&raw(b"f", b'0', format!("{SIZE:011o}").as_bytes(), |_| {})).unwrap();
    io::copy(&mut io::repeat(0).take(SIZE + 1024), &mut compressor).unwrap();
    let bomb = compressor.finish().unwrap();
    assert!(bomb.len() < 64 << 10);
    let bed = Bed::new();
    bed.unpack_with(decompress(&bomb[..]).unwrap(), Limits::default()).unwrap();
    let stat = fs::metadata(bed.dest("f")).unwrap();
    assert_eq!(stat.len(), SIZE);
    assert!(stat.blocks() < 1024, "{} blocks", stat.blocks());
}

#[test]
fn sparse_maps_that_make_no_sense_are_refused() {
    let map = |size: &str, map: &str, data: usize| {
        let size = [("GNU.sparse.size", size), ("GNU.sparse.map", map)];
        let stored = format!("{data:011o}");
        let padded = vec![b'x'; data.next_multiple_of(512)];
        [pax(b'x', &size), raw(b"f", b'0', stored.as_bytes(), |_| {}), padded, vec![0; 1024]].concat()
    };
    Bed::new().unpack(&map("100", "1,2,50,3", 5)).unwrap();
    for tar in [
        map("100", "1,2,50,3", 4),
        map("100", "1,2,50,3", 6),
        map("100", "50,3,1,2", 5),
        map("100", "1,5,3,1", 6),
        map("4", "1,5", 5),
        map("100", "1,2,3", 5),
        map("100", "18446744073709551615,5", 5),
        map("100", "1,18446744073709551615,3,6", 5),
    ] {
        assert!(matches!(Bed::new().unpack(&tar), Err(Error::Sparse { .. })));
    }
    // Of format 1.0: a map that claims to be longer than all memory, one that does not end, one that is no map.
    let version = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "100")];
    for start in [&b"99999999999999\n"[..], b"10\n1\n", b"x\n", b"111111111111111111111111\n", b""] {
        let mut data = start.to_vec();
        data.resize(512, 0);
        let tar = [pax(b'x', &version), raw(b"f", b'0', b"00000001000", |_| {}), data].concat();
        assert!(Bed::new().unpack(&tar).is_err(), "{start:?}");
    }
    let other =
        [pax(b'x', &[("GNU.sparse.major", "9"), ("GNU.sparse.size", "1")]), raw(b"f", b'0', b"0", |_| {})];
    assert!(matches!(Bed::new().unpack(&other.concat()), Err(Error::Sparse { .. })));
    // An old GNU map that goes on for ever.
    let old = raw(b"f", b'S', b"0", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[482] = 1;
    });
    let mut extension = b"00000000000\0".repeat(42);
    extension.resize(512, 1);
    let endless = old.chain(Endless { bytes: extension, at: 0 });
    assert_limit(
        Bed::new().unpack_with(endless, Limits { max_segments: 1000, ..Limits::default() }),
        "sparse segments",
    );
}

/// The same bytes again and again.
struct Endless {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = self.bytes[self.at % self.bytes.len()];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn archives_cut_short_are_noticed() {
    let mut writer = Writer::new(Vec::new());
    writer.append_directory("d").unwrap();
    let mut header = Header::new("d/f", Kind::File { size: 1000 });
    header.mtime.nanoseconds = 5;
    writer.append(&header, &[b'x'; 1000][..]).unwrap();
    let tar = writer.finish().unwrap();
    let bed = Bed::new();
    for length in 0..tar.len() {
        let result = bed.unpack(&tar[..length]);
        // Between entries, before the last one's padding, and within the end, an archive may stop: some writers leave
        // out all of these (umoci 0.4). What is missing then is nothing that anyone would see.
        let end = tar.len() - 1024;
        let is_boundary = [0, 512, end - 24, end, end + 512].contains(&length);
        assert_eq!(result.is_ok(), is_boundary, "{length}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Truncated { .. }), "{length}: {error}");
        }
    }
    let lone = [vec![0; 512], tar].concat();
    assert!(matches!(bed.unpack(&lone), Err(Error::Header { .. })));
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let bed = Bed::new();
    for bytes in [&b"<html>"[..], &[b'x'; 2000], b"{}"] {
        let error = bed.unpack(bytes).unwrap_err();
        assert!(matches!(error, Error::Header { .. } | Error::Truncated { .. }), "{error}");
    }
    let mut tar = archive(&[("f", FILE)]);
    tar[3] ^= 1;
    let error = bed.unpack(&tar).unwrap_err().to_string();
    assert!(error.contains("checksum is wrong") && error.contains("byte 0"), "{error}");
    assert!(matches!(decompress(&b"\xfd7zXZ\0..."[..]), Err(Error::Compression("xz"))));
    assert!(matches!(decompress(&b"BZh91AY..."[..]), Err(Error::Compression("bzip2"))));
    let mut gzip = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let error = bed.unpack_with(decompress(&gzip[..gzip.len() - 9]).unwrap(), Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Read { .. } | Error::Header { .. }), "{error}");
}

#[test]
fn control_characters_do_not_reach_a_message() {
    let error = Bed::new().entries(&[("../\x1b[31m\nx", FILE)]).unwrap_err().to_string();
    assert!(!error.contains(['\x1b', '\n']), "{error:?}");
}

fn component() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "l",
        "..",
        ".",
        "",
        "outside",
        "secret",
        ".wh.a",
        ".wh..wh..opq",
        ".wh.b",
    ])
}

fn path() -> impl Strategy<Value = String> {
    (any::<bool>(), prop::collection::vec(component(), 1..5))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(FILE),
        3 => Just(Kind::Directory),
        4 => path().prop_filter("empty", |path| !path.is_empty()).prop_map(|target| symlink(&target)),
        3 => path().prop_map(|target| hard_link(&target)),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::CharDevice { major: 0, minor: 0 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Links, `..` and whiteouts in all orders: one archive an entry, so that a refused one does not end it.
    #[test]
    fn nothing_leads_out(entries in prop::collection::vec((path(), kind()), 1..12)) {
        let bed = Bed::new();
        for (path, kind) in entries {
            if !path.is_empty() {
                let _ = bed.entries(&[(&path, kind)]);
            }
        }
    }

    /// Real archives with some of their bytes changed, and checksums that hold all the same.
    #[test]
    fn broken_archives_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut writer = Writer::new(Vec::new());
        let long = format!("{0}/{0}", "n".repeat(120));
        for (path, kind) in [
            ("d", Kind::Directory), ("d/f", FILE), ("d/l", symlink("../../outside/secret")), ("d/h", hard_link("d/l")),
            ("d/.wh.w", Kind::File { size: 0 }), (&long, Kind::Directory), ("fifo", Kind::Fifo),
        ] {
            let mut header = Header::new(path, kind);
            header.mtime.nanoseconds = 1;
            header.xattrs.push((b"user.a".to_vec(), b"b".to_vec()));
            let contents = if header.size() == 1 { &b"x"[..] } else { b"" };
            writer.append(&header, contents).unwrap();
        }
        let mut tar = writer.finish().unwrap();
        tar.extend(pax(b'x', &[("GNU.sparse.size", "100"), ("GNU.sparse.map", "1,2,50,3")]));
        for (index, byte) in &changes {
            let index = index.index(tar.len());
            tar[index] = *byte;
        }
        let sealed: Vec<u8> = tar.chunks(512).flat_map(|block| {
            let mut block = block.to_vec();
            if block[257..].starts_with(b"ustar") {
                seal(&mut block);
            }
            block
        }).collect();
        for tar in [tar, sealed] {
            let bed = Bed::new();
            let _ = bed.unpack_with(&tar[..], Limits { max_file: 1 << 20, ..Limits::default() });
            let mut reader = Reader::new(&tar[..], Limits::default());
            while let Ok(Some(mut entry)) = reader.next() {
                let _ = io::copy(&mut entry.by_ref().take(1 << 16), &mut io::sink());
            }
        }
    }
}
