//! The images that a docker-archive's `manifest.json` names. Each gets an OCI manifest of our making; its configuration
//! stays as it is to the byte, so that the image's id is the one Docker gives it.

use conex_content::{Content, Lease};
use conex_oci::image::{ImageDocument, ImageManifest};
use conex_oci::{Descriptor, Digest, Reference, media_type};
use serde::Deserialize;

use super::intake::{Failure, Intake, blob_path};
use super::{Found, IMAGES, LAYERS, Refusal};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// All of them, with their ids.
pub(super) fn images(
    content: &Content,
    intake: &Intake,
    lease: &Lease,
) -> Result<Vec<(Digest, Found)>, Failure> {
    let items: Vec<Item> = intake.parsed("manifest.json")?.unwrap_or_default();
    if items.len() > IMAGES {
        return Err(Refusal::TooMany { what: "images", limit: IMAGES }.into());
    }
    items.into_iter().map(|item| image(content, intake, lease, item)).collect()
}

fn image(content: &Content, intake: &Intake, lease: &Lease, item: Item) -> Result<(Digest, Found), Failure> {
    let bytes = match (intake.bytes(&item.config), blob_path(&item.config)) {
        (Some(bytes), _) => bytes.to_vec(),
        (None, Some(digest)) if content.has(&digest) => content.read_unsized(&digest)?,
        _ => return Err(Refusal::MissingFile { entry: item.config }.into()),
    };
    let malformed = |source| Refusal::Malformed { entry: item.config.clone(), source };
    let document: ImageDocument = serde_json::from_slice(&bytes).map_err(malformed)?;
    let id = put(content, lease, &bytes)?;
    let mut layers = Vec::new();
    let files = item.layers.unwrap_or_default();
    if files.len() > LAYERS {
        return Err(Refusal::TooMany { what: "layers", limit: LAYERS }.into());
    }
    for entry in files {
        let Some(layer) = intake.layer(content, &entry)? else {
            return Err(Refusal::MissingFile { entry }.into());
        };
        layers.push(layer);
    }
    if layers.len() != document.rootfs.diff_ids.len() {
        let counts = (layers.len(), document.rootfs.diff_ids.len());
        return Err(Refusal::LayerCount { id, files: counts.0, layers: counts.1 }.into());
    }
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::new(media_type::CONFIG, id, bytes.len() as u64),
        layers,
        subject: None,
        annotations: None,
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is always JSON");
    let target = Descriptor::new(media_type::MANIFEST, put(content, lease, &bytes)?, bytes.len() as u64);
    let mut names: Vec<Reference> = Vec::new();
    let tags = item.repo_tags.unwrap_or_default();
    if tags.len() > IMAGES {
        return Err(Refusal::TooMany { what: "names", limit: IMAGES }.into());
    }
    for text in tags {
        let name = text.parse().map_err(|source| Refusal::Name { text, source })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok((id, Found { target, names }))
}

fn put(content: &Content, lease: &Lease, bytes: &[u8]) -> Result<Digest, Failure> {
    lease.add(&Digest::of(bytes))?;
    Ok(content.put(bytes)?)
}
