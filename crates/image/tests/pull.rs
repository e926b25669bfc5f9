//! Pull: from Debian's `docker-registry`, and from a registry that lies. As root: layers keep their owners.

#![allow(missing_docs)]

#[path = "../../registry/tests/server/mod.rs"]
mod server;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use conex_image::{Error, Progress, Refusal, Silent, State, Store};
use conex_oci::{Descriptor, DiffId, Digest, Platform, Reference, media_type};
use conex_registry::{Client, Options};
use conex_tests::{Registry, archive, needs_root, skip};
use serde_json::json;
use server::{Reply, Server};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// Remembers what it was told.
#[derive(Default)]
struct Listener {
    states: Mutex<Vec<(Digest, State)>>,
    messages: Mutex<Vec<String>>,
}

impl Progress for Listener {
    fn layer(&self, layer: &Digest, state: State, _bytes: u64, _total: Option<u64>) {
        self.states.lock().unwrap().push((*layer, state));
    }
    fn message(&self, text: &str) {
        self.messages.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn a_real_image_from_a_real_registry() {
    needs_root!();
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    registry.fill(&alpine, "library/alpine:3.20");
    let (_directory, store) = store();
    let reference: Reference = format!("{}/library/alpine:3.20", registry.address()).parse().unwrap();
    let listener = Listener::default();

    let first = store.pull(&reference, None, &listener).unwrap();
    assert!(first.updated);
    assert_eq!(first.image.platform(), Platform::host());
    assert_eq!(*listener.messages.lock().unwrap(), ["3.20: Pulling from library/alpine"]);
    let layer = first.image.manifest.layers[0].digest;
    let states = listener.states.lock().unwrap().clone();
    assert!(
        states.contains(&(layer, State::Downloading)) && states.contains(&(layer, State::Done)),
        "{states:?}"
    );
    let lowers = store.lowers(&first.image).unwrap();
    assert!(lowers[0].join("etc/alpine-release").is_file());

    let again = store.pull(&reference, None, &Silent).unwrap();
    assert!(!again.updated);
    assert_eq!((again.digest, &again.image), (first.digest, &first.image));
    assert_eq!(store.resolve(&reference.to_string(), None).unwrap(), first.image);

    // The other platform of the same index comes beside it, not in its place.
    let arm = Platform::linux("arm64");
    let other = store.pull(&reference, Some(&arm), &Silent).unwrap();
    assert_eq!((other.digest, other.image.platform().architecture.as_str()), (first.digest, "arm64"));
    assert_eq!(store.resolve(&reference.to_string(), None).unwrap(), first.image);
    assert_eq!(store.resolve(&reference.to_string(), Some(&arm)).unwrap().id, other.image.id);

    let error = store.pull(&reference, Some(&Platform::linux("s390x")), &Silent).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no image for linux/s390x (it has: linux/amd64, linux/arm64"), "{text}");
}

#[test]
fn by_digest_and_under_a_moved_tag() {
    needs_root!();
    let (Some(alpine), Some(busybox)) =
        (archive("alpine-3.20.oci.tar"), archive("busybox-1.38-musl.oci.tar"))
    else {
        skip!("no images (CONEX_TEST_IMAGES)")
    };
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    let (_directory, store) = store();
    let reference: Reference = format!("{}/some/thing:latest", registry.address()).parse().unwrap();
    registry.fill(&alpine, "some/thing:latest");
    let first = store.pull(&reference, None, &Silent).unwrap();
    registry.fill(&busybox, "some/thing:latest");
    let second = store.pull(&reference, None, &Silent).unwrap();
    assert!(second.updated && second.digest != first.digest && second.image.id != first.image.id);

    // What the tag meant before is still there by digest.
    let old = reference.with_digest(first.digest);
    let pulled = store.pull(&old, None, &Silent).unwrap();
    assert_eq!(pulled.image.id, first.image.id);
    assert_eq!(store.resolve(&old.to_string(), None).unwrap().id, first.image.id);
    assert_eq!(store.resolve(&reference.to_string(), None).unwrap().id, second.image.id);
}

#[test]
fn many_pulls_of_one_image_at_once() {
    needs_root!();
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    registry.fill(&alpine, "alpine:3.20");
    let (directory, _) = store();
    let reference: Reference = format!("{}/alpine:3.20", registry.address()).parse().unwrap();
    let pulls: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| {
                scope
                    .spawn(|| Store::open(directory.path()).unwrap().pull(&reference, None, &Silent).unwrap())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(pulls.iter().filter(|pulled| pulled.updated).count(), 1);
    assert!(pulls.iter().all(|pulled| pulled.image.id == pulls[0].image.id));
    assert_eq!(std::fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0, "temporary files stay");
}

/// A registry that serves `documents` by path, and how often it was asked does not matter.
struct Fake {
    documents: HashMap<String, (String, Vec<u8>)>,
}

impl Fake {
    fn new() -> Self {
        Self { documents: HashMap::new() }
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64);
        self.documents
            .insert(format!("/v2/a/blobs/{}", descriptor.digest), (media_type.to_owned(), bytes.to_vec()));
        descriptor
    }

    fn manifest(&mut self, names: &[&str], media_type: &str, document: &serde_json::Value) -> Descriptor {
        let bytes = serde_json::to_vec(document).unwrap();
        let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
        let digest = descriptor.digest.to_string();
        for name in names.iter().copied().chain([digest.as_str()]) {
            self.documents.insert(format!("/v2/a/manifests/{name}"), (media_type.to_owned(), bytes.clone()));
        }
        descriptor
    }

    fn image(&mut self, layers: &[Descriptor], diff_ids: &[DiffId]) -> Descriptor {
        let config = json!({"architecture": Platform::host().architecture, "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.blob(media_type::CONFIG, &serde_json::to_vec(&config).unwrap());
        self.manifest(
            &["t"],
            media_type::MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers}),
        )
    }

    fn serve(self) -> Server {
        Server::start(move |asked| match self.documents.get(&asked.path) {
            Some((kind, bytes)) => Reply::status(200).header("Content-Type", kind).body(bytes.clone()),
            None => Reply::status(404),
        })
    }
}

/// Pulls `a:t`, expecting that it is refused and that nothing got a name.
fn refused(fake: Fake) -> Error {
    let server = fake.serve();
    let (_directory, store) = store();
    let client =
        Client::new(Options { attempts: 1, backoff: Duration::from_millis(1), ..Options::default() });
    let reference = format!("{}/a:t", server.address()).parse().unwrap();
    let error = store.pull_with(&client, &reference, None, &Silent).unwrap_err();
    assert!(store.content().roots().unwrap().is_empty(), "a refused image has got a name");
    let kept = |path: &str| std::fs::read_dir(store.root().join(path)).map_or(0, Iterator::count);
    let left = ["blobs/sha256", "tmp", "layers"].map(kept);
    assert_eq!(left, [0, 0, 0], "something of a refused image is kept: {error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

fn why(error: Error) -> Refusal {
    match error {
        Error::Pull { why, .. } => *why,
        other => panic!("{other}"),
    }
}

/// An empty tar.
const TAR: [u8; 1024] = [0; 1024];

#[test]
fn an_image_of_our_own_making_pulls() {
    needs_root!();
    let mut fake = Fake::new();
    let layer = fake.blob(media_type::LAYER, &TAR);
    fake.image(&[layer], &[DiffId(Digest::of(&TAR))]);
    let server = fake.serve();
    let (_directory, store) = store();
    let reference = format!("{}/a:t", server.address()).parse().unwrap();
    assert!(store.pull(&reference, None, &Silent).unwrap().updated);
}

#[test]
fn a_layer_with_other_bytes_is_refused() {
    let mut fake = Fake::new();
    let layer = fake.blob(media_type::LAYER, &TAR);
    fake.image(std::slice::from_ref(&layer), &[DiffId(Digest::of(&TAR))]);
    let path = format!("/v2/a/blobs/{}", layer.digest);
    fake.documents.insert(path, (String::new(), vec![1; TAR.len()]));
    assert!(matches!(why(refused(fake)), Refusal::Corrupt { digest, .. } if digest == layer.digest));
}

#[test]
fn a_layer_that_unpacks_to_another_diff_id_is_refused() {
    let mut fake = Fake::new();
    let layer = fake.blob(media_type::LAYER, &TAR);
    fake.image(&[layer], &[DiffId(Digest::of(b"something else"))]);
    assert!(matches!(refused(fake), Error::Layers(_)));
}

#[test]
fn a_missing_or_uncounted_layer_is_refused() {
    let mut fake = Fake::new();
    let absent = Descriptor::new(media_type::LAYER, Digest::of(b"absent"), 6);
    fake.image(&[absent], &[DiffId(Digest::of(b"absent"))]);
    assert!(matches!(refused(fake), Error::Registry(conex_registry::Error::NotFound { .. })));

    let mut fake = Fake::new();
    let layer = fake.blob(media_type::LAYER, &TAR);
    fake.image(&[layer], &[]);
    assert!(matches!(refused(fake), Error::LayerCount { blobs: 1, layers: 0, .. }));
}

#[test]
fn foreign_layers_and_other_artifacts_are_refused() {
    let mut fake = Fake::new();
    let mut layer = fake.blob(media_type::LAYER, &TAR);
    layer.urls = Some(vec!["https://vendor.example/layer".to_owned()]);
    fake.image(&[layer], &[DiffId(Digest::of(&TAR))]);
    assert!(matches!(why(refused(fake)), Refusal::Foreign { .. }));

    let mut fake = Fake::new();
    let chart = fake.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &TAR);
    fake.image(&[chart], &[DiffId(Digest::of(&TAR))]);
    assert!(matches!(why(refused(fake)), Refusal::LayerType { .. }));

    let mut fake = Fake::new();
    let config = fake.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
    fake.manifest(&["t"], media_type::MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}));
    assert!(matches!(refused(fake), Error::NotAnImage { .. }));
}

#[test]
fn bombs_of_documents_are_refused() {
    let mut fake = Fake::new();
    let layer = fake.blob(media_type::LAYER, &TAR);
    fake.image(&vec![layer; 1000], &[]);
    assert!(matches!(why(refused(fake)), Refusal::TooManyLayers { count: 1000, .. }));

    // A configuration that says it is huge is not even asked for.
    let mut fake = Fake::new();
    let config = Descriptor::new(media_type::CONFIG, Digest::of(b""), u64::MAX);
    fake.manifest(&["t"], media_type::MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}));
    assert!(matches!(why(refused(fake)), Refusal::TooLarge { size: u64::MAX, .. }));

    // Indexes within indexes.
    let mut fake = Fake::new();
    let mut child = Descriptor::new(media_type::INDEX, Digest::of(b"end"), 1);
    for _ in 0..10 {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [child]});
        child = fake.manifest(&["t"], media_type::INDEX, &index);
    }
    assert!(matches!(why(refused(fake)), Refusal::Nested));

    // An index that lists itself cannot be made; one whose promise is a lie can.
    let mut fake = Fake::new();
    let liar = Descriptor::new(media_type::INDEX, Digest::of(b"x"), 1);
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [liar]});
    fake.manifest(&["t", &Digest::of(b"x").to_string()], media_type::INDEX, &index);
    assert!(matches!(refused(fake), Error::Registry(conex_registry::Error::Digest { .. })));
}

#[test]
fn an_index_for_other_platforms_is_refused_by_name() {
    let mut fake = Fake::new();
    let manifest = Descriptor {
        platform: Some("linux/s390x".parse().unwrap()),
        ..Descriptor::new(media_type::MANIFEST, Digest::of(b"x"), 1)
    };
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [manifest]});
    fake.manifest(&["t"], media_type::INDEX, &index);
    let error = refused(fake).to_string();
    assert!(error.contains("it has: linux/s390x"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
