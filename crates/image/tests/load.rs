//! What `load` takes, and what it refuses.

mod bed;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use bed::{Archive, Bed, alpine, busybox, image, image_for, is_root, layer, oci, tar};
use conex_archive::{Compression, Compressor};
use conex_image::{Error, LoadOptions, LoadRefusal, Silent, Source};
use conex_oci::{DiffId, Digest, Platform, Reference, media_type};

const ALPINE_AMD64_LAYER: &str = "bin/busybox";

fn compressed(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut compressor = Compressor::new(Vec::new(), compression).unwrap();
    compressor.write_all(bytes).unwrap();
    compressor.finish().unwrap()
}

fn names(loaded: &[conex_image::Loaded]) -> Vec<String> {
    loaded.iter().flat_map(|loaded| loaded.names.iter().map(Reference::familiar)).collect()
}

#[test]
fn real_images_load_in_every_compression() {
    let (Some(alpine), Some(busybox)) = (alpine(), busybox()) else { return };
    let bed = Bed::new();
    let loaded = bed.load_path(&alpine).unwrap();
    assert_eq!(names(&loaded), ["alpine:3.20"]);
    let image = bed.store.resolve("alpine:3.20", None).unwrap();
    assert_eq!(image.platform().architecture, Platform::host().architecture);
    let lowers = bed.store.lowers(&image).unwrap();
    assert!(lowers.len() == 1 && lowers[0].join(ALPINE_AMD64_LAYER).is_file());
    // The whole index is kept; the other platform's layers are unpacked when they are wanted.
    let arm = bed.store.resolve("alpine:3.20", Some(&"linux/arm64".parse().unwrap())).unwrap();
    assert_ne!(arm.id, image.id);
    assert_eq!(bed.store.layers().list().unwrap().len(), 1);
    assert!(bed.store.lowers(&arm).unwrap()[0].join("bin/busybox").is_file());

    let bytes = fs::read(&busybox).unwrap();
    let id = bed.load_path(&busybox).unwrap()[0].image.id;
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let bed = Bed::new();
        let loaded = bed.load(&compressed(&bytes, compression)).unwrap();
        assert_eq!((names(&loaded), loaded[0].image.id), (vec!["busybox:1.38.0-musl".to_owned()], id));
    }
}

#[test]
fn a_layout_in_a_directory_loads() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image("a"));
    archive.entry(manifest.clone(), None);
    let bed = Bed::new();
    let layout = bed.path("thing");
    for (name, bytes) in archive.all() {
        fs::create_dir_all(layout.join(&name).parent().unwrap()).unwrap();
        fs::write(layout.join(&name), bytes).unwrap();
    }
    let loaded = bed.load_path(&layout).unwrap();
    assert!(loaded[0].names.is_empty());
    let id = loaded[0].image.id.to_string();
    assert_eq!(bed.store.resolve(&id, None).unwrap().manifest_digest, manifest.digest);

    // A stranger's directory: a link out of it and a fifo are no blobs.
    let blob = layout.join("blobs/sha256").join(loaded[0].image.id.hex());
    let bed = Bed::new();
    let secret = bed.path("secret");
    fs::rename(&blob, &secret).unwrap();
    std::os::unix::fs::symlink(&secret, &blob).unwrap();
    bed.load_path(&layout).unwrap_err();
    bed.assert_empty();
    fs::remove_file(&blob).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &blob, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = bed.load_path(&layout).unwrap_err();
    assert!(matches!(error, Error::Load { why: LoadRefusal::NotAFile { .. }, .. }), "{error}");
    bed.assert_empty();
    let error = bed.load_path(bed.directory.path()).unwrap_err();
    assert!(matches!(error, Error::Load { why: LoadRefusal::NotAnArchive, .. }), "{error}");
}

