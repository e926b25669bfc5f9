//! Files from a registry, into one directory and nowhere else.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use conex_oci::image::ImageManifest;
use conex_oci::{Descriptor, Hasher, Reference};

use super::{TITLE, file_error, name};
use crate::error::clean;
use crate::{Client, Error, Resolved, Result};

/// The most files that are taken out of one artifact.
const FILES: usize = 10_000;

/// A blob of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledFile {
    /// The file's name; none for a blob without one, which is passed over.
    pub name: Option<String>,
    /// Its blob.
    pub descriptor: Descriptor,
}

impl Client {
    /// Writes the files of an artifact below `directory`, which is made. Each is verified before it has its name. Nothing is
    /// written when one of the names would lead elsewhere.
    pub fn pull_artifact(
        &self,
        reference: &Reference,
        directory: &Path,
        tell: &dyn Fn(&PulledFile),
    ) -> Result<Resolved> {
        let resolved = self.resolve(reference)?;
        let refused = |reason: String| Error::NotAnArtifact { name: reference.familiar(), reason };
        if resolved.descriptor.is_index() {
            return Err(refused("it is an index of several images".to_owned()));
        }
        let manifest: ImageManifest =
            serde_json::from_slice(&resolved.bytes).map_err(|error| refused(clean(&error.to_string())))?;
        if manifest.layers.len() > FILES {
            return Err(refused(format!(
                "it has {} files, at most {FILES} are taken",
                manifest.layers.len()
            )));
        }
        for layer in &manifest.layers {
            if let Some(title) = layer.annotation(TITLE)
                && name::parts(title).is_none()
            {
                return Err(Error::ArtifactName { name: clean(title) });
            }
        }
        std::fs::create_dir_all(directory).map_err(|source| file_error(directory, "make", source))?;
        let base = File::open(directory).map_err(|source| file_error(directory, "open", source))?;
        let base = OwnedFd::from(base);
        for layer in manifest.layers {
            let title = layer.annotation(TITLE).map(str::to_owned);
            if let Some(parts) = title.as_deref().and_then(name::parts) {
                let path = parts.iter().fold(directory.to_owned(), |path, part| path.join(part));
                let failed = |source| file_error(&path, "write", source);
                let mut draft = name::Draft::create(&base, &parts, &layer.digest.hex()).map_err(failed)?;
                self.copy(reference, &layer, &mut draft.file, &path)?;
                draft.publish().map_err(failed)?;
            }
            tell(&PulledFile { name: title, descriptor: layer });
        }
        Ok(resolved)
    }

    fn copy(&self, reference: &Reference, layer: &Descriptor, file: &mut File, path: &Path) -> Result<()> {
        let mut blob = self.fetch(reference, layer)?;
        let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 << 10]);
        loop {
            let count = blob.next(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(|source| file_error(path, "write", source))?;
        }
        let got = hasher.finish();
        if got != layer.digest {
            let (registry, what) = (reference.registry().to_owned(), format!("blob {}", layer.digest));
            return Err(Error::Digest { registry, what, expected: layer.digest, got });
        }
        Ok(())
    }
}
