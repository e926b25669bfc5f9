//! What is done with the documents of an image: manifest, index, configuration, descriptor, layout. What is read can be written, and
//! is read as the same; what cannot be read is refused in one line.

use conex_oci::image::{ImageDocument, ImageIndex, ImageLayout, ImageManifest};
use conex_oci::{ChainId, Descriptor, Platform};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads it as each; gives whether it was any.
pub(crate) fn manifest(bytes: &[u8]) -> bool {
    let manifest = document::<ImageManifest>(bytes);
    let index = document::<ImageIndex>(bytes);
    let descriptor = document::<Descriptor>(bytes);
    let layout = document::<ImageLayout>(bytes);
    let mut config = read::<ImageDocument>(bytes);
    if let Some(config) = &mut config {
        // Go has empty structs there, and nobody looks at anything else: numbers with a point need not stay to the last bit.
        config.config.exposed_ports.values_mut().chain(config.config.volumes.values_mut()).for_each(
            |value| {
                value.take();
            },
        );
        same(config);
        let layers = &config.rootfs.diff_ids;
        assert_eq!(ChainId::of(layers).is_none(), layers.is_empty());
    }
    let inner = manifest.iter().flat_map(|manifest| manifest.layers.iter().chain([&manifest.config]));
    let listed = index.iter().flat_map(|index| &index.manifests);
    for descriptor in inner.chain(listed).chain(&descriptor) {
        assert!(!(descriptor.is_index() && descriptor.is_manifest()));
        if let Some(platform) = &descriptor.platform {
            assert!(platform.serves(platform), "{platform:?} does not serve itself");
            let _ = platform.serves(&Platform::host());
        }
    }
    // Anything is a configuration that says nothing.
    let says = config.is_some_and(|config| !config.architecture.is_empty());
    says || manifest.is_some() || index.is_some() || descriptor.is_some() || layout.is_some()
}

fn document<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) -> Option<T> {
    read(bytes).inspect(same)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match serde_json::from_slice(bytes) {
        Ok(document) => Some(document),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            None
        }
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq>(document: &T) {
    let text = serde_json::to_vec(document).expect("what was read can be written");
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert!(again == *document, "written and read again it is another: {:?}", String::from_utf8_lossy(&text));
}
