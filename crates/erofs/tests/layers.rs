//! Layers of every kind of file, as GNU tar and others write them: the mounted image is what unpacking makes, and what GNU tar does.

mod bed;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use bed::{Bed, Root, Tree, assert_same, can_mount, fsck, look};
use conex_archive::HashingReader;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// Everything that a layer can have and an archive can say.
fn plant(root: &Path) {
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
    file("page", &[b'x'; 4096], 0o400);
    file("large", &(0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>(), 0o664);
    let su = file("bin/su", b"su", 0o755);
    lchown(&su, Some(1234), Some(56_789)).unwrap();
    fs::set_permissions(&su, fs::Permissions::from_mode(0o6755)).unwrap();
    let long = ["directory-with-a-long-name"; 6].join("/");
    file(&format!("{long}/{}", "n".repeat(255)), b"long", 0o644);
    file("-before-the-dot", b"", 0o644);
    file("name with spaces, =signs\nand a newline", b"", 0o644);
    file("n\u{e4}me", b"", 0o644);
    fs::hard_link(root.join("etc/passwd"), root.join("etc/hard")).unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("a-hard-link-before-it")).unwrap();
    symlink("../etc/passwd", root.join("bin/link")).unwrap();
    fs::hard_link(root.join("bin/link"), root.join("bin/hard-link-to-a-link")).unwrap();
    for length in [399, 400, 401, 511, 512, 513, 4095] {
        symlink("t".repeat(length), root.join(format!("link-{length}"))).unwrap();
    }
    lchown(root.join("bin/link"), Some(7), Some(8)).unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    lchown(root.join("sticky"), Some(2_000_000), Some(3_000_000)).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o3777)).unwrap();
    file("sticky/child", b"the group is not the directory's", 0o644);
    lchown(root.join("sticky/child"), Some(0), Some(0)).unwrap();
    for number in 0..500 {
        file(&format!("many/{number}-{}", "x".repeat(number % 200)), b"", 0o644);
    }
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
    let odd = File::create(root.join("sparse-of-odd-size")).unwrap();
    odd.write_all_at(&[b'o'; 5000], 70_000).unwrap();
    odd.write_all_at(b"end", 200_000).unwrap();
    File::create(root.join("hole")).unwrap().set_len((1 << 20) + 1).unwrap();
    for (path, name, value) in [
        ("etc/passwd", "user.comment", &b"a\0b\n=\xff"[..]),
        ("etc", "user.of-a-directory", b""),
        ("many", "user.shared", &[b's'; 300]),
        ("empty", "user.shared", &[b's'; 300]),
        ("block", "user.shared", &[b's'; 300]),
        ("bin/su", "security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("page", "system.posix_acl_access", ACL),
        ("many", "system.posix_acl_default", ACL),
    ] {
        rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty()).unwrap();
    }
    // Deepest first, as what is put into a directory changes its time.
    let paths: Vec<_> = look(root).into_keys().collect();
    for (index, path) in paths.iter().enumerate().rev() {
        let time = match index {
            1 => Timespec { tv_sec: -5, tv_nsec: 0 },
            2 => Timespec { tv_sec: 1 << 33, tv_nsec: 1 },
            _ => Timespec { tv_sec: 1_000_000_000 + index as i64 * 86_400, tv_nsec: 123_456_789 },
        };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// rw- for the owner, r-- for user 5, r-- for the group, a mask of r--, r-- for others.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x05\0\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";

/// Runs a writer over the tree; `None` if it is not there.
fn archive(program: &str, arguments: &[&str], tree: &Path) -> Option<Vec<u8>> {
    let output = Command::new(program).args(arguments).arg("-C").arg(tree).arg(".").output();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {arguments:?}: {said}");
            Some(output.stdout)
        }
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

/// Writes the image of an archive, checks it in all ways that there are, and says what is seen when it is mounted.
fn mounted(bed: &Bed, tar: &[u8], what: &str) -> Tree {
    let layer = bed.write("layer.erofs", tar).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut stream = HashingReader::new(conex_erofs::tar_of(&layer.file).unwrap());
    let stats = conex_erofs::verify_layer(&mut stream, &layer.file, &Default::default()).unwrap();
    let (digest, length) = stream.finish().unwrap();
    assert_eq!((digest, length), (conex_oci::Digest::of(tar), tar.len() as u64));
    assert_eq!((&stats, &conex_erofs::layer_stats(&layer.file).unwrap()), (&layer.stats, &layer.stats));
    fsck(&layer.path, &[]);
    Root::of(&layer.path, &[]).look()
}

#[test]
fn archives_of_other_writers() {
    if !can_mount() {
        return;
    }
    let pax = "--xattrs --xattrs-include=* --acls --selinux";
    for arguments in [
        "--format=pax --sparse",
        "--format=pax --sparse --sparse-version=0.0",
        "--format=pax --sparse --sparse-version=0.1",
        "--format=pax --sparse --hole-detection=raw",
        "--format=pax",
        "--format=gnu --sparse",
        "--format=gnu",
    ] {
        let bed = Bed::new();
        // On disk: tmpfs gives no holes to GNU tar in the same way, nor all times.
        let planted = bed.images.path().join("planted");
        fs::create_dir(&planted).unwrap();
        plant(&planted);
        let is_pax = arguments.starts_with("--format=pax");
        let mut all: Vec<_> = arguments.split(' ').chain(["-cf", "-"]).collect();
        if is_pax {
            all.extend(pax.split(' ').take(3));
        }
        let Some(tar) = archive("tar", &all, &planted) else { return };
        let seen = mounted(&bed, &tar, arguments);
        let (unpacked, stats) = bed.unpack("unpacked", &tar).unwrap();
        assert_same(&seen, &look(&unpacked), &format!("tar {arguments}: against unpacking"));
        assert_eq!(stats, conex_erofs::layer_stats(&bed.file_again("layer.erofs")).unwrap());
        if is_pax {
            assert_same(&seen, &look(&planted), &format!("tar {arguments}: against what was packed"));
        }
        // What GNU tar unpacks of its own.
        let again = bed.images.path().join("again");
        fs::create_dir(&again).unwrap();
        let mut tar_x = Command::new("tar");
        tar_x
            .args(["-xpf", "-", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "-C"])
            .arg(&again);
        let mut child =
            tar_x.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&tar).unwrap();
        child.wait().unwrap();
        assert_same(&seen, &look(&again), &format!("tar {arguments}: against tar -x"));
    }
}

