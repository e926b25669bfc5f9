//! `load`: images out of an OCI layout, an OCI archive or a docker-archive.
//!
//! The bytes come first, the meaning after: a tar on standard input is read once, so its blobs stream into the store,
//! verified, before anybody knows which of them an image needs (`intake`, `directory`). Then `index.json` and
//! `manifest.json` say what images there are (`oci`, `docker`) and what they are called (`naming`), their layers are
//! unpacked, and only then do names appear. Whatever was not needed, or all of it after an error, is collected.

mod builtin;
mod directory;
mod docker;
mod intake;
mod naming;
mod oci;
mod refusal;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use conex_content::{Lease, Name, Root};
use conex_oci::{ChainId, Descriptor, Digest, Platform, Reference};

use crate::{Error, Image, Progress, Result, Store};
use intake::Intake;
pub use refusal::Refusal;

/// Images, or names of one, in one archive.
const IMAGES: usize = 4096;
/// Layers of an image; Docker stacks no more either.
const LAYERS: usize = 128;

/// Where images are loaded from.
pub enum Source<'a> {
    /// A tar, plain, gzip or zstd, read once from front to back. `name` is what it is called in messages (`stdin`).
    Stream {
        /// The bytes.
        reader: Box<dyn Read + 'a>,
        /// For messages.
        name: String,
    },
    /// A file (as a stream) or the directory of an OCI layout.
    Path(&'a Path),
}

/// How images are loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The name of the one image in the archive, instead of the one the archive gives.
    pub name: Option<Reference>,
    /// Which of an index's images; the host's when absent.
    pub platform: Option<Platform>,
}

/// One image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// Its names, as the archive gave them: `Loaded image: alpine:latest` each; `Loaded image ID: sha256:…` when none.
    pub names: Vec<Reference>,
}

/// An image that a source holds.
#[derive(Debug, Clone)]
struct Found {
    target: Descriptor,
    names: Vec<Reference>,
}

impl Store {
    /// Loads every image of `source`, verified and unpacked; on an error nothing of it is kept.
    pub fn load(
        &self,
        source: Source<'_>,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Loaded>> {
        let lease = self.content().lease()?;
        let loaded = self.load_leased(source, options, progress, &lease);
        drop(lease);
        // After an error this is all that came; after a success what no image of the archive needed.
        if let Err(error) = self.collect() {
            log::warn!("cannot collect what is not needed: {error}");
        }
        loaded
    }

