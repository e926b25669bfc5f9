//! What goes into an archive: images, names, blobs.

use std::collections::{BTreeMap, BTreeSet};

use conex_content::{Lease, REF_NAME};
use conex_oci::image::{ImageIndex, ImageManifest};
use conex_oci::{Descriptor, Digest, Platform, Reference, media_type};

use super::{Format, SaveOptions};
use crate::{Error, Image, Result, Store};

/// One image that goes in.
#[derive(Debug)]
pub(super) struct Item {
    /// What its index entry points at.
    pub(super) target: Descriptor,
    /// The platform's image that stands for it where there are no indexes.
    pub(super) image: Image,
    /// Its tags, in order; none for an image that was named by id.
    pub(super) names: Vec<Reference>,
}

/// All that goes in, sorted.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    /// Blobs with their sizes.
    pub(super) blobs: BTreeMap<Digest, u64>,
    /// `index.json`
    pub(super) index: ImageIndex,
}

impl Plan {
    pub(super) fn make(store: &Store, names: &[&str], options: &SaveOptions, lease: &Lease) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::NothingNamed);
        }
        let mut items: BTreeMap<Digest, Item> = BTreeMap::new();
        let mut blobs = BTreeMap::new();
        for name in names {
            for Chosen { mut image, reference, by_id } in chosen(store, name, options)? {
                store.hold(lease, &image)?;
                // From here on it stays, if it has not gone since it was looked up.
                if !store.is_rooted(&image)? {
                    return Err(Error::NotFound { name: (*name).to_owned() });
                }
                if by_id {
                    image.target = alone(&image, store)?;
                }
                let (target, needed) = extent(store, &image, options, lease)?;
                blobs.extend(needed);
                let item =
                    items.entry(target.digest).or_insert_with(|| Item { target, image, names: Vec::new() });
                item.names.extend(reference);
            }
        }
        let mut items: Vec<Item> = items.into_values().collect();
        for item in &mut items {
            item.names.sort();
            item.names.dedup();
        }
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: items.iter().flat_map(|item| entries(item, options.format)).collect(),
            annotations: None,
        };
        Ok(Self { items, blobs, index })
    }
}

/// An image that is meant.
struct Chosen {
    image: Image,
    /// The tag that it is saved under.
    reference: Option<Reference>,
    /// Named by its id: that very image, not the index that it came in.
    by_id: bool,
}

/// The images meant by a name, each with the tag it is saved under.
fn chosen(store: &Store, name: &str, options: &SaveOptions) -> Result<Vec<Chosen>> {
    let platform = options.platform.as_ref();
    let reference = name.parse::<Reference>().ok().filter(|reference| reference.digest().is_none());
    let last = name.rsplit('/').next().unwrap_or_default();
    if let Some(repository) = reference.as_ref().filter(|_| !last.contains(':')) {
        let mut tags = Vec::new();
        for root in store.content().roots()? {
            let Some(known) = root.reference().filter(|known| known.digest().is_none()) else { continue };
            if known.familiar_name() == repository.familiar_name() {
                tags.extend(tagged(store, known, platform)?);
            }
        }
        if !tags.is_empty() {
            return Ok(tags);
        }
    }
    if let Some(reference) = &reference
        && let Some(chosen) = tagged(store, reference, platform)?
    {
        return Ok(vec![chosen]);
    }
    let image = store.resolve(name, platform)?;
    // Named since it was looked for.
    if let Some(tag) = reference.filter(|tag| image.references.contains(tag))
        && let Some(chosen) = tagged(store, &tag, platform)?
    {
        return Ok(vec![chosen]);
    }
    let by_id = name.parse::<Reference>().map_or(true, |reference| reference.digest().is_none());
    Ok(vec![Chosen { image, reference: None, by_id }])
}

/// The image that has the tag; `None` when no image has it (any more).
fn tagged(store: &Store, tag: &Reference, platform: Option<&Platform>) -> Result<Option<Chosen>> {
    while let Some(target) = store.content().get(tag)? {
        match store.primary(&target, Some(tag), platform) {
            // Removed between the two looks.
            Err(Error::Content(_) | Error::Platform { .. })
                if store.content().get(tag)?.as_ref() != Some(&target) => {}
            image => return Ok(Some(Chosen { image: image?, reference: Some(tag.clone()), by_id: false })),
        }
    }
    Ok(None)
}

/// What the image's entry points at, and all blobs below it.
fn extent(
    store: &Store,
    image: &Image,
    options: &SaveOptions,
    lease: &Lease,
) -> Result<(Descriptor, BTreeMap<Digest, u64>)> {
    if image.target.is_index() && options.platform.is_none() && options.format != Format::DockerArchive {
        let mut blobs = BTreeMap::new();
        if gather(store, &image.target, &mut blobs, lease, 8)? {
            return Ok((Descriptor { annotations: None, ..image.target.clone() }, blobs));
        }
    }
    let target = alone(image, store)?;
    let mut blobs = BTreeMap::from([(target.digest, target.size)]);
    for blob in std::iter::once(&image.manifest.config).chain(&image.manifest.layers) {
        if !store.content().has(&blob.digest) {
            return Err(conex_content::Error::Missing { digest: blob.digest }.into());
        }
        blobs.insert(blob.digest, blob.size);
    }
    Ok((target, blobs))
}

/// The image's manifest by itself, with its platform.
fn alone(image: &Image, store: &Store) -> Result<Descriptor> {
    let size = store.content().size(&image.manifest_digest)?;
    let kind = image.manifest.media_type.as_deref().unwrap_or(media_type::MANIFEST);
    let platform = Some(image.platform());
    Ok(Descriptor { platform, ..Descriptor::new(kind, image.manifest_digest, size) })
}

/// Everything below a target; false when some of it is not here.
fn gather(
    store: &Store,
    target: &Descriptor,
    blobs: &mut BTreeMap<Digest, u64>,
    lease: &Lease,
    depth: u32,
) -> Result<bool> {
    if blobs.contains_key(&target.digest) {
        return Ok(true);
    }
    lease.add(&target.digest)?;
    if depth == 0 || !store.content().has(&target.digest) {
        return Ok(false);
    }
    blobs.insert(target.digest, target.size);
    let below = if target.is_index() {
        store.content().document::<ImageIndex>(target)?.manifests
    } else if target.is_manifest() {
        let manifest = store.content().document::<ImageManifest>(target)?;
        std::iter::once(manifest.config).chain(manifest.layers).collect()
    } else {
        Vec::new()
    };
    for child in &below {
        if !gather(store, child, blobs, lease, depth - 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An item's lines in `index.json`: one a name, or a single one without.
fn entries(item: &Item, format: Format) -> Vec<Descriptor> {
    let named = |name: &Reference| {
        // Docker writes the tag alone here, podman and skopeo expect the whole name.
        let ref_name = match format {
            Format::Docker => name.tag().unwrap_or_default().to_owned(),
            _ => name.to_string(),
        };
        let annotations = BTreeMap::from([
            ("io.containerd.image.name".to_owned(), name.to_string()),
            (REF_NAME.to_owned(), ref_name),
        ]);
        Descriptor { annotations: Some(annotations), ..item.target.clone() }
    };
    if item.names.is_empty() {
        return vec![item.target.clone()];
    }
    let names: BTreeSet<_> = item.names.iter().collect();
    names.into_iter().map(named).collect()
}
