//! Archives that others write are unpacked as they are meant, and others understand ours: GNU tar and bsdtar, in all
//! formats that they have.

mod tree;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use conex_archive::{Header, Kind, Reader, Time, UnpackOptions, Writer, decompress, unpack};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use tree::{assert_same, is_root, look};

/// A tree with everything that a layer may have. Times are whole seconds unless `fine`.
fn plant(root: &Path, xattrs: bool, fine: bool) {
    let file = |path: &str, contents: &[u8], mode: u32| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644);
    file("empty", b"", 0o600);
    file("block", &[b'x'; 512], 0o400);
    file("large", &(0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>(), 0o664);
    let su = file("bin/su", b"su", 0o755);
    lchown(&su, Some(1234), Some(56_789)).unwrap();
    fs::set_permissions(&su, fs::Permissions::from_mode(0o6755)).unwrap();
    let long = ["directory-with-a-long-name"; 6].join("/");
    file(&format!("{long}/{}", "n".repeat(200)), b"long", 0o644);
    file("name with spaces, =signs\nand a newline", b"", 0o644);
    file("näme", b"", 0o644);
    fs::hard_link(root.join("etc/passwd"), root.join("etc/hard")).unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("a-hard-link-before-it")).unwrap();
    symlink("../etc/passwd", root.join("bin/link")).unwrap();
    symlink(format!("/{long}/{}", "t".repeat(200)), root.join("long-link")).unwrap();
    lchown(root.join("bin/link"), Some(7), Some(8)).unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o3777)).unwrap();
    lchown(root.join("sticky"), Some(2_000_000), Some(3_000_000)).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o3777)).unwrap();
    file("sticky/child", b"the group is not the directory's", 0o644);
    lchown(root.join("sticky/child"), Some(0), Some(0)).unwrap();
    let node = |name: &str, kind, mode, device| {
        rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(mode), device).unwrap();
    };
    node("fifo", FileType::Fifo, 0o600, 0);
    node("null", FileType::CharacterDevice, 0o600, rustix::fs::makedev(1, 3));
    node("disk", FileType::BlockDevice, 0o600, rustix::fs::makedev(259, 70_000));
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(12 << 20).unwrap();
    for index in [1, 2, 5, 8, 9] {
        sparse.write_all_at(format!("data {index}").as_bytes(), index << 20).unwrap();
    }
    let hole = File::create(root.join("hole")).unwrap();
    hole.set_len(1 << 20).unwrap();
    if xattrs {
        for (path, name, value) in [
            ("etc/passwd", "user.comment", &b"a\0b\n=\xff"[..]),
            ("etc", "user.of-a-directory", b""),
            ("bin/su", "security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ] {
            rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty()).unwrap();
        }
    }
    // Deepest first, as what is put into a directory changes its time.
    let paths: Vec<_> = look(root).into_keys().collect();
    for (index, path) in paths.iter().enumerate().rev() {
        let seconds = 1_000_000_000 + index as i64 * 86_400;
        // Before 1970, whole seconds only: bsdtar writes -4.9 as -5.1.
        let time = match (index, fine) {
            (1, true) => Timespec { tv_sec: -5, tv_nsec: 0 },
            (_, true) => Timespec { tv_sec: seconds, tv_nsec: 123_456_789 },
            (_, false) => Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn unpacked(archive: &[u8], into: &Path) {
    fs::create_dir(into).unwrap();
    let reader = decompress(archive).unwrap();
    unpack(reader, File::open(into).unwrap().as_fd(), &UnpackOptions::default()).unwrap();
}

/// Runs a writer over the tree and compares what comes out of its archive.
fn check(program: &str, arguments: &[&str], xattrs: bool, fine: bool) {
    let what = format!("{program} {}", arguments.join(" "));
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::create_dir(&from).unwrap();
    plant(&from, xattrs, fine);
    if arguments.contains(&"--format=ustar") || arguments.contains(&"ustar") {
        // What ustar cannot hold at all.
        fs::remove_file(from.join("long-link")).unwrap();
        fs::remove_dir_all(from.join("directory-with-a-long-name")).unwrap();
        fs::remove_dir_all(from.join("sticky")).unwrap();
        let time = Timespec { tv_sec: 5, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &from, &times, AtFlags::empty()).unwrap();
    }
    let output =
        Command::new(program).args(arguments).arg("-C").arg(&from).arg(".").stderr(Stdio::inherit()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {what}: {program} is not installed");
            return;
        }
        Err(error) => panic!("{what}: {error}"),
    };
    assert!(output.status.success(), "{what}: {}", output.status);
    unpacked(&output.stdout, &to);
    assert_same(&look(&to), &look(&from), &what);
    let blocks = fs::metadata(to.join("sparse")).unwrap().blocks();
    assert!(blocks < 2048, "{what}: the holes of the sparse file are gone ({blocks} blocks)");
}

#[test]
fn gnu_tar() {
    if !is_root() {
        return;
    }
    let tar = |arguments: &[&str], xattrs, fine| check("tar", &[&["-c"], arguments].concat(), xattrs, fine);
    tar(&["--format=gnu"], false, false);
    tar(&["--format=gnu", "--sparse"], false, false);
    tar(&["--format=ustar"], false, false);
    tar(&["--format=posix", "--xattrs", "--xattrs-include=*"], true, true);
    for version in ["0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={version}");
        tar(&["--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", &version], true, true);
    }
    tar(&["--format=posix", "--gzip"], false, true);
    tar(&["--format=posix", "--zstd"], false, true);
    tar(&["--format=gnu", "--blocking-factor=1000"], false, false);
    tar(&["--format=gnu", "--incremental"], false, false);
}

