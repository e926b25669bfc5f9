//! What `save` writes, read back by ourselves and by other people's tools, and what they write read by us.

mod bed;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use bed::{Archive, Bed, alpine, busybox, image, image_for, is_root, oci, tool};
use conex_image::{Compression, Error, Format, SaveOptions};
use conex_oci::{Platform, Reference};

const ARCHIVES: [Format; 3] = [Format::Docker, Format::OciArchive, Format::DockerArchive];

fn options(format: Format) -> SaveOptions {
    SaveOptions { format, ..SaveOptions::default() }
}

fn save(bed: &Bed, names: &[&str], options: &SaveOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    bed.store.save(names, options, &mut bytes).unwrap();
    bytes
}

fn entries(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut reader = conex_archive::Reader::new(tar, conex_archive::Limits::default());
    let mut files = BTreeMap::new();
    while let Some(mut entry) = reader.next().unwrap() {
        let path = entry.header().path_text().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    files
}

#[test]
fn every_format_comes_back_with_the_same_ids_and_names() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    for (text, name) in [("one", "one:1"), ("two", "example.org/two:2")] {
        bed.load(&oci(text, Some(name))).unwrap();
    }
    bed.store.tag("one:1", &"also/one:latest".parse().unwrap()).unwrap();
    let wanted = ["one:1", "also/one", "example.org/two:2"];
    for format in ARCHIVES {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let options = SaveOptions { compression, ..options(format) };
            let bytes = save(&bed, &wanted, &options);
            assert_eq!(bytes, save(&bed, &wanted, &options), "{format:?} differs from one time to the next");
            let back = Bed::new();
            back.load(&bytes).unwrap();
            for name in wanted {
                let (ours, theirs) =
                    (bed.store.resolve(name, None).unwrap(), back.store.resolve(name, None).unwrap());
                assert_eq!(ours.id, theirs.id, "{name} in {format:?}");
                if format != Format::DockerArchive {
                    assert_eq!(ours.manifest_digest, theirs.manifest_digest, "{name} in {format:?}");
                }
                assert_eq!(back.store.lowers(&theirs).unwrap().len(), 2);
            }
        }
    }
}

#[test]
fn dockers_format_serves_both_kinds_of_reader() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.load(&oci("one", Some("one:1"))).unwrap();
    let files = entries(&save(&bed, &["one:1"], &SaveOptions::default()));
    let image = bed.store.resolve("one:1", None).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["one:1"]));
    assert_eq!(manifest[0]["Config"], format!("blobs/sha256/{}", image.id.hex()));
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        assert!(files.contains_key(layer.as_str().unwrap()), "{layer} is not in the archive");
    }
    let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/one:1");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
    // By id: no names.
    let files = entries(&save(&bed, &[&image.id.to_string()], &SaveOptions::default()));
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert!(manifest[0]["RepoTags"].is_null());
}

#[test]
fn an_index_is_saved_whole_or_as_one_platform() {
    if !is_root() {
        return;
    }
    let mut archive = Archive::default();
    let manifests = vec![
        archive.manifest(&image("ours")),
        archive.manifest(&image_for("theirs", Platform::linux("s390x"))),
    ];
    let index = archive.index(manifests.clone());
    archive.entry(index.clone(), Some("multi:1"));
    let bed = Bed::new();
    bed.load(&archive.tar()).unwrap();
    let back = Bed::new();
    back.load(&save(&bed, &["multi:1"], &options(Format::OciArchive))).unwrap();
    assert_eq!(back.store.resolve("multi:1", None).unwrap().target.digest, index.digest);
    assert!(back.store.resolve("multi:1", Some(&Platform::linux("s390x"))).is_ok());

    let one = SaveOptions { platform: Some(Platform::linux("s390x")), ..SaveOptions::default() };
    let back = Bed::new();
    back.load(&save(&bed, &["multi:1"], &one)).unwrap();
    let image = back.store.resolve("multi:1", None).unwrap();
    assert_eq!((image.target.digest, image.platform().architecture), (manifests[1].digest, "s390x".into()));
}

