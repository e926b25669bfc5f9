//! `images`: all images with their names and sizes.

use std::collections::BTreeMap;

use conex_oci::{Digest, Reference};
use jiff::Timestamp;

use crate::pattern::Pattern;
use crate::{Image, Result, Store};

/// Which images to list; everything set must hold. Docker's `--filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `reference=`: shell patterns over `name[:tag]`; any of them.
    pub references: Vec<String>,
    /// `dangling=true|false`
    pub dangling: Option<bool>,
    /// `label=key[=value]`; all of them.
    pub labels: Vec<(String, Option<String>)>,
    /// `before=`: made before this image (as typed).
    pub before: Option<String>,
    /// `since=`: made after this image (as typed).
    pub since: Option<String>,
}

/// One image in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The image; of an index, the host's or else the first that is here.
    pub image: Image,
    /// Its tags, in order; empty when it is dangling. With a `reference=` filter, those that match.
    pub tags: Vec<Reference>,
    /// `repository@digest`, in order.
    pub digests: Vec<Reference>,
    /// The unpacked size of its layers in bytes, as Docker counts.
    pub size: u64,
}

impl Summary {
    /// The image's id.
    pub fn id(&self) -> Digest {
        self.image.id
    }

    /// Whether it has no name at all.
    pub fn dangling(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    fn created(&self) -> Option<Timestamp> {
        created(&self.image)
    }
}

impl Store {
    /// All images that pass the filter, newest first, as Docker lists them.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Summary>> {
        let bound = |name: &Option<String>| match name {
            Some(name) => self.resolve(name, None).map(|image| created(&image)),
            None => Ok(None),
        };
        let (before, since) = (bound(&filter.before)?, bound(&filter.since)?);
        let patterns: Vec<Pattern> =
            filter.references.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?;
        let mut list = Vec::new();
        for mut summary in self.summaries()? {
            let made = summary.created();
            let labels = &summary.image.document.config.labels;
            let passes = filter.dangling.is_none_or(|wanted| wanted == summary.dangling())
                && (filter.before.is_none() || made < before)
                && (filter.since.is_none() || made > since)
                && filter.labels.iter().all(|(key, value)| match (labels.get(key), value) {
                    (Some(ours), Some(theirs)) => ours == theirs,
                    (ours, None) => ours.is_some(),
                    (None, _) => false,
                });
            if !passes {
                continue;
            }
            if !patterns.is_empty() {
                let matches =
                    |name: &Reference| patterns.iter().any(|pattern| pattern.matches_reference(name));
                summary.tags.retain(matches);
                summary.digests.retain(matches);
                if summary.dangling() {
                    continue;
                }
            }
            summary.size = self.size(&summary.image)?;
            list.push(summary);
        }
        list.sort_by(|a, b| (b.created(), &a.tags, a.id()).cmp(&(a.created(), &b.tags, b.id())));
        Ok(list)
    }

    /// One summary an image; sizes are left for later.
    fn summaries(&self) -> Result<Vec<Summary>> {
        let mut images: BTreeMap<Digest, Summary> = BTreeMap::new();
        for root in self.content().roots()? {
            let mut image = match self.primary(&root.target, None, None) {
                Ok(image) => image,
                Err(error) => {
                    log::warn!("an image is passed over: {error}");
                    continue;
                }
            };
            image.references = root.reference().into_iter().cloned().collect();
            let summary = images.entry(image.id).or_insert_with(|| Summary {
                image: Image { references: Vec::new(), ..image.clone() },
                tags: Vec::new(),
                digests: Vec::new(),
                size: 0,
            });
            if let Some(reference) = root.reference() {
                summary.image.references.push(reference.clone());
                if reference.digest().is_none() {
                    summary.tags.push(reference.clone());
                }
                summary.digests.push(reference.with_digest(root.target.digest));
            }
        }
        for summary in images.values_mut() {
            summary.digests.sort();
            summary.digests.dedup();
        }
        Ok(images.into_values().collect())
    }

    /// `repository@digest` for each repository that has the image: what a registry would know it by.
    pub(crate) fn repo_digests(&self, image: &Image) -> Result<Vec<Reference>> {
        let mut digests: Vec<Reference> = self
            .images_of_roots()?
            .into_iter()
            .filter(|rooted| rooted.id == image.id)
            .filter_map(|rooted| Some(rooted.root.reference()?.with_digest(rooted.root.target.digest)))
            .collect();
        digests.sort();
        digests.dedup();
        Ok(digests)
    }

    /// The unpacked size of the image's layers in bytes. A layer that is not unpacked (another platform's) counts as
    /// its blob.
    pub fn size(&self, image: &Image) -> Result<u64> {
        let mut size = 0;
        for number in 0..image.document.rootfs.diff_ids.len() {
            size += self.layer_size(image, number)?;
        }
        Ok(size)
    }

    pub(crate) fn layer_size(&self, image: &Image, number: usize) -> Result<u64> {
        let Some(layer) = image.document.rootfs.diff_ids.get(number) else { return Ok(0) };
        let blob = image.manifest.layers.get(number).map_or(0, |blob| blob.size);
        Ok(self.layers().size(layer)?.unwrap_or(blob))
    }
}

fn created(image: &Image) -> Option<Timestamp> {
    image.document.created.as_deref()?.parse().ok()
}
