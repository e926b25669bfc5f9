//! A new image: the layers of a base, one more on top, a configuration. What `commit` and `import` end with.
//!
//! The layer is written first ([`Store::write_layer`]): hashed as a tar, compressed and hashed again on its way into the store.
//! Then [`Store::assemble`] writes configuration and manifest, unpacks the layer as it would any other, and only
//! then gives the image its name. All of it happens under the caller's lease.

use std::io::{self, BufWriter, Write};

use conex_archive::{Compression, Compressor};
use conex_content::{BlobWriter, Lease, Name, Root};
use conex_oci::image::{History, ImageConfig, ImageDocument, ImageManifest, RootFs};
use conex_oci::{Descriptor, DiffId, Digest, Hasher, Platform, Reference, media_type};

use crate::{Error, Image, Result, Silent, Store};

/// A layer that is in the store as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The blob.
    pub blob: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct NewImage<'a> {
    /// The image whose layers and history come first.
    pub base: Option<&'a Image>,
    /// The layer on top; without one the step is in the history all the same.
    pub layer: Option<NewLayer>,
    /// How to run it.
    pub config: ImageConfig,
    /// For which machine.
    pub platform: Platform,
    /// `--author`
    pub author: Option<String>,
    /// `--message`
    pub comment: Option<String>,
    /// The command that made the layer.
    pub created_by: Option<String>,
    /// Its name; it has only its id without one.
    pub reference: Option<&'a Reference>,
}

impl Store {
    /// Writes a layer, gzip-compressed. `fill` writes the tar and says whether there is anything in it; an empty one is
    /// thrown away.
    pub fn write_layer<E: From<Error>>(
        &self,
        lease: &Lease,
        fill: impl FnOnce(&mut LayerSink) -> Result<bool, E>,
    ) -> Result<Option<NewLayer>, E> {
        let mut sink = LayerSink::new(self)?;
        if !fill(&mut sink)? {
            return Ok(None);
        }
        Ok(Some(sink.commit(lease)?))
    }

    /// Makes the image; after an error nothing of it has a name, and its blobs are collected.
    pub fn assemble(&self, lease: &Lease, new: NewImage<'_>) -> Result<Image> {
        if let Some(reference) = new.reference.filter(|reference| reference.digest().is_some()) {
            return Err(Error::TagDigest { reference: reference.familiar() });
        }
        let created = jiff::Timestamp::now().to_string();
        let (mut blobs, mut layers, mut history) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(base) = new.base {
            self.hold(lease, base)?;
            blobs.extend(base.manifest.layers.iter().map(oci_layer));
            layers.extend(base.document.rootfs.diff_ids.iter().copied());
            history.extend(base.document.history.iter().cloned());
            // A history that says less than there is would give its later steps the wrong layers.
            let told = history.iter().filter(|step: &&History| !step.empty_layer).count();
            history.extend((told..layers.len()).map(|_| History::default()));
        }
        history.push(History {
            created: Some(created.clone()),
            created_by: new.created_by,
            author: new.author.clone(),
            comment: new.comment,
            empty_layer: new.layer.is_none(),
        });
        if let Some(layer) = new.layer {
            blobs.push(layer.blob);
            layers.push(layer.diff_id);
        }
        let document = ImageDocument {
            created: Some(created),
            author: new.author,
            architecture: new.platform.architecture,
            os: new.platform.os,
            variant: new.platform.variant,
            config: new.config,
            rootfs: RootFs { diff_ids: layers, ..RootFs::default() },
            history,
        };
        let config = self.document(lease, media_type::CONFIG, &document)?;
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers: blobs,
            subject: None,
            annotations: None,
        };
        let target = self.document(lease, media_type::MANIFEST, &manifest)?;
        let image = self.image_of(&target, new.reference, Some(&crate::image::platform_of(&document)))?;
        self.hold(lease, &image)?;
        self.unpack(&image, &Silent)?;
        let name = new.reference.map_or(Name::Unnamed, |reference| Name::Reference(reference.clone()));
        self.content().set_all(&[Root { name, target }])?;
        Ok(image)
    }

    fn document(
        &self,
        lease: &Lease,
        media_type: &str,
        document: &impl serde::Serialize,
    ) -> Result<Descriptor> {
        let bytes = serde_json::to_vec(document).expect("our documents are always JSON");
        let digest = Digest::of(&bytes);
        lease.add(&digest)?;
        self.content().put(&bytes)?;
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }
}

/// A manifest of the OCI's kind names its layers in the OCI's words.
fn oci_layer(blob: &Descriptor) -> Descriptor {
    let media_type = match blob.media_type.as_str() {
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        media_type::DOCKER_LAYER => media_type::LAYER,
        other => other,
    };
    Descriptor { media_type: media_type.to_owned(), ..blob.clone() }
}

/// Takes a layer's tar.
pub struct LayerSink {
    compressor: Compressor<BufWriter<BlobWriter>>,
    tar: Hasher,
    bytes: u64,
}

impl LayerSink {
    fn new(store: &Store) -> Result<Self> {
        let blob = BufWriter::with_capacity(64 << 10, store.content().writer(None)?);
        let compressor =
            Compressor::new(blob, Compression::Gzip).map_err(|source| Error::Output { source })?;
        Ok(Self { compressor, tar: Hasher::new(), bytes: 0 })
    }

    /// Bytes of the tar so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn commit(self, lease: &Lease) -> Result<NewLayer> {
        let failed = |source| Error::Output { source };
        let blob = self.compressor.finish().map_err(failed)?;
        let blob = blob.into_inner().map_err(|error| failed(error.into_error()))?;
        let size = blob.written();
        let digest = blob.commit_leased(lease)?;
        let diff_id = DiffId(self.tar.finish());
        lease.add(&diff_id.0)?;
        Ok(NewLayer { blob: Descriptor::new(media_type::LAYER_GZIP, digest, size), diff_id })
    }
}

impl Write for LayerSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.compressor.write_all(bytes)?;
        self.tar.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