/// A docker-archive with two images, layers shared through links as `docker save` of old wrote them.
fn docker_archive() -> (Vec<u8>, Digest) {
    let made = image("docker");
    let config = serde_json::to_vec(&made.document).unwrap();
    let id = Digest::of(&config);
    let mut writer = conex_archive::Writer::new(Vec::new());
    writer.append_directory("l0").unwrap();
    writer.append_bytes("l0/VERSION", b"1.0").unwrap();
    writer.append_bytes("l0/json", b"{}").unwrap();
    writer.append_bytes("l0/layer.tar", &made.layers[0]).unwrap();
    let link = conex_archive::Kind::Symlink { target: b"../l0/layer.tar".to_vec() };
    writer.append(&conex_archive::Header::new("l1/layer.tar", link), std::io::empty()).unwrap();
    writer.append_bytes("l2/layer.tar", &made.layers[1]).unwrap();
    writer.append_bytes(&format!("{}.json", id.hex()), &config).unwrap();
    let manifest = format!(
        r#"[{{"Config":"{0}.json","RepoTags":["docker.example/app:1","app:2"],"Layers":["l1/layer.tar","l2/layer.tar"]}},
            {{"Config":"{0}.json","RepoTags":null,"Layers":["l0/layer.tar","l2/layer.tar"]}}]"#,
        id.hex()
    );
    writer.append_bytes("manifest.json", manifest.as_bytes()).unwrap();
    writer.append_bytes("repositories", b"{}").unwrap();
    (writer.finish().unwrap(), id)
}

#[test]
fn a_docker_archive_keeps_its_id() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let (archive, id) = docker_archive();
    let loaded = bed.load(&archive).unwrap();
    assert_eq!(names(&loaded), ["docker.example/app:1", "app:2"]);
    let image = bed.store.resolve("app:2", None).unwrap();
    assert_eq!(image.id, id);
    assert_eq!(fs::read(bed.store.content().path(&id)).unwrap().len() as u64, image.manifest.config.size);
    let lowers = bed.store.lowers(&image).unwrap();
    assert_eq!(fs::read_to_string(lowers[1].join("file")).unwrap(), "docker");
}

#[test]
fn both_kinds_in_one_archive_are_one_image() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let made = image("both");
    let manifest = archive.manifest(&made);
    archive.entry(manifest, Some("docker.io/library/both:1"));
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let item = serde_json::json!([{
        "Config": path(&serde_json::to_vec(&made.document).unwrap()),
        "RepoTags": ["both:1", "both:2"],
        "Layers": [path(&made.layers[0]), path(&made.layers[1])],
    }]);
    let mut files = archive.all();
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&item).unwrap());
    let bed = Bed::new();
    let loaded = bed.load(&tar(&files)).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(names(&loaded), ["both:1", "both:2"]);
    // The same without index.json is a docker-archive over blobs.
    files.remove("index.json");
    let bed = Bed::new();
    let again = bed.load(&tar(&files)).unwrap();
    assert_eq!(again[0].image.id, loaded[0].image.id);
}

#[test]
fn missing_platforms_are_tolerated_and_missing_blobs_named() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let ours = archive.manifest(&image("ours"));
    let theirs = archive.manifest(&image_for("theirs", Platform::linux("s390x")));
    let index = archive.index(vec![theirs.clone(), ours.clone()]);
    archive.entry(index.clone(), Some("multi:1"));
    archive.files.remove(&format!("blobs/sha256/{}", theirs.digest.hex()));
    let bed = Bed::new();
    bed.load(&archive.tar()).unwrap();
    let image = bed.store.resolve("multi:1", None).unwrap();
    assert_eq!((image.manifest_digest, image.target.digest), (ours.digest, index.digest));
    let error = bed.store.resolve("multi:1", Some(&Platform::linux("s390x"))).unwrap_err().to_string();
    assert!(error.contains("s390x") && error.contains(&Platform::host().to_string()), "{error}");

    let missing = image.manifest.layers[0].digest;
    archive.files.remove(&format!("blobs/sha256/{}", missing.hex()));
    let bed = Bed::new();
    let error = bed.load(&archive.tar()).unwrap_err().to_string();
    assert!(error.contains(&missing.to_string()) && error.contains("missing"), "{error}");
    bed.assert_empty();

    let mut empty = Archive::default();
    empty.entry(ours.clone(), Some("multi:1"));
    let error = bed.load(&empty.tar()).unwrap_err().to_string();
    assert!(error.contains(&ours.digest.to_string()), "{error}");
    assert!(bed.load(&Archive::default().tar()).unwrap_err().to_string().contains("holds no image"));
    bed.assert_empty();
}

