//! From a manifest or an index to the image of one platform.

use conex_oci::image::{ImageDocument, ImageManifest};
use conex_oci::{Descriptor, Platform, Reference, media_type};

use crate::image::platform_of;
use crate::{Error, Image, Result, Store};

impl Store {
    /// The image behind a manifest or index whose blobs are here; pull ends with this. `reference` is the name that it
    /// was found by, for messages and the image's record. Without a platform as in [`Store::resolve`].
    pub fn image_of(
        &self,
        target: &Descriptor,
        reference: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<Image> {
        let mut image = if target.is_index() {
            self.select(target, reference, platform)?
        } else {
            self.image_of_manifest(target, target)?
        };
        if let Some(wanted) = platform {
            let ours = image.platform();
            if !ours.serves(wanted) {
                return Err(unavailable(target, reference, wanted, &[ours]));
            }
        }
        image.references = reference.into_iter().cloned().collect();
        Ok(image)
    }

    fn select(
        &self,
        index: &Descriptor,
        reference: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<Image> {
        let host = Platform::host();
        let wanted = platform.unwrap_or(&host);
        let manifests = self.manifests_in(index)?;
        let fits = |manifest: &&Descriptor| manifest.platform.as_ref().is_some_and(|p| p.serves(wanted));
        // An exact match goes before one that merely serves (`arm/v7` before `arm`).
        let mut best: Vec<&Descriptor> = manifests.iter().filter(fits).collect();
        best.sort_by_key(|manifest| manifest.platform.as_ref().is_some_and(|p| p.variant != wanted.variant));
        for manifest in best {
            match self.image_of_manifest(index, manifest) {
                Err(Error::Content(conex_content::Error::Missing { digest }))
                    if digest == manifest.digest => {}
                found => return found,
            }
        }
        // Nothing by the index's own word. What is here may say more: entries need not name their platform.
        let mut here: Vec<Image> = self.platforms_here(index)?.into_iter().map(|(_, image)| image).collect();
        if let Some(found) = here.iter().position(|image| image.platform().serves(wanted)) {
            return Ok(here.swap_remove(found));
        }
        match here.len() {
            0 => {
                let digest = manifests.first().map_or(index.digest, |manifest| manifest.digest);
                Err(conex_content::Error::Missing { digest }.into())
            }
            1 if platform.is_none() => Ok(here.swap_remove(0)),
            _ => {
                let platforms: Vec<Platform> = here.iter().map(Image::platform).collect();
                Err(unavailable(index, reference, wanted, &platforms))
            }
        }
    }

    /// One manifest's image; `target` is what its root points at.
    pub(crate) fn image_of_manifest(&self, target: &Descriptor, manifest: &Descriptor) -> Result<Image> {
        let digest = manifest.digest;
        let document: ImageManifest = self.content().document(manifest)?;
        let config = &document.config;
        let known = [media_type::CONFIG, media_type::DOCKER_CONFIG, "application/octet-stream"];
        if !known.contains(&config.media_type.as_str()) {
            return Err(Error::NotAnImage { digest, media_type: config.media_type.clone() });
        }
        let configuration: ImageDocument = self.content().document(config)?;
        Ok(Image {
            id: config.digest,
            references: Vec::new(),
            target: target.clone(),
            manifest_digest: digest,
            manifest: document,
            document: configuration,
        })
    }

    /// All images of a target whose manifest and configuration are here, with their platforms.
    pub(crate) fn platforms_here(&self, target: &Descriptor) -> Result<Vec<(Platform, Image)>> {
        let mut here = Vec::new();
        for manifest in self.manifests_in(target)? {
            match self.image_of_manifest(target, &manifest) {
                Ok(image) => here.push((platform_of(&image.document), image)),
                Err(Error::Content(conex_content::Error::Missing { .. }) | Error::NotAnImage { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(here)
    }
}

fn unavailable(
    target: &Descriptor,
    reference: Option<&Reference>,
    wanted: &Platform,
    here: &[Platform],
) -> Error {
    let available: Vec<String> = here.iter().map(Platform::to_string).collect();
    Error::Platform {
        name: reference.map_or_else(|| target.digest.short(), Reference::familiar),
        wanted: Box::new(wanted.clone()),
        available: available.join(", "),
    }
}
