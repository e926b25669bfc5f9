//! What is large: directories, trees, attributes, files; and the ways to mount.

mod bed;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use bed::{Bed, Root, assert_same, can_mount, fsck, header_block, look, read};
use conex_archive::{Header, Kind, Writer};
use conex_erofs::{Backing, Error, Image};

#[test]
fn a_directory_with_a_hundred_thousand_names() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    for number in 0..100_000_u32 {
        // In no order.
        writer.append_bytes(&format!("d/{:x}", number.wrapping_mul(2_654_435_761)), b"").unwrap();
    }
    let layer = bed.write("layer.erofs", &writer.finish().unwrap()).unwrap();
    let root = Root::of(&layer.path, &[]);
    let seen = root.look();
    assert_eq!(seen.len(), 100_002);
    assert_same(&read(&Image::open(&layer.file).unwrap()), &seen, "the reader");
    let merged = bed.mount_merged(std::slice::from_ref(&layer));
    for number in [0, 1, 77_777, 99_999_u32] {
        let name = format!("d/{:x}", number.wrapping_mul(2_654_435_761));
        assert!(merged.path().join(&name).exists(), "{name}");
        assert!(!merged.path().join(format!("{name}0")).exists());
    }
    fsck(&layer.path, &[]);
}

#[test]
fn attributes_long_and_many() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    let file = |name: &str| Header::new(name, Kind::File { size: 0 });
    let mut long = file("long");
    long.xattrs.push((b"user.long".to_vec(), vec![b'l'; 60_000]));
    long.xattrs.push((format!("user.{}", "n".repeat(250)).into(), b"longest name".to_vec()));
    let mut many = file("many");
    many.xattrs.extend((0..700).map(|number| (format!("user.{number}").into(), format!("{number}").into())));
    let mut shared = file("shared");
    shared.xattrs.extend((0..400).map(|number| (format!("user.{number}").into(), vec![b's'; 300])));
    for header in [long, many, shared.clone(), Header { path: b"again".to_vec(), ..shared }] {
        writer.append(&header, std::io::empty()).unwrap();
    }
    let tar = writer.finish().unwrap();
    let layer = bed.write("layer.erofs", &tar).unwrap();
    let (unpacked, _) = bed.unpack("unpacked", &tar).unwrap();
    let expected = look(&unpacked);
    assert_same(&read(&Image::open(&layer.file).unwrap()), &expected, "the reader");
    assert_same(&Root::of(&layer.path, &[]).look(), &expected, "the layer");
    assert_same(&bed.mount_merged(&[layer]).look(), &expected, "merged");
    // More than an inode has room for.
    let mut writer = Writer::new(Vec::new());
    let mut header = file("f");
    header.xattrs.extend((0..1000).map(|number| (format!("user.{number}").into(), vec![b'x'; 900])));
    writer.append(&header, std::io::empty()).unwrap();
    let error = bed.write("refused.erofs", &writer.finish().unwrap()).map(|layer| layer.stats).unwrap_err();
    assert!(error.to_string().contains("extended attributes"), "{error}");
}

#[test]
fn a_deep_tree() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    // Deeper than a path can be long: by way of links.
    let part = ["d"; 1000].join("/");
    writer.append_bytes(&format!("{part}/f"), b"deep").unwrap();
    let mut at = part.clone();
    for number in 0..5 {
        let target = if number == 0 { part.clone() } else { format!("l{}/{part}", number - 1) };
        let kind = Kind::Symlink { target: target.into_bytes() };
        writer.append(&Header::new(format!("l{number}"), kind), std::io::empty()).unwrap();
        at = format!("l{number}/{part}/f");
        writer.append_bytes(&at, b"deeper").unwrap();
    }
    let layer = bed.write("layer.erofs", &writer.finish().unwrap()).unwrap();
    let root = Root::of(&layer.path, &[]);
    assert_eq!(std::fs::read(root.path().join(at)).unwrap(), b"deeper");
    let image = Image::open(&layer.file).unwrap();
    let (mut walk, mut deepest) = (image.walk(100_000), 0);
    while let Some(visit) = walk.next().unwrap() {
        deepest = deepest.max(visit.depth());
    }
    assert_eq!(deepest, 6001);
    bed.merge(&[layer]);
}