#[test]
fn bsdtar_too() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let planted = bed.images.path().join("planted");
    fs::create_dir(&planted).unwrap();
    plant(&planted);
    for format in ["pax", "gnutar"] {
        let arguments = ["--format", format, "--xattrs", "-cf", "-"];
        let Some(tar) = archive("bsdtar", &arguments, &planted) else { return };
        let seen = mounted(&bed, &tar, format);
        let (unpacked, _) = bed.unpack(format, &tar).unwrap();
        assert_same(&seen, &look(&unpacked), &format!("bsdtar --format {format}"));
    }
}

#[test]
fn a_sparse_file_has_its_holes() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let planted = bed.images.path().join("planted");
    fs::create_dir(&planted).unwrap();
    let file = File::create(planted.join("huge")).unwrap();
    file.set_len(20 << 30).unwrap();
    // On no boundary of anything, at both ends of a chunk, and far out.
    for (at, data) in
        [(0, &b"front"[..]), (4095, b"ab"), ((10 << 30) + 777, b"middle"), ((20 << 30) - 3, b"end")]
    {
        file.write_all_at(data, at).unwrap();
    }
    let Some(tar) = archive("tar", &["--format=pax", "--sparse", "-cf", "-"], &planted) else { return };
    assert!(tar.len() < 1 << 20);
    let layer = bed.write("layer.erofs", &tar).unwrap();
    conex_erofs::verify_layer(conex_erofs::tar_of(&layer.file).unwrap(), &layer.file, &Default::default())
        .unwrap();
    let disk = layer.file.metadata().unwrap().blocks() * 512;
    assert!(disk < 4 << 20, "the image takes {disk} bytes of disk");
    let root = Root::of(&layer.path, &[]);
    let mounted = File::open(root.path().join("huge")).unwrap();
    assert_eq!(mounted.metadata().unwrap().len(), 20 << 30);
    for around in [0_u64, 4095, 8192, (10 << 30) + 777, (15 << 30), (20 << 30) - 4096] {
        let (mut expected, mut found) = (vec![1; 4096], vec![2; 4096]);
        let at = around.saturating_sub(100);
        File::open(planted.join("huge")).unwrap().read_exact_at(&mut expected, at).unwrap();
        mounted.read_exact_at(&mut found, at).unwrap();
        assert!(expected == found, "around {around}");
    }
    fsck(&layer.path, &[]);
}

/// Of a small layer, whose stream ends in the middle of a page, and one with a chunk that is put together.
#[test]
fn no_byte_of_a_layer_is_unchecked() {
    let bed = Bed::new();
    let planted = bed.images.path().join("planted");
    fs::create_dir(&planted).unwrap();
    fs::write(planted.join("small"), "a file").unwrap();
    let sparse = File::create(planted.join("sparse")).unwrap();
    sparse.write_all_at(b"in the middle of a page", 8192 + 77).unwrap();
    sparse.set_len(64 << 10).unwrap();
    let Some(tar) = archive("tar", &["--format=pax", "--sparse", "-cf", "-"], &planted) else { return };
    let layer = bed.write("layer.erofs", &tar).unwrap();
    let right = fs::read(&layer.path).unwrap();
    let digest = conex_oci::Digest::of(&tar);
    let is_sound = |file: &File| {
        let Ok(stream) = conex_erofs::tar_of(file) else { return false };
        let mut stream = HashingReader::new(stream);
        conex_erofs::verify_layer(&mut stream, file, &Default::default()).is_ok()
            && stream.finish().is_ok_and(|(found, _)| found == digest)
    };
    let file = File::options().read(true).write(true).open(&layer.path).unwrap();
    assert!(is_sound(&file));
    for (at, byte) in right.iter().enumerate() {
        file.write_all_at(&[byte ^ 1 << (at % 8)], at as u64).unwrap();
        assert!(!is_sound(&file), "byte {at} of {}, the tar has {}", right.len(), tar.len());
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert!(is_sound(&file));
}

impl Bed {
    fn file_again(&self, name: &str) -> File {
        File::open(self.images.path().join(name)).unwrap()
    }
}
