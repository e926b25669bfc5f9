//! What lists of containers ask of images. Each image is read once, however many containers were made from it.

use std::collections::{BTreeMap, BTreeSet};

use conex_image::Usage;
use conex_oci::Digest;

use super::list::Row;
use crate::options::Exposed;
use crate::store::record::Summary;
use crate::store::write;
use crate::{Engine, Result};

impl Engine {
    /// The images of these containers that are one of those named, or were made from one. Nothing is read for no names.
    pub(super) fn descendants<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        rows: &[Row],
    ) -> BTreeSet<Digest> {
        let images = &self.parts.images;
        let named: Vec<_> = names.filter_map(|name| images.resolve(name, None).ok()).collect();
        if named.is_empty() {
            return BTreeSet::new();
        }
        let mut ids: BTreeSet<Digest> = rows.iter().map(|row| row.summary.image_id).collect();
        ids.retain(|id| {
            named.iter().any(|ancestor| ancestor.id == *id)
                || images.resolve(&id.to_string(), None).is_ok_and(|image| {
                    named.iter().any(|ancestor| image.document.is_made_from(&ancestor.document))
                })
        });
        ids
    }

    /// What the images of those that run on networks offer.
    pub(super) fn exposed(&self, rows: &[Row]) -> BTreeMap<Digest, Vec<Exposed>> {
        let connected = rows.iter().filter(|row| row.is_connected());
        let ids: BTreeSet<Digest> = connected.map(|row| row.summary.image_id).collect();
        ids.into_iter().map(|id| (id, self.image_exposes(&id))).collect()
    }

    /// `EXPOSE`; nothing of an image that cannot be read.
    pub(super) fn image_exposes(&self, image: &Digest) -> Vec<Exposed> {
        let Ok(image) = self.parts.images.resolve(&image.to_string(), None) else { return Vec::new() };
        image.document.config.exposed_ports.keys().filter_map(|text| text.parse().ok()).collect()
    }

    /// The containers that were made from an image, and the places where it is mounted: what stands in the way of `rmi`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn image_users(&self, image: &Digest) -> Result<Vec<Usage>> {
        let mounted = self.parts.images.mounted()?.into_iter().filter(|mounted| mounted.image == *image);
        let mut users: Vec<Usage> = mounted
            .map(|mounted| Usage {
                container: format!("(mounted on {})", mounted.path.display()),
                running: true,
            })
            .collect();
        for id in self.parts.store.ids()? {
            // One that cannot be looked at is taken to run.
            let running =
                self.parts.store.state(&id).map_or(true, |state| state.is_some_and(|s| s.is_live()));
            let record = self.parts.store.directory(&id).join("config.json");
            let uses = |summary: Summary| {
                summary.image_id == *image || summary.images.iter().any(|used| used.image == *image)
            };
            if write::read_json::<Summary>(&record)?.is_some_and(uses) {
                users.push(Usage { container: id.short().to_owned(), running });
            }
        }
        Ok(users)
    }
}