#[test]
fn a_file_of_more_than_four_gigabytes() {
    if !can_mount() {
        return;
    }
    const SIZE: u64 = (4 << 30) + 7;
    let bed = Bed::new();
    // Zeros but for the end: they take no disk.
    let (path, file) = bed.file("layer.erofs");
    let mut after = Writer::new(Vec::new());
    after.append_bytes("g", b"after it").unwrap();
    let mut end = b"end".to_vec();
    end.resize(3 + (SIZE.next_multiple_of(512) - SIZE) as usize, 0);
    end.extend(after.finish().unwrap());
    let block = header_block("f", b'0', SIZE);
    let tar = (&block[..]).chain(std::io::repeat(0).take(SIZE - 3)).chain(&end[..]);
    conex_erofs::write_layer(tar, &file, &Default::default()).unwrap();
    let stats = conex_erofs::layer_stats(&file).unwrap();
    let layers = [bed::Layer { path, file, stats }];
    for root in [Root::of(&layers[0].path, &[]), bed.mount_merged(&layers)] {
        let mounted = File::open(root.path().join("f")).unwrap();
        assert_eq!(mounted.metadata().unwrap().len(), SIZE);
        let mut end = [1; 100];
        mounted.read_exact_at(&mut end, SIZE - 100).unwrap();
        assert!(end[..97] == [0; 97] && &end[97..] == b"end");
        mounted.read_exact_at(&mut end, (2 << 30) - 50).unwrap();
        assert_eq!(end, [0; 100]);
        assert_eq!(std::fs::read(root.path().join("g")).unwrap(), b"after it");
    }
}

#[test]
fn ten_thousand_files_in_six_layers_merge_at_once() {
    let bed = Bed::new();
    let mut layers = Vec::new();
    for number in 0..6 {
        let mut writer = Writer::new(Vec::new());
        for file in 0..1700 {
            writer.append_bytes(&format!("usr/lib/{}/{number}-{file}", file % 100), b"x").unwrap();
        }
        layers.push(bed.write(&format!("layer-{number}"), &writer.finish().unwrap()).unwrap());
    }
    let start = Instant::now();
    let (_, merged) = bed.merge(&layers);
    let took = start.elapsed();
    println!("{} inodes merged in {took:?}", merged.inodes);
    assert_eq!(merged.inodes, 6 * 1700 + 100 + 3);
    // A hundred times what it takes, for builds without optimisation on a busy machine.
    assert!(took.as_secs() < 2, "{took:?}");
}

#[test]
fn loop_devices_do_as_well() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes("f", b"contents").unwrap();
    let layer = bed.write("layer.erofs", &writer.finish().unwrap()).unwrap();
    let (merged, plan) = bed.merge(std::slice::from_ref(&layer));
    assert_eq!(plan.devices, [0]);
    match conex_erofs::mount(&merged, std::slice::from_ref(&layer.path), Backing::Loop) {
        Ok(root) => assert_eq!(std::fs::read(Root(root).path().join("f")).unwrap(), b"contents"),
        Err(error @ Error::Mount { .. }) if error.to_string().contains("attach a loop device") => {
            println!("skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_cannot_be_mounted_says_why() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes("f", b"contents").unwrap();
    let layer = bed.write("layer.erofs", &writer.finish().unwrap()).unwrap();
    let (merged, _) = bed.merge(std::slice::from_ref(&layer));
    let said = |image: &std::path::Path, devices: &[std::path::PathBuf]| {
        conex_erofs::mount(image, devices, Backing::File).unwrap_err().to_string()
    };
    let missing = bed.images.path().join("missing");
    assert!(said(&missing, &[]).contains("No such file"), "{}", said(&missing, &[]));
    assert!(said(&merged, std::slice::from_ref(&missing)).contains("No such file"));
    let two = [layer.path.clone(), layer.path.clone()];
    assert!(said(&merged, &two).contains("erofs refuses"), "{}", said(&merged, &two));
    let empty = bed.file("empty").0;
    assert!(said(&empty, &[]).contains("erofs refuses"), "{}", said(&empty, &[]));
    // By a handle: the path is longer than an option can be.
    let deep = bed.images.path().join(["long"; 60].join("/"));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::copy(&layer.path, deep.join("layer.erofs")).unwrap();
    let root = Root::with(&deep.join("layer.erofs"), Backing::File).unwrap();
    assert_eq!(std::fs::read(root.path().join("f")).unwrap(), b"contents");
}
