//! Archives that were tampered with, at random but reproducibly: never a panic, never anything kept that was not whole.

mod bed;

use bed::{Archive, Bed, image, is_root};
use conex_image::{Compression, Format, SaveOptions};

/// A small generator (xorshift64): the same mutations every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = (at + random.below(1024)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.below(1024)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                // Digits are where sizes, digests and counts are.
                if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    bytes[at + digit] = b'0' + random.below(10) as u8;
                }
            }
        }
    }
}

/// What a failed load leaves is nothing; what a successful one leaves is whole.
fn check(bed: &Bed, bytes: &[u8], what: &str) {
    match bed.load(bytes) {
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 2000, "{what}: {text:?}");
            bed.assert_empty();
        }
        Ok(loaded) => {
            let mut seen = std::collections::BTreeSet::new();
            for loaded in loaded.into_iter().filter(|loaded| seen.insert(loaded.image.id)) {
                let image = bed.store.resolve(&loaded.image.id.to_string(), None).unwrap();
                assert_eq!(bed.store.lowers(&image).unwrap().len(), image.document.rootfs.diff_ids.len());
                bed.store.inspect(&image).unwrap();
                bed.store.history(&image).unwrap();
                let _ = bed.store.remove(&loaded.image.id.to_string(), true, &|_| Vec::new()).unwrap();
            }
            bed.assert_empty();
        }
    }
}

fn originals() -> Vec<Vec<u8>> {
    let bed = Bed::new();
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image("x"));
    let index = archive.index(vec![manifest.clone()]);
    archive.entry(index, Some("x:1"));
    archive.entry(manifest, Some("y:1"));
    bed.load(&archive.tar()).unwrap();
    let mut all = vec![archive.tar()];
    for (format, compression) in [
        (Format::Docker, Compression::None),
        (Format::DockerArchive, Compression::None),
        (Format::OciArchive, Compression::Gzip),
        (Format::DockerArchive, Compression::Zstd),
    ] {
        let mut bytes = Vec::new();
        let options = SaveOptions { format, compression, platform: None };
        bed.store.save(&["x:1", "y:1"], &options, &mut bytes).unwrap();
        all.push(bytes);
    }
    all
}

#[test]
fn mutated_archives_are_refused_or_whole() {
    if !is_root() {
        return;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let bed = Bed::new();
    for (number, original) in originals().iter().enumerate() {
        for round in 0..60 {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            check(&bed, &bytes, &format!("archive {number}, round {round}"));
        }
    }
}

/// The documents tampered with, and their digests mended, so that what they say is believed.
#[test]
fn lying_documents_are_refused_or_whole() {
    if !is_root() {
        return;
    }
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let bed = Bed::new();
    for round in 0..150 {
        let mut archive = Archive::default();
        let made = image("x");
        let mut config = serde_json::to_vec(&made.document).unwrap();
        if round % 3 == 0 {
            mutate(&mut config, &mut random);
        }
        let honest = archive.manifest(&made);
        let config = archive.blob("application/vnd.oci.image.config.v1+json", &config);
        let path = format!("blobs/sha256/{}", honest.digest.hex());
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&archive.files.remove(&path).unwrap()).unwrap();
        manifest["config"] = serde_json::to_value(&config).unwrap();
        let mut manifest = serde_json::to_vec(&manifest).unwrap();
        if round % 3 == 1 {
            mutate(&mut manifest, &mut random);
        }
        let manifest = archive.blob("application/vnd.oci.image.manifest.v1+json", &manifest);
        archive.entry(manifest, Some("x:1"));
        let mut files = archive.all();
        if round % 3 == 2 {
            mutate(files.get_mut("index.json").unwrap(), &mut random);
        }
        check(&bed, &bed::tar(&files), &format!("round {round}"));
    }
}

/// Small archives that would be a lot of work for whoever believed them.
#[test]
fn bombs_are_cheap() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image("x"));
    // An index of a thousand times the same index of a thousand times the same manifest.
    let inner = archive.index(vec![manifest.clone(); 1000]);
    let outer = archive.index(vec![inner; 1000]);
    let outermost = archive.index(vec![outer; 1000]);
    archive.entry(outermost, Some("x:1"));
    bed.load(&archive.tar()).unwrap();
    assert_eq!(bed.store.list(&conex_image::Filter::default()).unwrap().len(), 1);
    let mut saved = Vec::new();
    let options = SaveOptions { format: Format::OciArchive, ..SaveOptions::default() };
    bed.store.save(&["x:1"], &options, &mut saved).unwrap();
    let layout = bed.path("layout");
    bed.store.save_dir(&["x:1"], &options, &layout).unwrap();
    bed.load_path(&layout).unwrap();
    bed.store.remove("x:1", false, &|_| Vec::new()).unwrap();
    bed.assert_empty();

    // More names and images than anybody has.
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image("x"));
    for number in 0..5000 {
        archive.entry(manifest.clone(), Some(&format!("x:{number}")));
    }
    assert!(bed.load(&archive.tar()).unwrap_err().to_string().contains("too many images"));
    bed.assert_empty();
    // More layers than can be stacked.
    let mut tall = image("x");
    tall.layers = vec![tall.layers[0].clone(); 200];
    tall.document.rootfs.diff_ids = vec![tall.document.rootfs.diff_ids[0]; 200];
    let mut archive = Archive::default();
    let manifest = archive.manifest(&tall);
    archive.entry(manifest, Some("x:1"));
    assert!(bed.load(&archive.tar()).unwrap_err().to_string().contains("too many layers"));
    bed.assert_empty();
}

/// A docker-archive whose layer is a hole of a terabyte.
#[test]
fn a_sparse_bomb_is_refused() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    // GNU.sparse.* in PAX, version 0.1: one empty segment at the end of a file of 2^40 bytes.
    let records: String = [
        "GNU.sparse.major=0",
        "GNU.sparse.minor=1",
        "GNU.sparse.name=l/layer.tar",
        "GNU.sparse.size=1099511627776",
        "GNU.sparse.numblocks=1",
        "GNU.sparse.map=1099511627776,0",
    ]
    .iter()
    .map(|record| {
        let length = record.len() + 4;
        format!("{length} {record}\n")
    })
    .collect();
    let mut tar = header("PaxHeaders/x", b'x', records.len());
    tar.extend_from_slice(records.as_bytes());
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend(header("l/layer.tar", b'0', 0));
    tar.extend([0; 1024]);
    let error = bed.load(&tar).unwrap_err().to_string();
    assert!(error.contains("sparse") || error.contains("limit"), "{error}");
    bed.assert_empty();
}

fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}