    fn load_leased(
        &self,
        source: Source<'_>,
        options: &LoadOptions,
        progress: &dyn Progress,
        lease: &Lease,
    ) -> Result<Vec<Loaded>> {
        let (name, stem, intake) = self.take_in(source, lease, progress)?;
        let refused = |why| Error::Load { name: name.clone(), why };
        let mut images = self.found(&intake, lease, stem.as_deref()).map_err(|why| why.of(&name))?;
        match (&options.name, images.as_mut_slice()) {
            (None, _) => {}
            (Some(name), [only]) => only.names = vec![name.clone()],
            (Some(_), several) => return Err(refused(Refusal::SeveralImages { count: several.len() })),
        }
        let mut loaded = Vec::new();
        for Found { target, names } in images {
            let mut image = self.primary(&target, names.first(), options.platform.as_ref())?;
            if image.manifest.layers.len() > LAYERS {
                return Err(refused(Refusal::TooMany { what: "layers", limit: LAYERS }));
            }
            self.hold(lease, &image)?;
            for layer in &image.manifest.layers {
                match self.content().size(&layer.digest) {
                    Ok(size) if size == layer.size => {}
                    Ok(size) => {
                        let (digest, promised) = (layer.digest, layer.size);
                        return Err(refused(Refusal::BlobSize { digest, size, promised }));
                    }
                    Err(conex_content::Error::Missing { digest }) => {
                        return Err(refused(Refusal::MissingBlob { digest }));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.unpack(&image, progress)?;
            image.references.clone_from(&names);
            loaded.push(Loaded { image, names });
        }
        let known: HashSet<Digest> = self.content().roots()?.iter().map(|root| root.target.digest).collect();
        let mut roots = Vec::new();
        for Loaded { image, names } in &loaded {
            let target = &image.target;
            let named =
                |name: &Reference| Root { name: Name::Reference(name.clone()), target: target.clone() };
            roots.extend(names.iter().map(named));
            // The unnamed come first: a name that leads to the same makes them superfluous.
            if names.is_empty() && !known.contains(&target.digest) {
                roots.insert(0, Root { name: Name::Unnamed, target: target.clone() });
            }
        }
        self.content().set_all(&roots)?;
        Ok(loaded)
    }

    /// All blobs into the store; gives the source's name for messages and its stem for naming.
    fn take_in(
        &self,
        source: Source<'_>,
        lease: &Lease,
        progress: &dyn Progress,
    ) -> Result<(String, Option<String>, Intake)> {
        let intake = |name: &str, reader: Box<dyn Read + '_>| {
            intake::read(self.content(), lease, progress, reader).map_err(|failure| failure.of(name))
        };
        match source {
            Source::Stream { reader, name } => {
                let intake = intake(&name, reader)?;
                Ok((name, None, intake))
            }
            Source::Path(path) => {
                let name = path.display().to_string();
                let stem = naming::stem(path);
                let failed = |source| Error::Source { path: path.to_owned(), source };
                let file = File::open(path).map_err(failed)?;
                let intake = if file.metadata().map_err(failed)?.is_dir() {
                    directory::read(self.content(), lease, progress, &file)
                        .map_err(|failure| failure.of(&name))?
                } else {
                    intake(&name, Box::new(file))?
                };
                Ok((name, stem, intake))
            }
        }
    }

    /// What images there are. An archive of Docker's own kind says so twice; then each image comes once, with all names.
    fn found(
        &self,
        intake: &Intake,
        lease: &Lease,
        stem: Option<&str>,
    ) -> std::result::Result<Vec<Found>, intake::Failure> {
        let mut images = oci::images(self.content(), intake, lease, stem)?;
        for (config, found) in docker::images(self.content(), intake, lease)? {
            let twin = images.iter_mut().find(|image| {
                let below = self.manifests_in(&image.target).unwrap_or_default();
                below.iter().any(|manifest| self.config_of(manifest) == Some(config))
            });
            match twin {
                Some(twin) => {
                    let new: Vec<_> =
                        found.names.into_iter().filter(|name| !twin.names.contains(name)).collect();
                    twin.names.extend(new);
                }
                None => images.push(found),
            }
        }
        match (images.is_empty(), intake.is_archive()) {
            (false, _) => Ok(images),
            (true, true) => Err(Refusal::Empty.into()),
            (true, false) => Err(Refusal::NotAnArchive.into()),
        }
    }

    fn config_of(&self, manifest: &Descriptor) -> Option<Digest> {
        let manifest: conex_oci::image::ImageManifest = self.content().document(manifest).ok()?;
        Some(manifest.config.digest)
    }

    /// The image that stands for a target: the platform asked for, the host's, or any.
    pub(crate) fn primary(
        &self,
        target: &Descriptor,
        name: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<Image> {
        self.image_of(target, name, platform).or_else(|error| match error {
            Error::Platform { .. } if platform.is_none() => {
                self.platforms_here(target)?.into_iter().map(|(_, image)| image).next().ok_or(error)
            }
            other => Err(other),
        })
    }

    /// Leases all that an image is made of: its id, its blobs, its layers, and what is made of these together.
    pub fn hold(&self, lease: &Lease, image: &Image) -> Result<()> {
        lease.add(&image.id)?;
        lease.add(&image.target.digest)?;
        lease.add(&image.manifest_digest)?;
        for layer in &image.manifest.layers {
            lease.add(&layer.digest)?;
        }
        let layers = &image.document.rootfs.diff_ids;
        for digest in layers.iter().map(|layer| layer.0).chain(ChainId::of(layers).map(|chain| chain.0)) {
            lease.add(&digest)?;
        }
        Ok(())
    }
}
