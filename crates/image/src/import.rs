//! `import`: a root filesystem in a tar becomes an image of one layer.

use std::io::{self, BufReader, Read};

use conex_archive::{Limits, decompress};
use conex_oci::image::ImageConfig;
use conex_oci::{Platform, Reference};

use crate::layers::LayerError;
use crate::{Error, Image, NewImage, Result, Store};

/// What `import` takes besides the tar.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// `--change`, applied to an empty configuration.
    pub config: ImageConfig,
    /// `--message`; `Imported from NAME` without one, as in Docker.
    pub message: Option<String>,
    /// `--platform`; the host's without one.
    pub platform: Option<Platform>,
    /// Its name.
    pub reference: Option<Reference>,
}

impl Store {
    /// Makes an image of a tar, plain, gzip or zstd, read once from front to back; on an error nothing of it is kept. `name` is
    /// what the tar is called in messages and in the history.
    pub fn import(&self, reader: impl Read, name: &str, options: ImportOptions) -> Result<Image> {
        let imported = self.import_tar(reader, name, options);
        if imported.is_err()
            && let Err(error) = self.collect()
        {
            log::warn!("cannot collect what is not needed: {error}");
        }
        imported
    }

    fn import_tar(&self, reader: impl Read, name: &str, options: ImportOptions) -> Result<Image> {
        let failed = |source| Error::Import { name: name.to_owned(), source };
        let lease = self.content().lease()?;
        let limit = Limits::default().max_bytes;
        let tar = decompress(BufReader::with_capacity(128 << 10, reader)).map_err(failed)?;
        let layer = self.write_layer(&lease, |sink| -> Result<bool> {
            let mut tar = tar.take(limit + 1);
            let offset = io::copy(&mut tar, sink)
                .map_err(|source| failed(conex_archive::Error::Read { offset: sink.bytes(), source }))?;
            if offset > limit {
                let what = "its length";
                return Err(failed(conex_archive::Error::Limit { what, limit, path: None }));
            }
            if offset == 0 {
                let what = "its first header (it is empty)";
                return Err(failed(conex_archive::Error::Truncated { offset, what }));
            }
            Ok(true)
        })?;
        let new = NewImage {
            base: None,
            layer,
            config: options.config,
            platform: options.platform.unwrap_or_else(Platform::host),
            author: None,
            comment: Some(options.message.unwrap_or_else(|| format!("Imported from {name}"))),
            created_by: None,
            reference: options.reference.as_ref(),
        };
        self.assemble(&lease, new).map_err(|error| match error {
            // Whose layer it is, nobody knows by a digest.
            Error::Layers(LayerError::Unpack { source, .. }) => failed(*source),
            other => other,
        })
    }
}