#[test]
fn the_only_platform_loads_and_several_platforms_may_stand_bare() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let other = archive.manifest(&image_for("other", Platform::linux("s390x")));
    archive.entry(other.clone(), Some("other:1"));
    let bed = Bed::new();
    bed.load(&archive.tar()).unwrap();
    assert_eq!(bed.store.resolve("other:1", None).unwrap().platform().architecture, "s390x");

    let mut archive = Archive::default();
    for made in [image_for("other", Platform::linux("s390x")), image("ours")] {
        let manifest = archive.manifest(&made);
        archive.entry(manifest, None);
    }
    let loaded = bed.load(&archive.tar()).unwrap();
    assert_eq!(loaded.len(), 1, "an index without a name is one image");
    assert_eq!(loaded[0].image.platform().architecture, Platform::host().architecture);
}

#[test]
fn forged_content_is_refused_and_nothing_is_kept() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let good = {
        let mut archive = Archive::default();
        let manifest = archive.manifest(&image("x"));
        archive.entry(manifest, Some("x:1"));
        archive
    };
    // A blob that is not what its name says.
    for path in good.files.keys() {
        let mut forged = good.clone();
        forged.files.get_mut(path).unwrap()[0] ^= 1;
        let error = bed.load(&forged.tar()).unwrap_err();
        assert!(matches!(error, Error::Load { why: LoadRefusal::Forged { .. }, .. }), "{error}");
        bed.assert_empty();
    }
    // A layer that is not what the configuration says.
    let mut lying = image("x");
    lying.document.rootfs.diff_ids[1] = DiffId(Digest::of(b"another"));
    let mut archive = Archive::default();
    let manifest = archive.manifest(&lying);
    archive.entry(manifest, Some("x:1"));
    let error = bed.load(&archive.tar()).unwrap_err();
    assert!(matches!(error, Error::Layers(_)), "{error}");
    assert!(!error.to_string().contains('\n'));
    bed.assert_empty();
    // A manifest and a configuration that disagree.
    lying.document.rootfs.diff_ids.pop();
    let mut archive = Archive::default();
    let manifest = archive.manifest(&lying);
    archive.entry(manifest, Some("x:1"));
    assert!(matches!(bed.load(&archive.tar()).unwrap_err(), Error::LayerCount { blobs: 2, layers: 1, .. }));
    bed.assert_empty();
    // A descriptor that lies about a size.
    let mut archive = good.clone();
    archive.entries[0].size += 1;
    bed.load(&archive.tar()).unwrap_err();
    bed.assert_empty();
    // A blob that came before is not taken back by a later failure.
    bed.load(&good.tar()).unwrap();
    let mut forged = good.clone();
    forged.files.values_mut().next().unwrap()[0] ^= 1;
    bed.load(&forged.tar()).unwrap_err();
    let image = bed.store.resolve("x:1", None).unwrap();
    assert_eq!(bed.store.lowers(&image).unwrap().len(), 2);
}

