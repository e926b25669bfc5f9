//! Whiteouts, attributes, modes and devices: what steers the host or overlayfs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use conex_archive::{Header, Kind, Writer};

use super::bed::*;
use super::tree::{is_root, look, xattrs};

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
fn a_directorys_default_list_is_not_given_to_what_is_unpacked_into_it() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    // rwx for the owner, r-x for user 5 and the group, a mask of rwx, nothing for others.
    let list = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x05\0\x05\0\0\0\x04\0\x05\0\xff\xff\xff\xff\
        \x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    let mut writer = Writer::new(Vec::new());
    let mut header = Header::new("d", Kind::Directory);
    header.xattrs.push((b"system.posix_acl_default".to_vec(), list.to_vec()));
    writer.append(&header, std::io::empty()).unwrap();
    for (path, kind) in [
        ("d/f", FILE),
        ("d/e", Kind::Directory),
        ("d/implied/l", symlink("f")),
        ("d/fifo", Kind::Fifo),
        ("d", Kind::Directory),
    ] {
        let header = Header::new(path, kind);
        writer.append(&header, if header.size() == 1 { &b"x"[..] } else { b"" }).unwrap();
    }
    bed.unpack(&writer.finish().unwrap()).unwrap();
    for path in ["d/f", "d/e", "d/implied", "d/implied/l", "d/fifo"] {
        assert!(xattrs(&bed.dest(path)).is_empty(), "{path}");
    }
    assert_eq!(xattrs(&bed.dest("d"))[&b"system.posix_acl_default"[..]], list);
    assert_eq!(fs::metadata(bed.dest("d/f")).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn a_directory_that_comes_twice_is_what_the_last_says() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    for (uid, mode) in [(1000, 0o700), (0, 0o750)] {
        let mut header = Header::new("d", Kind::Directory);
        (header.uid, header.mode) = (uid, mode);
        writer.append(&header, std::io::empty()).unwrap();
    }
    bed.unpack(&writer.finish().unwrap()).unwrap();
    let stat = fs::metadata(bed.dest("d")).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o777), (0, 0o750));
}

#[test]
fn a_setgid_root_does_not_give_its_group_away() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    let mut header = Header::new("./", Kind::Directory);
    (header.gid, header.mode) = (1000, 0o2755);
    writer.append(&header, std::io::empty()).unwrap();
    writer.append_bytes("f", b"x").unwrap();
    bed.unpack(&writer.finish().unwrap()).unwrap();
    assert_eq!(fs::metadata(bed.dest("f")).unwrap().gid(), 0);
}
