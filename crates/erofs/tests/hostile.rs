//! Images and archives that want to do harm: whatever they say, the reader, a merge and the writer end, in bounded memory, with an
//! error or with something that stays within the image.

mod bed;
#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
mod generated;
#[path = "../../../fuzz/src/erofs.rs"]
mod read;
#[path = "../../../fuzz/src/recipe.rs"]
mod recipe;
#[path = "../../../fuzz/src/sealed.rs"]
mod sealed;
#[path = "../../../fuzz/src/tar.rs"]
mod tar;
#[path = "../../../fuzz/src/unpack.rs"]
mod unpack;

use std::fs::File;
use std::os::unix::fs::FileExt;

use bed::{Bed, header_block, tree};
use conex_archive::{Header, Kind, Limits, Writer};
use conex_erofs::{Error, Image, MergeLayer, WriteOptions};
use generated::entries;
use proptest::prelude::*;
use read::erofs;

fn image_of(tar: &[u8]) -> Option<Vec<u8>> {
    let bed = Bed::new();
    let layer = bed.write("layer.erofs", tar).ok()?;
    Some(std::fs::read(layer.path).unwrap())
}

/// Merges one image with itself.
fn merge(bed: &Bed, image: &[u8]) -> Result<(), Error> {
    let (_, file) = bed.file("layer.erofs");
    file.write_all_at(image, 0).unwrap();
    let (_, into) = bed.file("merged.erofs");
    let layers = ["a", "b"].map(|name| MergeLayer { image: &file, name });
    conex_erofs::merge(&layers, &into, &WriteOptions { max_metadata: 4 << 20, ..WriteOptions::default() })
        .map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Some bytes changed: near the superblock and in the metadata, as those of files do not matter.
    #[test]
    fn changed_images(entries in entries(12), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let Some(good) = image_of(&generated::tar(&entries)) else { return Ok(()) };
        prop_assert!(erofs(&good).is_ok());
        let metadata = metadata_start(&good);
        let places: Vec<usize> = (1024..1152).chain(metadata..good.len()).collect();
        let mut bad = good.clone();
        for (place, value) in &changes {
            bad[*place.get(&places)] = *value;
        }
        let _ = erofs(&bad);
        // Without the checksum's help.
        let mut sealed = bad.clone();
        reseal(&mut sealed);
        let bed = Bed::new();
        let _ = merge(&bed, &sealed);
        let _ = erofs(&bad[..bad.len() / 2]);
    }

    #[test]
    fn any_bytes_after_a_superblock(noise in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut image = image_of(&Writer::new(Vec::new()).finish().unwrap()).unwrap();
        let start = metadata_start(&image);
        image.truncate(start);
        image.extend(noise);
        let _ = erofs(&image);
    }
}

fn metadata_start(image: &[u8]) -> usize {
    u32::from_le_bytes(image[1024 + 40..1024 + 44].try_into().unwrap()) as usize * 512
}

/// Gives the first page the checksum that it should have.
fn reseal(image: &mut [u8]) {
    image[92..96].fill(0);
    let crc = image[..4096].iter().fold(u32::MAX, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
        crc
    });
    image[92..96].copy_from_slice(&crc.to_le_bytes());
}

/// Where an inode stands.
fn inode_of(image: &[u8], path: &[u8]) -> usize {
    let reader = Image::open(image).unwrap();
    let mut walk = reader.walk(1000);
    while let Some(visit) = walk.next().unwrap() {
        if visit.path() == path {
            return metadata_start(image) + visit.node().id().0 as usize * 32;
        }
    }
    panic!("there is no {}", String::from_utf8_lossy(path));
}

fn small() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for name in ["d/e/f", "d/g"] {
        writer.append_bytes(name, name.as_bytes()).unwrap();
    }
    let mut header = Header::new("x", Kind::File { size: 0 });
    header.xattrs.extend([(b"user.a".to_vec(), vec![b'a'; 400]), (b"user.b".to_vec(), b"b".to_vec())]);
    writer.append(&header, std::io::empty()).unwrap();
    writer.append(&Header::new("l", Kind::Symlink { target: b"d".to_vec() }), std::io::empty()).unwrap();
    image_of(&writer.finish().unwrap()).unwrap()
}

#[track_caller]
fn assert_damaged(image: &[u8], reason: &str) {
    let error = erofs(image).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains(reason), "{error}");
}

#[test]
fn directories_in_circles() {
    let mut image = small();
    assert_eq!(erofs(&image).unwrap(), 7);
    // d/e becomes d itself: the entry's node number is changed.
    let number = |at: usize| ((at - metadata_start(&image)) / 32) as u64;
    let (d, e) = (number(inode_of(&image, b"d")), number(inode_of(&image, b"d/e")));
    let start = inode_of(&image, b"d");
    let at = (start..start + 512).find(|&at| image[at..at + 8] == e.to_le_bytes()).unwrap();
    image[at..at + 8].copy_from_slice(&d.to_le_bytes());
    assert_damaged(&image, "two names");
}

