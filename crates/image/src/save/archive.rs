//! An OCI archive; for Docker with a `manifest.json` over the same blobs.

use std::io::Write;

use conex_archive::{HashingReader, Header, Kind, Writer};
use conex_oci::image::ImageLayout;
use conex_oci::{Digest, Reference};
use serde::Serialize;

use super::plan::Plan;
use crate::{Error, Result, Store};

/// One image in `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerItem {
    pub(super) config: String,
    /// `null` without names, as Docker writes it.
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

pub(super) fn write<W: Write>(
    store: &Store,
    plan: &Plan,
    with_manifest: bool,
    writer: &mut Writer<W>,
) -> Result<()> {
    writer.append_directory("blobs/").map_err(Error::save)?;
    writer.append_directory("blobs/sha256/").map_err(Error::save)?;
    for digest in plan.blobs.keys() {
        blob(store, digest, &path(digest), writer)?;
    }
    writer.append_bytes("index.json", &json(&plan.index)).map_err(Error::save)?;
    if with_manifest {
        let items: Vec<DockerItem> = plan
            .items
            .iter()
            .map(|item| DockerItem {
                config: path(&item.image.id),
                repo_tags: repo_tags(&item.names),
                layers: item.image.manifest.layers.iter().map(|layer| path(&layer.digest)).collect(),
            })
            .collect();
        writer.append_bytes("manifest.json", &json(&items)).map_err(Error::save)?;
    }
    writer.append_bytes("oci-layout", &json(&ImageLayout::default())).map_err(Error::save)
}

/// A blob as an entry, verified while it is read: rot must not travel.
pub(super) fn blob<W: Write>(
    store: &Store,
    digest: &Digest,
    path: &str,
    writer: &mut Writer<W>,
) -> Result<()> {
    let size = store.content().size(digest)?;
    let mut reader = HashingReader::new(store.content().reader(digest)?);
    writer.append(&Header::new(path, Kind::File { size }), &mut reader).map_err(Error::save)?;
    let failed = |source| conex_content::Error::Read { digest: *digest, source };
    let (found, _) = reader.finish().map_err(failed)?;
    if found == *digest {
        return Ok(());
    }
    Err(conex_content::Error::Corrupt { digest: *digest, found: format!("its bytes have {found}") }.into())
}

pub(super) fn repo_tags(names: &[Reference]) -> Option<Vec<String>> {
    (!names.is_empty()).then(|| names.iter().map(Reference::familiar).collect())
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our documents are always JSON")
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
