//! The image that `conex` carries in itself.

use std::io::Read;

use conex_archive::{Limits, Reader, decompress};
use conex_content::DOCUMENT_LIMIT;
use conex_oci::image::ImageIndex;

use super::{LoadOptions, Source, naming};
use crate::{Image, Result, Silent, Store};

impl Store {
    /// Loads an OCI archive from memory, unless its images are all here already.
    pub fn import_builtin(&self, archive: &[u8]) -> Result<Vec<Image>> {
        if let Some(images) = self.builtin_here(archive) {
            return Ok(images);
        }
        let source = Source::Stream { reader: Box::new(archive), name: "the built-in image".to_owned() };
        let loaded = self.load(source, &LoadOptions::default(), &Silent)?;
        Ok(loaded.into_iter().map(|loaded| loaded.image).collect())
    }

    fn builtin_here(&self, archive: &[u8]) -> Option<Vec<Image>> {
        let mut reader = Reader::new(decompress(archive).ok()?, Limits::default());
        while let Some(entry) = reader.next().ok()? {
            if entry.header().path.strip_prefix(b"./").unwrap_or(&entry.header().path) != b"index.json" {
                continue;
            }
            let index: ImageIndex = serde_json::from_reader(entry.take(DOCUMENT_LIMIT)).ok()?;
            let mut images = Vec::new();
            for target in &index.manifests {
                let name = naming::names(target, None).pop()?;
                let here = self.content().get(&name).ok()??;
                if here.digest != target.digest {
                    return None;
                }
                images.push(self.image_of(&here, Some(&name), None).ok()?);
            }
            return Some(images);
        }
        None
    }
}