#[test]
fn hostile_entries_are_refused_or_passed_over() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    for path in ["../evil", "/etc/evil", "blobs/../../evil"] {
        let files = BTreeMap::from([(path.to_owned(), b"x".to_vec())]);
        let error = bed.load(&tar(&files)).unwrap_err();
        assert!(matches!(error, Error::Load { why: LoadRefusal::Path { .. }, .. }), "{path}: {error}");
        bed.assert_empty();
    }
    let huge = BTreeMap::from([("index.json".to_owned(), vec![b' '; 5 << 20])]);
    let error = bed.load(&tar(&huge)).unwrap_err();
    assert!(matches!(error, Error::Load { why: LoadRefusal::TooLarge { .. }, .. }), "{error}");
    let garbage = BTreeMap::from([("index.json".to_owned(), b"{\"manifests\":[[".to_vec())]);
    assert!(matches!(
        bed.load(&tar(&garbage)).unwrap_err(),
        Error::Load { why: LoadRefusal::Malformed { .. }, .. }
    ));
    for archive in [&b""[..], b"not a tar", &[0; 10240], &layer(&[("etc/passwd", "x")])] {
        let error = bed.load(archive).unwrap_err().to_string();
        assert!(error.starts_with("cannot load stdin: ") && !error.contains('\n'), "{error}");
        bed.assert_empty();
    }
    // Files that no image needs do not stay, under whatever name.
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image("x"));
    archive.entry(manifest, Some("x:1"));
    archive.blob(media_type::LAYER, b"needed by nobody");
    archive.files.insert("blobs/sha256/README".to_owned(), b"odd".to_vec());
    archive.files.insert("some/other.file".to_owned(), b"odd".to_vec());
    bed.load(&archive.tar()).unwrap();
    assert_eq!(bed.store.content().blobs().unwrap().len(), 4);
    let escape = br#"[{"Config":"../../../etc/passwd","RepoTags":["x"],"Layers":[]}]"#;
    let files = BTreeMap::from([("manifest.json".to_owned(), escape.to_vec())]);
    let error = bed.load(&tar(&files)).unwrap_err();
    assert!(matches!(error, Error::Load { why: LoadRefusal::MissingFile { .. }, .. }), "{error}");
}

#[test]
fn a_name_may_be_given_for_one_image() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let load = |archive: &[u8]| {
        let options = LoadOptions { name: Some("mine:1".parse().unwrap()), platform: None };
        let source = Source::Stream { reader: Box::new(archive), name: "stdin".to_owned() };
        bed.store.load(source, &options, &Silent)
    };
    assert_eq!(names(&load(&oci("x", Some("theirs:1"))).unwrap()), ["mine:1"]);
    assert!(bed.store.resolve("theirs:1", None).is_err());
    let mut two = Archive::default();
    for text in ["a", "b"] {
        let manifest = two.manifest(&image(text));
        two.entry(manifest, Some(text));
    }
    assert!(load(&two.tar()).unwrap_err().to_string().contains("2 images"));
}

#[test]
fn loading_again_changes_nothing_and_loading_anew_leaves_the_old_one_nameless() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let first = bed.load(&oci("one", Some("x:1"))).unwrap().remove(0).image;
    bed.load(&oci("one", Some("x:1"))).unwrap();
    bed.load(&oci("one", None)).unwrap();
    assert_eq!(bed.store.content().roots().unwrap().len(), 1);
    bed.load(&oci("two", Some("x:1"))).unwrap();
    assert_ne!(bed.store.resolve("x:1", None).unwrap().id, first.id);
    let old = bed.store.resolve(&first.id.hex()[..12], None).unwrap();
    assert_eq!(old.id, first.id);
    assert!(old.references.is_empty());
    assert_eq!(bed.store.lowers(&old).unwrap().len(), 2);
}

#[test]
fn the_built_in_image_comes_once() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let archive = oci("hello", Some("hello:latest"));
    let first = bed.store.import_builtin(&archive).unwrap();
    let blob = bed.store.content().path(&first[0].id);
    let before = fs::metadata(&blob).unwrap().modified().unwrap();
    let second = bed.store.import_builtin(&archive).unwrap();
    assert_eq!(first[0].id, second[0].id);
    assert_eq!(fs::metadata(&blob).unwrap().modified().unwrap(), before, "it was written a second time");
    assert_eq!(bed.store.resolve("hello", None).unwrap().id, first[0].id);
}
