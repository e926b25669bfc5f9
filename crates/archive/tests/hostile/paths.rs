//! Paths and links that lead out, and files in each other's place.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use conex_archive::{Header, Kind, Writer};

use super::bed::*;
use super::tree::look;

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
