//! `save`: images to an archive or a layout.
//!
//! `plan` decides what goes in, under a lease so that nothing is removed meanwhile; `archive`, `docker` and `directory`
//! write it down. The same images always give the same bytes: entries are sorted, dated 1970, owned by root.

mod archive;
mod directory;
mod docker;
mod plan;

use std::io::Write;
use std::path::Path;

use conex_oci::Platform;

use crate::{Error, Result, Store};
use plan::Plan;

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

impl From<Compression> for conex_archive::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

impl Store {
    /// Writes the images as an archive. A name is a reference or an id; a repository without a tag stands for all its
    /// tags, as for Docker. An index is written whole when all of it is here, else as the one platform's image.
    pub fn save(&self, names: &[&str], options: &SaveOptions, output: impl Write) -> Result<()> {
        let lease = self.content().lease()?;
        let plan = Plan::make(self, names, options, &lease)?;
        let buffered = std::io::BufWriter::with_capacity(128 << 10, output);
        let failed = |source| Error::Output { source };
        let mut compressor =
            conex_archive::Compressor::new(buffered, options.compression.into()).map_err(failed)?;
        let mut writer = conex_archive::Writer::new(&mut compressor);
        match options.format {
            Format::Docker => archive::write(self, &plan, true, &mut writer)?,
            Format::OciArchive => archive::write(self, &plan, false, &mut writer)?,
            Format::DockerArchive => docker::write(self, &plan, &mut writer)?,
            Format::OciDir => return Err(Error::DirectoryNeeded),
        }
        writer.finish().map_err(Error::save)?;
        compressor.finish().and_then(|mut output| output.flush()).map_err(failed)
    }

    /// Writes the images as an OCI layout into `directory`, which is made, or is empty, or is a layout that they join.
    pub fn save_dir(&self, names: &[&str], options: &SaveOptions, directory: &Path) -> Result<()> {
        let lease = self.content().lease()?;
        let options = SaveOptions { format: Format::OciDir, ..options.clone() };
        let plan = Plan::make(self, names, &options, &lease)?;
        directory::write(self, &plan, directory)
    }
}
