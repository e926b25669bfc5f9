//! `load`: images out of an OCI layout, an OCI archive or a docker-archive.

use std::io::Read;
use std::path::Path;

use conex_oci::{Platform, Reference};

use crate::{Image, Progress, Result, Store};

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

impl Store {
    /// Loads every image of `source`, verified and unpacked; on an error nothing of it is kept.
    pub fn load(
        &self,
        source: Source<'_>,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Loaded>> {
        let _ = (source, options, progress);
        todo!()
    }

    /// Loads an OCI archive from memory, unless its images are all here already.
    pub fn import_builtin(&self, archive: &[u8]) -> Result<Vec<Image>> {
        let _ = archive;
        todo!()
    }
}