#[test]
fn bsdtar() {
    if !is_root() {
        return;
    }
    check("bsdtar", &["-c", "--format", "pax", "--xattrs"], true, true);
    check("bsdtar", &["-c", "--format", "gnutar"], false, false);
    check("bsdtar", &["-c", "--format", "ustar"], false, false);
}

#[test]
fn v7() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::create_dir_all(from.join("d")).unwrap();
    fs::write(from.join("d/f"), "contents").unwrap();
    symlink("f", from.join("d/l")).unwrap();
    for path in [".", "d", "d/f", "d/l"] {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        rustix::fs::utimensat(CWD, from.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let output = Command::new("tar").args(["-c", "--format=v7", "-C"]).arg(&from).arg(".").output().unwrap();
    unpacked(&output.stdout, &to);
    assert_same(&look(&to), &look(&from), "v7");
}

/// The archive of a tree, by our own writer.
fn written(root: &Path) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, node) in look(root) {
        let (major, minor) = (rustix::fs::major(node.device), rustix::fs::minor(node.device));
        let target = node.contents.clone();
        let kind = match FileType::from_raw_mode(node.mode) {
            FileType::Directory => Kind::Directory,
            _ if node.first != path => {
                Kind::HardLink { target: node.first.into_os_string().into_encoded_bytes() }
            }
            FileType::RegularFile => Kind::File { size: node.contents.len() as u64 },
            FileType::Symlink => Kind::Symlink { target },
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            other => panic!("{other:?}"),
        };
        let contents = if matches!(kind, Kind::File { .. }) { &node.contents[..] } else { &[] };
        let header = Header {
            path: Path::new(".").join(&path).into_os_string().into_encoded_bytes(),
            kind,
            mode: node.mode & 0o7777,
            uid: node.owner.0,
            gid: node.owner.1,
            mtime: Time { seconds: node.mtime.0, nanoseconds: node.mtime.1 as u32 },
            xattrs: node.xattrs.into_iter().collect(),
        };
        writer.append(&header, contents).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn others_understand_our_archives() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    fs::create_dir(&from).unwrap();
    plant(&from, true, true);
    let archive = written(&from);
    let to = directory.path().join("ours");
    unpacked(&archive, &to);
    assert_same(&look(&to), &look(&from), "our own");
    let tar = ["-x", "-p", "--same-owner", "--xattrs", "--xattrs-include=*"];
    let bsdtar = ["-x", "-p", "--same-owner", "--xattrs"];
    for (program, arguments) in [("tar", &tar[..]), ("bsdtar", &bsdtar[..])] {
        let to = directory.path().join(program);
        fs::create_dir(&to).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg("-C")
            .arg(&to)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: {program} is not installed");
            continue;
        };
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        assert!(child.wait().unwrap().success(), "{program}");
        let (mut found, mut expected) = (look(&to), look(&from));
        // bsdtar leaves the time of the directory that it unpacks into alone.
        found.remove(Path::new(""));
        expected.remove(Path::new(""));
        assert_same(&found, &expected, program);
    }
}

#[test]
fn the_reader_gives_sparse_files_whole() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    plant(directory.path(), false, false);
    let expected = fs::read(directory.path().join("sparse")).unwrap();
    let arguments = ["-c", "--sparse", "--format=posix", "-C"];
    let output = Command::new("tar").args(arguments).arg(directory.path()).arg("sparse").output().unwrap();
    assert!(output.stdout.len() < 1 << 20, "tar wrote the holes");
    let mut reader = Reader::new(&output.stdout[..], Default::default());
    let mut entry = reader.next().unwrap().unwrap();
    assert!(entry.is_sparse());
    assert_eq!(entry.header().path, b"sparse");
    let mut found = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut found).unwrap();
    assert!(found == expected);
    assert!(reader.next().unwrap().is_none());
}
