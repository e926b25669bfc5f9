//! From what a person typed to one [`Image`].
//!
//! A reference in full costs three or four small files (reference, perhaps index, manifest, configuration) and no
//! directory is read: every `run` comes through here. Ids and digests look at every image.

use std::collections::HashSet;

use conex_content::Root;
use conex_oci::image::{ImageIndex, ImageManifest};
use conex_oci::{Descriptor, Digest, Platform, Reference};

use crate::{Error, Image, Result, Store};

/// A root and the images that it leads to.
#[derive(Debug)]
pub(crate) struct Holding {
    /// The root.
    pub(crate) root: Root,
    /// Those whose manifests are here.
    pub(crate) images: Vec<Rooted>,
    /// A document that it has lost.
    pub(crate) damage: Option<Error>,
}

/// An image that some root leads to.
#[derive(Debug, Clone)]
pub(crate) struct Rooted {
    /// The root.
    pub(crate) root: Root,
    /// The manifest within its target.
    pub(crate) manifest: Descriptor,
    /// The image's id.
    pub(crate) id: Digest,
}

impl Store {
    /// Finds an image by reference (`alpine`, `alpine:3.20`, `repo@sha256:…`), by id (`sha256:…`, 64 digits) or by an
    /// unambiguous prefix of its id. Without a platform: the host's, else the only one that is here (Docker warns then;
    /// compare [`Image::platform`]).
    pub fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let id_like =
            (1..=64).contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // Sixty-four digits are an id and never a repository; so is anything after `sha256:`, if it can be.
        if !(id_like && hex.len() == 64) {
            match name.parse::<Reference>() {
                Ok(reference) => {
                    while let Some(target) = self.target(&reference)? {
                        match self.image_of(&target, Some(&reference), platform) {
                            // Removed between the two looks: the name went before the blobs, so that the next look tells.
                            Err(Error::Content(_) | Error::Platform { .. })
                                if self.target(&reference)?.as_ref() != Some(&target) => {}
                            found => return found,
                        }
                    }
                }
                Err(source) if !id_like => return Err(Error::Reference { source }),
                Err(_) => {}
            }
        }
        if !id_like {
            return Err(Error::NotFound { name: name.to_owned() });
        }
        self.resolve_id(name, hex, platform)
    }

    /// What a reference points at: by its file; by digest also through any name of the same repository.
    fn target(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let Some(digest) = reference.digest() else {
            return Ok(self.content().get(reference)?);
        };
        if let Some(target) = self.content().get(&reference.with_digest(*digest))? {
            return Ok(Some(target));
        }
        for root in self.content().roots()? {
            let same = root.reference().is_some_and(|known| {
                (known.registry(), known.repository()) == (reference.registry(), reference.repository())
            });
            if !same {
                continue;
            }
            if root.target.digest == *digest {
                return Ok(Some(root.target));
            }
            let below = match self.manifests_in(&root.target) {
                // Removed meanwhile, or damaged, which is for those who use that name.
                Err(Error::Content(conex_content::Error::Missing { .. })) => continue,
                below => below?,
            };
            if let Some(manifest) = below.into_iter().find(|manifest| manifest.digest == *digest) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    fn resolve_id(&self, name: &str, hex: &str, platform: Option<&Platform>) -> Result<Image> {
        let mut rooted = self.images_of_roots()?;
        // One that is being renamed may have been overlooked, and a container's image has to be found.
        if !rooted.iter().any(|rooted| rooted.id.hex().starts_with(hex)) {
            rooted = self.images_at_once().unwrap_or_default();
        }
        let (mut image, rooted) = loop {
            let mut matches: Vec<Digest> =
                rooted.iter().map(|rooted| rooted.id).filter(|id| id.hex().starts_with(hex)).collect();
            matches.sort_unstable();
            matches.dedup();
            let id = match matches.as_slice() {
                [] => return Err(Error::NotFound { name: name.to_owned() }),
                [id] => *id,
                _ => return Err(Error::Ambiguous { prefix: name.to_owned(), matches }),
            };
            let ours: Vec<Rooted> = rooted.into_iter().filter(|rooted| rooted.id == id).collect();
            match self.image_of_manifest(&ours[0].root.target, &ours[0].manifest) {
                Err(Error::Content(_)) if !self.content().holds(&ours[0].root)? => {
                    rooted = self.images_at_once()?;
                }
                image => break (image?, ours),
            }
        };
        image.references = rooted.iter().filter_map(|rooted| rooted.root.reference().cloned()).collect();
        match platform {
            Some(wanted) if !image.platform().serves(wanted) => Err(Error::Platform {
                name: name.to_owned(),
                wanted: Box::new(wanted.clone()),
                available: image.platform().to_string(),
            }),
            _ => Ok(image),
        }
    }

    /// All images that roots lead to; one that several roots lead to comes several times. What cannot be read is left
    /// out with a warning, so that one damaged image does not hide the others.
    pub(crate) fn images_of_roots(&self) -> Result<Vec<Rooted>> {
        Ok(images(self.holdings()?))
    }

    /// The same, none overlooked because it changes its name meanwhile.
    pub(crate) fn images_at_once(&self) -> Result<Vec<Rooted>> {
        Ok(images(self.held_by(self.content().roots_at_once()?)?))
    }

    /// All roots with what they lead to. A root that is removed meanwhile is left out, not taken for damaged.
    pub(crate) fn holdings(&self) -> Result<Vec<Holding>> {
        self.held_by(self.content().roots()?)
    }

    fn held_by(&self, roots: Vec<Root>) -> Result<Vec<Holding>> {
        let mut holdings = Vec::new();
        for root in roots {
            let mut holding = Holding { root, images: Vec::new(), damage: None };
            let manifests = self.manifests_in(&holding.root.target).unwrap_or_else(|error| {
                holding.damage = Some(error);
                Vec::new()
            });
            for manifest in manifests {
                match self.content().document::<ImageManifest>(&manifest) {
                    Ok(document) => {
                        let (root, id) = (holding.root.clone(), document.config.digest);
                        holding.images.push(Rooted { root, manifest, id });
                    }
                    // Another platform's.
                    Err(conex_content::Error::Missing { digest }) if digest != holding.root.target.digest => {
                    }
                    Err(error) => holding.damage = Some(error.into()),
                }
            }
            if holding.damage.is_none() || self.content().holds(&holding.root)? {
                holdings.push(holding);
            }
        }
        Ok(holdings)
    }

    /// The image manifests at or below `target`, in order, whether they are here or not.
    pub(crate) fn manifests_in(&self, target: &Descriptor) -> Result<Vec<Descriptor>> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        self.gather_manifests(target, 4, &mut seen, &mut found)?;
        Ok(found)
    }

    fn gather_manifests(
        &self,
        target: &Descriptor,
        depth: u32,
        seen: &mut HashSet<Digest>,
        found: &mut Vec<Descriptor>,
    ) -> Result<()> {
        // A hostile index may list one child a thousand times, and so may that.
        if !seen.insert(target.digest) {
            return Ok(());
        }
        if target.is_manifest() {
            found.push(target.clone());
        } else if target.is_index() && depth > 0 {
            for child in &self.content().document::<ImageIndex>(target)?.manifests {
                let below_is_here = !child.is_index() || self.content().has(&child.digest);
                if !is_attestation(child) && below_is_here {
                    self.gather_manifests(child, depth - 1, seen, found)?;
                }
            }
        }
        Ok(())
    }
}

/// BuildKit puts its provenance into the index as a manifest of no platform.
pub(crate) fn is_attestation(child: &Descriptor) -> bool {
    child.annotation("vnd.docker.reference.type").is_some()
        || child.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

fn images(holdings: Vec<Holding>) -> Vec<Rooted> {
    let mut rooted = Vec::new();
    for holding in holdings {
        if let Some(error) = holding.damage {
            log::warn!("an image is passed over: {error}");
        }
        rooted.extend(holding.images);
    }
    rooted
}
