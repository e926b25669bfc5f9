//! `save`: images to an archive or a layout.

use std::io::Write;
use std::path::Path;

use conex_oci::Platform;

use crate::{Result, Store};

/// What `save` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Docker's own: an OCI archive that carries a docker-archive's `manifest.json` too, so that both kinds of reader take it.
    #[default]
    Docker,
    /// An OCI archive with whole indexes.
    OciArchive,
    /// An OCI layout in a directory ([`Store::save_dir`]).
    OciDir,
    /// The docker-archive of old: `manifest.json`, a configuration and uncompressed layers.
    DockerArchive,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "docker" => Ok(Self::Docker),
            "oci-archive" => Ok(Self::OciArchive),
            "oci-dir" => Ok(Self::OciDir),
            "docker-archive" => Ok(Self::DockerArchive),
            _ => Err(format!(
                "unknown format {text:?} (expected docker, oci-archive, oci-dir or docker-archive)"
            )),
        }
    }
}

/// Around the whole archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

/// How images are saved.
#[derive(Debug, Clone, Default)]
pub struct SaveOptions {
    /// The form.
    pub format: Format,
    /// Around the archive.
    pub compression: Compression,
    /// Only this platform's image of an index.
    pub platform: Option<Platform>,
}

impl Store {
    /// Writes the images as an archive; the same images always give the same bytes.
    pub fn save(&self, names: &[&str], options: &SaveOptions, output: impl Write) -> Result<()> {
        let _ = (names, options, output);
        todo!()
    }

    /// Writes the images as an OCI layout into `directory`, which is made, or must be empty or a layout.
    pub fn save_dir(&self, names: &[&str], options: &SaveOptions, directory: &Path) -> Result<()> {
        let _ = (names, options, directory);
        todo!()
    }
}