#[test]
fn a_repository_without_a_tag_is_all_its_tags() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    for (text, name) in [("one", "app:1"), ("two", "app:2"), ("three", "other:1")] {
        bed.load(&oci(text, Some(name))).unwrap();
    }
    let back = Bed::new();
    let loaded = back.load(&save(&bed, &["app"], &SaveOptions::default())).unwrap();
    let mut names: Vec<String> =
        loaded.iter().flat_map(|loaded| loaded.names.iter().map(Reference::familiar)).collect();
    names.sort();
    assert_eq!(names, ["app:1", "app:2"]);
    let error = bed.store.save(&["nothing"], &SaveOptions::default(), Vec::new()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(bed.store.save(&[], &SaveOptions::default(), Vec::new()).is_err());
    assert!(bed.store.save(&["app"], &options(Format::OciDir), Vec::new()).is_err());
}

#[test]
fn a_rotten_blob_does_not_travel() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let image = bed.load(&oci("one", Some("one:1"))).unwrap().remove(0).image;
    let path = bed.store.content().path(&image.manifest.layers[0].digest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[600] ^= 1;
    fs::write(&path, bytes).unwrap();
    for format in ARCHIVES {
        let error = bed.store.save(&["one:1"], &options(format), std::io::sink()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_layout_is_joined_and_other_directories_are_left_alone() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    for (text, name) in [("one", "app:1"), ("two", "app:2")] {
        bed.load(&oci(text, Some(name))).unwrap();
    }
    let layout = bed.path("layout");
    let dir = options(Format::OciDir);
    bed.store.save_dir(&["app:1"], &dir, &layout).unwrap();
    bed.store.save_dir(&["app:2"], &dir, &layout).unwrap();
    bed.store.save_dir(&["app:2"], &dir, &layout).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let back = Bed::new();
    assert_eq!(back.load_path(&layout).unwrap().len(), 2);

    let full = bed.path("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), "x").unwrap();
    let error = bed.store.save_dir(&["app:1"], &dir, &full).unwrap_err();
    assert!(matches!(error, Error::NotALayout { .. }), "{error}");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
}

fn digest_by_skopeo(source: &str) -> Option<String> {
    tool("skopeo", &["inspect", "--format", "{{.Digest}}", source]).map(|text| text.trim().to_owned())
}

fn id_by_skopeo(source: &str) -> Option<String> {
    let raw = tool("skopeo", &["inspect", "--raw", "--config", source])?;
    Some(conex_oci::Digest::of(raw.as_bytes()).to_string())
}

/// skopeo reads what we write, in place and saved, and finds the same digests.
#[test]
fn skopeo_reads_ours() {
    let Some(alpine) = alpine() else { return };
    let bed = Bed::new();
    bed.load_path(&alpine).unwrap();
    let image = bed.store.resolve("alpine:3.20", None).unwrap();
    let root = bed.store.root().display().to_string();
    let at = |path: &Path| path.display().to_string();

    let in_place = format!("oci:{root}:docker.io/library/alpine:3.20");
    let Some(digest) = digest_by_skopeo(&in_place) else { return };
    assert_eq!(digest, image.target.digest.to_string());
    assert_eq!(id_by_skopeo(&in_place).unwrap(), image.id.to_string());

    let write = |format, file: &str| {
        let path = bed.path(file);
        bed.store.save(&["alpine:3.20"], &options(format), fs::File::create(&path).unwrap()).unwrap();
        at(&path)
    };
    let docker = write(Format::Docker, "docker.tar");
    let oci = write(Format::OciArchive, "oci.tar");
    let old = write(Format::DockerArchive, "old.tar");
    assert_eq!(id_by_skopeo(&format!("oci-archive:{docker}:3.20")).unwrap(), image.id.to_string());
    assert_eq!(
        id_by_skopeo(&format!("oci-archive:{oci}:docker.io/library/alpine:3.20")).unwrap(),
        image.id.to_string()
    );
    for archive in [&docker, &old] {
        let source = format!("docker-archive:{archive}:alpine:3.20");
        assert_eq!(id_by_skopeo(&source).unwrap(), image.id.to_string());
        let copy = at(&bed.path(&format!("{}.copy", Path::new(archive).file_name().unwrap().display())));
        tool("skopeo", &["copy", "--insecure-policy", "-q", &source, &format!("oci:{copy}:x")]);
        let back = Bed::new();
        // skopeo writes the configuration anew on the way to OCI; the layers stay what they are.
        let document = &back.load_path(Path::new(&copy)).unwrap()[0].image.document;
        assert_eq!(document.rootfs, image.document.rootfs);
    }
}

/// umoci unpacks an image out of our store in place, to what we unpack.
#[test]
fn umoci_reads_ours() {
    let Some(busybox) = busybox() else { return };
    let bed = Bed::new();
    let image = bed.load_path(&busybox).unwrap().remove(0).image;
    let bundle = bed.path("bundle");
    let source = format!("{}:docker.io/library/busybox:1.38.0-musl", bed.store.root().display());
    if tool("umoci", &["unpack", "--image", &source, &bundle.display().to_string()]).is_none() {
        return;
    }
    let (ours, theirs) = (&bed.store.lowers(&image).unwrap()[0], bundle.join("rootfs"));
    let differences =
        tool("diff", &["-r", "--no-dereference", &ours.display().to_string(), &theirs.display().to_string()]);
    assert_eq!(differences.unwrap(), "");
}

/// We read what skopeo writes, of every kind, and find the same ids.
#[test]
fn we_read_skopeos() {
    let Some(alpine) = alpine() else { return };
    let bed = Bed::new();
    let source = format!("oci-archive:{}:3.20", alpine.display());
    let Some(id) = id_by_skopeo(&source) else { return };
    for (kind, file, name, expected) in [
        ("oci-archive", "alpine.tar", "alpine:3.20", "alpine:3.20"),
        ("oci-archive", "alpine-bare.tar", "3.20", "alpine-bare:3.20"),
        ("docker-archive", "docker.tar", "alpine:3.20", "alpine:3.20"),
        ("oci", "layout", "example.org/a/b:c", "example.org/a/b:c"),
        ("oci", "thing", "latest", "thing:latest"),
    ] {
        let path = bed.path(file);
        let target = format!("{kind}:{}:{name}", path.display());
        tool("skopeo", &["copy", "--insecure-policy", "-q", &source, &target]).unwrap();
        let back = Bed::new();
        let loaded = back.load_path(&path).unwrap();
        assert_eq!(loaded[0].image.id.to_string(), id, "{target}");
        let names: Vec<String> = loaded[0].names.iter().map(Reference::familiar).collect();
        assert_eq!(names, [expected], "{target}");
        assert!(back.store.lowers(&loaded[0].image).unwrap()[0].join("bin/busybox").is_file());
    }
}

/// What umoci builds, with layers of its own making.
#[test]
fn we_read_umocis() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let layout = bed.path("layout").display().to_string();
    let image = format!("{layout}:made");
    if tool("umoci", &["init", "--layout", &layout]).is_none() {
        return;
    }
    tool("umoci", &["new", "--image", &image]);
    fs::create_dir(bed.path("files")).unwrap();
    fs::write(bed.path("files/hello"), "hello").unwrap();
    tool("umoci", &["insert", "--image", &image, &bed.path("files").display().to_string(), "/opt"]);
    let loaded = bed.load_path(&bed.path("layout")).unwrap();
    assert_eq!(loaded[0].names[0].familiar(), "layout:made");
    let lowers = bed.store.lowers(&loaded[0].image).unwrap();
    assert_eq!(fs::read_to_string(lowers[0].join("opt/hello")).unwrap(), "hello");
}