#[test]
fn sizes_and_places_that_lead_out() {
    let good = small();
    let change = |path: &[u8], at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        let inode = inode_of(&good, path);
        image[inode + at..inode + at + bytes.len()].copy_from_slice(bytes);
        image
    };
    assert_damaged(&change(b"d/g", 8, &(1_u64 << 40).to_le_bytes()), "beyond the end");
    assert_damaged(&change(b"d/g", 8, &u64::MAX.to_le_bytes()), "larger than any");
    assert_damaged(&change(b"d/g", 16, &(1_u32 << 30).to_le_bytes()), "beyond the end");
    assert_damaged(&change(b"d", 8, &(1_u64 << 30).to_le_bytes()), "");
    assert_damaged(&change(b"l", 8, &5000_u64.to_le_bytes()), "too long");
    assert_damaged(&change(b"l", 8, &0_u64.to_le_bytes()), "empty");
    // Attributes: longer than the image, and a shared one that is elsewhere.
    assert_damaged(&change(b"x", 2, &u16::MAX.to_le_bytes()), "");
    assert_damaged(&change(b"x", 64 + 12, &(1_u32 << 30).to_le_bytes()), "beyond the end");
    // Compressed, of a kind that nobody knows, at a time that there is not.
    assert_damaged(&change(b"d/g", 0, &3_u16.to_le_bytes()), "compressed");
    assert_damaged(&change(b"d/g", 4, &0_u16.to_le_bytes()), "no known kind");
    assert_damaged(&change(b"d/g", 40, &u32::MAX.to_le_bytes()), "nanoseconds");
}

#[test]
fn a_merge_takes_only_what_was_written_here() {
    let bed = Bed::new();
    let refused = |image: &[u8]| match merge(&bed, image).unwrap_err() {
        Error::Merge { index: 0, source } => source.to_string(),
        other => panic!("{other}"),
    };
    let good = small();
    merge(&bed, &good).unwrap();
    let merged = std::fs::read(bed.images.path().join("merged.erofs")).unwrap();
    let mut changed = good.clone();
    changed[20] ^= 1;
    assert!(refused(&changed).contains("checksum"));
    let mut foreign = good.clone();
    foreign[..8].fill(0);
    assert!(refused(&foreign).contains("not written by conex"));
    // What was merged is no layer.
    assert!(refused(&merged).contains("no layer"));
    // A file that is not in the layer.
    let mut outside = good.clone();
    let inode = inode_of(&good, b"d/g");
    outside[inode + 16..inode + 20].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    assert!(refused(&outside).contains("beyond the end"));
}

#[test]
fn a_changed_layer_is_found() {
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes("f", b"contents").unwrap();
    let tar = writer.finish().unwrap();
    let layer = bed.write("layer.erofs", &tar).unwrap();
    let verify = || conex_erofs::verify_layer(&tar[..], &layer.file, &WriteOptions::default());
    verify().unwrap();
    let length = layer.file.metadata().unwrap().len();
    for at in [100, 1024 + 40, length - 500, length - 1] {
        let mut byte = [0];
        layer.file.read_exact_at(&mut byte, at).unwrap();
        layer.file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
        match verify().unwrap_err() {
            Error::Differs { offset } => assert!(offset <= at && at < offset + 4096, "{at}: {offset}"),
            other => panic!("{at}: {other}"),
        }
        layer.file.write_all_at(&byte, at).unwrap();
    }
    layer.file.set_len(length + 512).unwrap();
    assert!(matches!(verify(), Err(Error::Differs { .. })));
}

