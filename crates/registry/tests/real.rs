//! Against Debian's `docker-registry`, filled with `skopeo`: plain http, and TLS with a certificate of its own.

#![allow(missing_docs)]

use std::io::Read;

use conex_oci::image::{ImageIndex, ImageManifest};
use conex_oci::{Digest, Reference};
use conex_registry::{Client, Error, Options};
use conex_tests::{Registry, archive, skip};

fn pull_whole(client: &Client, reference: &Reference) {
    let resolved = client.resolve(reference).unwrap();
    assert!(resolved.descriptor.is_index());
    assert_eq!(client.look(reference).unwrap().unwrap(), resolved.descriptor);
    let index: ImageIndex = serde_json::from_slice(&resolved.bytes).unwrap();
    assert!(!index.manifests.is_empty());
    for descriptor in &index.manifests {
        let manifest: ImageManifest =
            serde_json::from_slice(&client.document(reference, descriptor).unwrap()).unwrap();
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let mut bytes = Vec::new();
            client.fetch(reference, blob).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), blob.digest);
        }
    }
    // By digest, and with a tag beside it.
    let by_digest = reference.with_digest(resolved.descriptor.digest);
    assert_eq!(client.resolve(&by_digest).unwrap().bytes, resolved.bytes);
}

#[test]
fn plain_http_on_loopback() {
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    registry.fill(&alpine, "some/alpine:3.20");
    let client = Client::new(Options::default());
    let address = registry.address();
    pull_whole(&client, &format!("{address}/some/alpine:3.20").parse().unwrap());

    let error = client.resolve(&format!("{address}/some/alpine:none").parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let error = client.resolve(&format!("{address}/nobody/nothing").parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn tls_on_loopback() {
    let Some(alpine) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image (CONEX_TEST_IMAGES)") };
    let Some(registry) = Registry::start_tls() else {
        skip!("docker-registry, skopeo or openssl is not installed")
    };
    registry.fill(&alpine, "alpine:3.20");
    let reference = format!("{}/alpine:3.20", registry.address()).parse().unwrap();
    pull_whole(&Client::new(Options::default()), &reference);
}
