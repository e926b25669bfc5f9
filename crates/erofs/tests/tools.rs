//! erofs-utils: what it says of images written here, and what the reader here says of images that it has written.

mod bed;

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;
use std::process::Command;

use bed::{Bed, Root, Tree, assert_same, can_mount, look, read, tool};
use conex_archive::{Header, Kind, Writer};
use conex_erofs::{Image, NodeKind};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

/// What dump.erofs says after a label.
fn field(said: &str, label: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in:\n{said}")).trim().to_owned()
}

#[test]
fn dump_counts_what_was_written() {
    let Some(mut dump) = tool("dump.erofs") else { return };
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    for (name, kind) in [
        ("d", Kind::Directory),
        ("d/l", Kind::Symlink { target: b"f".to_vec() }),
        ("d/p", Kind::Fifo),
        ("d/c", Kind::CharDevice { major: 1, minor: 3 }),
        ("d/b", Kind::BlockDevice { major: 7, minor: 0 }),
    ] {
        writer.append(&Header::new(name, kind), std::io::empty()).unwrap();
    }
    for number in 0..100 {
        writer.append_bytes(&format!("d/{number}"), &vec![b'x'; number * 100]).unwrap();
    }
    let layer = bed.write("layer.erofs", &writer.finish().unwrap()).unwrap();
    let output = dump.args(["-s", "-S"]).arg(&layer.path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for (label, value) in [
        ("Filesystem blocksize:", "512"),
        ("Filesystem inode count:", "106"),
        ("Filesystem total file count:", "106"),
        ("Filesystem regular file count:", "100"),
        ("Filesystem directory count:", "2"),
        ("Filesystem symlink file count:", "1"),
        ("Filesystem FIFO file count:", "1"),
        ("Filesystem char dev count:", "1"),
        ("Filesystem block dev count:", "1"),
        ("Filesystem total original file size:", "495000 Bytes"),
    ] {
        assert_eq!(field(&said, label), value, "{label}");
    }
}

#[test]
fn fsck_extracts_what_was_written() {
    let Some(mut fsck) = tool("fsck.erofs") else { return };
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    for number in 0..300 {
        writer.append_bytes(&format!("d{}/{number}", number % 7), &vec![b'x'; number * 10]).unwrap();
    }
    let tar = writer.finish().unwrap();
    let layer = bed.write("layer.erofs", &tar).unwrap();
    let to = bed.trees.path().join("extracted");
    let output = fsck.arg(format!("--extract={}", to.display())).arg(&layer.path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let contents =
        |tree: Tree| -> Vec<_> { tree.into_iter().map(|(path, node)| (path, node.contents)).collect() };
    let (unpacked, _) = bed.unpack("unpacked", &tar).unwrap();
    assert_eq!(contents(look(&to)), contents(look(&unpacked)));
}

fn plant(root: &Path) {
    fs::create_dir_all(root.join("many")).unwrap();
    for number in 0..1000 {
        fs::write(root.join(format!("many/{number}")), vec![b'x'; number * 7]).unwrap();
    }
    fs::write(root.join("large"), (0..500_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).unwrap();
    fs::hard_link(root.join("large"), root.join("hard")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 500_000).unwrap();
    for length in [10, 500, 4000] {
        symlink("t".repeat(length), root.join(format!("link-{length}"))).unwrap();
    }
    lchown(root.join("large"), Some(70_000), Some(80_000)).unwrap();
    rustix::fs::mknodat(
        CWD,
        root.join("null"),
        FileType::CharacterDevice,
        Mode::RUSR,
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    for path in ["many/1", "many/2", "many/3", "many/4", "large"] {
        rustix::fs::lsetxattr(root.join(path), "user.shared", &[b's'; 100], XattrFlags::empty()).unwrap();
    }
    rustix::fs::lsetxattr(root.join("many/1"), "trusted.own", b"x", XattrFlags::empty()).unwrap();
}

#[test]
fn images_of_mkfs_are_read() {
    if !can_mount() || tool("mkfs.erofs").is_none() {
        return;
    }
    let bed = Bed::new();
    let planted = bed.images.path().join("planted");
    fs::create_dir(&planted).unwrap();
    plant(&planted);
    for options in [
        "-b4096",
        "-b512",
        "-b4096 -T1000000000",
        "-b4096 --chunksize=4096",
        "-b4096 --chunksize=65536 -Eforce-chunk-indexes",
        "-b4096 -x-1",
        "-b1024 -Eforce-inode-compact -T5 --all-root",
        "-b4096 -Eforce-inode-extended -Enoinline_data",
    ] {
        let image = bed.images.path().join("mkfs.erofs");
        let mut mkfs = tool("mkfs.erofs").unwrap();
        let output = mkfs.args(options.split(' ')).arg("--quiet").arg(&image).arg(&planted).output().unwrap();
        assert!(output.status.success(), "{options}: {output:?}");
        let reader = Image::open(fs::File::open(&image).unwrap()).unwrap();
        assert_same(&read(&reader), &Root::of(&image, &[]).look(), options);
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn compressed_images_are_refused_in_words() {
    let Some(mut mkfs) = tool("mkfs.erofs") else { return };
    let bed = Bed::new();
    let from = bed.trees.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("f"), vec![b'x'; 1 << 20]).unwrap();
    let image = bed.images.path().join("mkfs.erofs");
    let output = mkfs.args(["-zlz4", "--quiet"]).arg(&image).arg(&from).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = match Image::open(fs::File::open(&image).unwrap()) {
        Err(error) => error.to_string(),
        Ok(reader) => {
            let mut walk = reader.walk(100);
            loop {
                match walk.next() {
                    Ok(Some(visit)) if visit.node().kind() == NodeKind::File => {
                        panic!("a compressed file is read")
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("a compressed file is passed over"),
                    Err(error) => break error.to_string(),
                }
            }
        }
    };
    assert!(said.contains("compressed") || said.contains("not supported"), "{said}");
}

/// Layers of the machine's own files: /usr/share is what an image's layers are made of.
#[test]
fn a_layer_of_real_files() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let from = ["/usr/share/doc", "/usr/share/zoneinfo", "/etc"].map(Path::new);
    let mut tar = Command::new("tar");
    tar.args(["--format=pax", "--xattrs", "--warning=none", "--ignore-failed-read", "-C", "/", "-cf", "-"]);
    tar.args(from.iter().filter(|path| path.exists()).map(|path| path.strip_prefix("/").unwrap()));
    let tar = tar.output().unwrap().stdout;
    let layer = bed.write("layer.erofs", &tar).unwrap();
    let (unpacked, stats) = bed.unpack("unpacked", &tar).unwrap();
    assert_eq!(layer.stats, stats);
    let expected = look(&unpacked);
    assert_same(&Root::of(&layer.path, &[]).look(), &expected, "a layer of real files");
    assert_same(&bed.mount_merged(&[layer]).look(), &expected, "merged with nothing");
    bed::fsck(&bed.images.path().join("layer.erofs"), &[]);
}