#[test]
fn bombs() {
    let bed = Bed::new();
    let write = |tar: &mut dyn std::io::Read, options: &WriteOptions| {
        let (_, file) = bed.file("bomb.erofs");
        conex_erofs::write_layer(tar, &file, options).map(|_| file)
    };
    // Metadata without end: names, attributes, chunks of sparse files.
    let options = WriteOptions { max_metadata: 1 << 20, ..WriteOptions::default() };
    let mut names = Writer::new(Vec::new());
    let mut xattrs = Writer::new(Vec::new());
    for number in 0..10_000 {
        names.append_bytes(&format!("{number}"), b"").unwrap();
        let mut header = Header::new("f", Kind::File { size: 0 });
        header.xattrs.push((format!("user.{number}").into(), vec![0; 300]));
        xattrs.append(&header, std::io::empty()).unwrap();
    }
    for tar in [names.finish().unwrap(), xattrs.finish().unwrap()] {
        let error = write(&mut &tar[..], &options).unwrap_err().to_string();
        assert!(error.contains("the size of its metadata"), "{error}");
        write(&mut &tar[..], &WriteOptions::default()).unwrap();
    }
    let error = write(&mut &sparse_bomb(200)[..], &options).unwrap_err().to_string();
    assert!(error.contains("the size of its metadata"), "{error}");
    // Zeros take no disk.
    let block = header_block("zeros", b'0', 1 << 30);
    let mut tar = std::io::Read::chain(&block[..], std::io::Read::take(std::io::repeat(0), (1 << 30) + 1024));
    let file = write(&mut tar, &WriteOptions::default()).unwrap();
    let stat = file.metadata().unwrap();
    let disk = std::os::unix::fs::MetadataExt::blocks(&stat) * 512;
    assert!(stat.len() > 1 << 30 && disk < 1 << 20, "{disk} bytes of disk");
    // More than the archive may be.
    let limits = Limits { max_bytes: 4096, ..Limits::default() };
    let long = std::io::Read::take(std::io::repeat(0), 1 << 20);
    let error = write(&mut { long }, &WriteOptions { limits, ..WriteOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("uncompressed size"), "{error}");
}

/// Sparse files of GNU's format 0.1, each a gigabyte with one byte in it: 65,536 chunks.
fn sparse_bomb(count: usize) -> Vec<u8> {
    let records = "22 GNU.sparse.major=0\n22 GNU.sparse.minor=1\n29 GNU.sparse.size=1073741824\n25 GNU.sparse.map=513,1\n";
    let record = |text: &str| {
        let rest = text.split_once(' ').unwrap().1;
        let length =
            (1..).find(|length: &usize| *length == rest.len() + 2 + length.to_string().len()).unwrap();
        format!("{length} {rest}\n")
    };
    let data: String = records.lines().map(record).collect();
    let mut tar = Vec::new();
    for _ in 0..count {
        tar.extend(header_block("pax", b'x', data.len() as u64));
        tar.extend(data.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
        tar.extend(header_block("f", b'0', 1));
        tar.extend([b'x'; 512]);
    }
    tar.extend([0; 1024]);
    tar
}

#[test]
fn links_that_lead_through_links_end() {
    let bed = Bed::new();
    let mut writer = Writer::new(Vec::new());
    // Each link goes twice through the one before: the last one would take 2^60 steps.
    writer.append(&Header::new("l0", Kind::Symlink { target: b".".to_vec() }), std::io::empty()).unwrap();
    for number in 1..60 {
        let target = format!("l{0}/l{0}", number - 1);
        let kind = Kind::Symlink { target: target.into_bytes() };
        writer.append(&Header::new(format!("l{number}"), kind), std::io::empty()).unwrap();
    }
    writer.append_bytes("l59/f", b"").unwrap();
    let error = bed.write("layer.erofs", &writer.finish().unwrap()).map(|layer| layer.stats).unwrap_err();
    assert!(error.to_string().contains("too many symbolic links"), "{error}");
}

#[test]
fn a_full_disk() {
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes("f", b"contents").unwrap();
    let tar = writer.finish().unwrap();
    let full = File::options().read(true).write(true).open("/dev/full").unwrap();
    let error = conex_erofs::write_layer(&tar[..], &full, &WriteOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Write { .. }) && error.to_string().contains("No space left"), "{error}");
}

#[test]
fn a_file_that_is_no_image() {
    assert!(matches!(Image::open(&b""[..]).map(drop), Err(Error::Superblock(_))));
    assert!(matches!(Image::open(&[0; 8192][..]).map(drop), Err(Error::Superblock(_))));
    let null = File::open("/dev/null").unwrap();
    assert!(matches!(Image::open(&null).map(drop), Err(Error::Superblock(_))));
    assert!(matches!(conex_erofs::tar_of(&null), Err(Error::Superblock(_))));
}

/// What fuzzing starts from and has found.
#[test]
fn the_kept_corpus() {
    let images = corpus::corpus("erofs");
    let good = images.iter().filter(|image| erofs(image).is_ok()).count();
    assert!((3..images.len()).contains(&good), "{good} of {} are good", images.len());
    let streams = corpus::corpus("tar");
    let good = streams.iter().filter(|stream| tar::tar(stream)).count();
    assert!((10..streams.len()).contains(&good), "{good} of {} are layers", streams.len());
}

#[test]
fn the_kept_corpus_unpacked() {
    if tree::is_root() {
        let streams = corpus::corpus("unpack");
        let good = streams.iter().filter(|stream| unpack::unpack(stream)).count();
        assert!((10..streams.len()).contains(&good), "{good} of {} are layers", streams.len());
    }
}
