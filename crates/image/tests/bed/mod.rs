//! What the tests of images share: a store that goes with the test, real archives, made-up ones, and other people's tools.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_archive::{Header, Kind, Writer};
use conex_image::{LoadOptions, Loaded, Silent, Source, Store};
use conex_oci::image::{History, ImageDocument, ImageIndex, ImageLayout, ImageManifest};
use conex_oci::{Descriptor, DiffId, Digest, Platform, media_type};

/// A store in a temporary ROOT.
pub(crate) struct Bed {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("root")).unwrap();
        Self { directory, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn load(&self, archive: &[u8]) -> conex_image::Result<Vec<Loaded>> {
        let source = Source::Stream { reader: Box::new(archive), name: "stdin".to_owned() };
        self.store.load(source, &LoadOptions::default(), &Silent)
    }

    pub(crate) fn load_path(&self, path: &Path) -> conex_image::Result<Vec<Loaded>> {
        self.store.load(Source::Path(path), &LoadOptions::default(), &Silent)
    }

    /// That nothing at all is in the store.
    pub(crate) fn assert_empty(&self) {
        let content = self.store.content();
        assert_eq!(content.blobs().unwrap(), [], "blobs were kept");
        assert_eq!(content.roots().unwrap(), [], "references were kept");
        assert_eq!(self.store.layers().list().unwrap(), [], "layers were kept");
        assert_eq!(
            std::fs::read_dir(content.root().join("tmp")).unwrap().count(),
            0,
            "temporary files were kept"
        );
        assert!(!content.root().join("layers/.partial").exists(), "a half-made layer was kept");
    }
}

/// Tests that unpack need root: layers hold files of many owners.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// A real archive: in `CONEX_TEST_IMAGES`, or `shared/images` beside a directory above.
pub(crate) fn fixture(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("CONEX_TEST_IMAGES").map(PathBuf::from);
    let above =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|directory| directory.join("shared/images"));
    let found =
        given.into_iter().chain(above).map(|directory| directory.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: no {name} (name its directory in CONEX_TEST_IMAGES)");
    }
    found
}

pub(crate) fn alpine() -> Option<PathBuf> {
    fixture("alpine-3.20.oci.tar").filter(|_| is_root())
}

pub(crate) fn busybox() -> Option<PathBuf> {
    fixture("busybox-1.38-musl.oci.tar").filter(|_| is_root())
}

/// Runs a tool to its end and gives what it printed; `None` when it is not installed.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A layer's tar with files of these names and contents.
pub(crate) fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (name, contents) in files {
        tar.append_bytes(name, contents.as_bytes()).unwrap();
    }
    tar.finish().unwrap()
}

/// A made-up image: its configuration, its layers.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) document: ImageDocument,
    pub(crate) layers: Vec<Vec<u8>>,
}

pub(crate) fn image(text: &str) -> Made {
    image_for(text, Platform::host())
}

pub(crate) fn image_for(text: &str, platform: Platform) -> Made {
    let layers = vec![layer(&[("base", "shared by all")]), layer(&[("file", text)])];
    let mut document = ImageDocument {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        created: Some("2024-01-02T03:04:05Z".to_owned()),
        ..ImageDocument::default()
    };
    document.rootfs.diff_ids = layers.iter().map(|layer| DiffId(Digest::of(layer))).collect();
    document.config.labels.insert("text".to_owned(), text.to_owned());
    document.config.cmd = Some(vec!["/bin/true".to_owned()]);
    let step = |by: &str, empty_layer| History {
        created: document.created.clone(),
        created_by: Some(by.to_owned()),
        empty_layer,
        ..History::default()
    };
    document.history = vec![step("ADD base", false), step("CMD true", true), step("COPY file", false)];
    Made { document, layers }
}

/// An archive in the making.
#[derive(Clone, Default)]
pub(crate) struct Archive {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) entries: Vec<Descriptor>,
}

impl Archive {
    pub(crate) fn blob(&mut self, kind: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        self.files.insert(format!("blobs/sha256/{}", digest.hex()), bytes.to_vec());
        Descriptor::new(kind, digest, bytes.len() as u64)
    }

    pub(crate) fn json(&mut self, kind: &str, value: &impl serde::Serialize) -> Descriptor {
        self.blob(kind, &serde_json::to_vec(value).unwrap())
    }

    pub(crate) fn manifest(&mut self, made: &Made) -> Descriptor {
        let config = self.json(media_type::CONFIG, &made.document);
        let layers = made.layers.iter().map(|layer| self.blob(media_type::LAYER, layer)).collect();
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: None,
        };
        let platform = Platform {
            variant: made.document.variant.clone(),
            os: made.document.os.clone(),
            ..Platform::linux(&made.document.architecture)
        };
        Descriptor { platform: Some(platform), ..self.json(media_type::MANIFEST, &manifest) }
    }

    pub(crate) fn index(&mut self, manifests: Vec<Descriptor>) -> Descriptor {
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests,
            annotations: None,
        };
        self.json(media_type::INDEX, &index)
    }

    /// Adds an entry to index.json, called `name`.
    pub(crate) fn entry(&mut self, target: Descriptor, name: Option<&str>) {
        let annotations =
            name.map(|name| BTreeMap::from([("io.containerd.image.name".to_owned(), name.to_owned())]));
        self.entries.push(Descriptor { annotations, ..target });
    }

    /// All files, with index.json and oci-layout.
    pub(crate) fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let index = ImageIndex {
            schema_version: 2,
            media_type: None,
            manifests: self.entries.clone(),
            annotations: None,
        };
        let mut files = self.files.clone();
        files.insert("index.json".to_owned(), serde_json::to_vec(&index).unwrap());
        files.insert("oci-layout".to_owned(), serde_json::to_vec(&ImageLayout::default()).unwrap());
        files
    }

    pub(crate) fn tar(&self) -> Vec<u8> {
        tar(&self.all())
    }
}

pub(crate) fn tar(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (name, bytes) in files {
        let header = Header::new(name.as_bytes(), Kind::File { size: bytes.len() as u64 });
        tar.append(&header, &bytes[..]).unwrap();
    }
    tar.finish().unwrap()
}

/// An OCI archive of one image.
pub(crate) fn oci(text: &str, name: Option<&str>) -> Vec<u8> {
    let mut archive = Archive::default();
    let manifest = archive.manifest(&image(text));
    archive.entry(manifest, name);
    archive.tar()
}

/// An OCI archive of one image of so many layers: each has a file of its own and one that all have.
pub(crate) fn stacked(layers: usize) -> Vec<u8> {
    let mut made = image("stacked");
    made.layers = (0..layers)
        .map(|number| {
            let (name, contents) = (format!("file{number}"), format!("layer {number}"));
            layer(&[(&name, &contents), ("same", &format!("of layer {number}"))])
        })
        .collect();
    made.document.rootfs.diff_ids = made.layers.iter().map(|layer| DiffId(Digest::of(layer))).collect();
    made.document.history.clear();
    let mut archive = Archive::default();
    let manifest = archive.manifest(&made);
    archive.entry(manifest, None);
    archive.tar()
}
