//! The docker-archive of old: configurations, uncompressed layers and `manifest.json`, for tools that know nothing newer.

use std::collections::BTreeSet;
use std::io::Write;

use conex_archive::{HashingReader, Header, Kind, Writer, decompress};
use conex_oci::{Descriptor, DiffId};

use super::archive::{DockerItem, blob, json, repo_tags};
use super::plan::Plan;
use crate::layers::LayerError;
use crate::{Error, Result, Store};

pub(super) fn write<W: Write>(store: &Store, plan: &Plan, writer: &mut Writer<W>) -> Result<()> {
    let mut written = BTreeSet::new();
    let mut items = Vec::new();
    for item in &plan.items {
        let image = &item.image;
        let (blobs, layers) = (&image.manifest.layers, &image.document.rootfs.diff_ids);
        if blobs.len() != layers.len() {
            return Err(Error::LayerCount { id: image.id, blobs: blobs.len(), layers: layers.len() });
        }
        let config = format!("{}.json", image.id.hex());
        if written.insert(image.id) {
            blob(store, &image.id, &config, writer)?;
        }
        for (descriptor, layer) in blobs.iter().zip(layers) {
            if written.insert(layer.0) {
                uncompressed(store, descriptor, layer, writer)?;
            }
        }
        let layers = layers.iter().map(file).collect();
        items.push(DockerItem { config, repo_tags: repo_tags(&item.names), layers });
    }
    writer.append_bytes("manifest.json", &json(&items)).map_err(Error::save)
}

/// A header says the size before the data, so a compressed layer is inflated twice: once to be measured (and
/// verified), once to be written.
fn uncompressed<W: Write>(
    store: &Store,
    descriptor: &Descriptor,
    layer: &DiffId,
    writer: &mut Writer<W>,
) -> Result<()> {
    let unpack = |source| LayerError::Unpack { layer: *layer, source: Box::new(source) };
    let open =
        || -> Result<_> { Ok(decompress(store.content().reader(&descriptor.digest)?).map_err(unpack)?) };
    let failed = |source| conex_content::Error::Read { digest: descriptor.digest, source };
    let (found, size) = HashingReader::new(open()?).finish().map_err(failed)?;
    if found != layer.0 {
        return Err(LayerError::DiffId { expected: *layer, found: DiffId(found) }.into());
    }
    writer.append(&Header::new(file(layer), Kind::File { size }), open()?).map_err(Error::save)
}

fn file(layer: &DiffId) -> String {
    format!("{}.tar", layer.0.hex())
}
