//! Reading blobs. Documents (manifests, indexes, configurations) are bounded and verified whenever they are read.

use std::fs::{self, File};
use std::io::{self, Read};

use conex_oci::{Descriptor, Digest};
use serde::de::DeserializeOwned;

use crate::{Content, Error, Result};

/// The most that is read of a manifest, an index or a configuration, in bytes (registries use the same limit).
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Content {
    /// Whether the blob is here, whole (blobs appear by rename, verified).
    pub fn has(&self, digest: &Digest) -> bool {
        rustix::fs::access(self.path(digest), rustix::fs::Access::EXISTS).is_ok()
    }

    /// The blob's size in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        match fs::metadata(self.path(digest)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(source) => Err(absent_or(*digest, source)),
        }
    }

    /// The blob's file, to be streamed. Not verified: a layer's reader does that by its diff_id.
    pub fn reader(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|source| absent_or(*digest, source))
    }

    /// A document's bytes, at most [`DOCUMENT_LIMIT`], verified against the digest and the descriptor's size.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let bytes = self.read_unsized(&descriptor.digest)?;
        let size = bytes.len() as u64;
        if size != descriptor.size {
            let found = format!("{size} bytes, its descriptor says {}", descriptor.size);
            return Err(Error::Corrupt { digest: descriptor.digest, found });
        }
        Ok(bytes)
    }

    /// The same for a document whose size nobody has promised.
    pub fn read_unsized(&self, digest: &Digest) -> Result<Vec<u8>> {
        let (digest, failed) = (*digest, |source| Error::Read { digest: *digest, source });
        let file = self.reader(&digest)?;
        let size = file.metadata().map_err(failed)?.len();
        if size > DOCUMENT_LIMIT {
            return Err(Error::TooLarge { digest, size, limit: DOCUMENT_LIMIT });
        }
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(failed)?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Error::Corrupt { digest, found: format!("its bytes have {found}") });
        }
        Ok(bytes)
    }

    /// A document, read as [`Self::read`] does and parsed.
    pub fn document<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T> {
        let bytes = self.read(descriptor)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| Error::Malformed { digest: descriptor.digest, source })
    }

    /// The digests of all blobs here, in no order. Files with other names are passed over.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let path = self.blobs_directory();
        let failed = |source| Error::List { path: path.clone(), source };
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            blobs.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
        }
        Ok(blobs)
    }
}

fn absent_or(digest: Digest, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        Error::Missing { digest }
    } else {
        Error::Read { digest, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::media_type;

    fn store() -> (tempfile::TempDir, Content) {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        (root, content)
    }

    #[test]
    fn a_corrupt_or_missing_document_is_named() {
        let (_root, content) = store();
        let digest = content.put(b"{}").unwrap();
        let descriptor = Descriptor::new(media_type::CONFIG, digest, 2);
        assert_eq!(content.read(&descriptor).unwrap(), b"{}");

        let longer = Descriptor { size: 3, ..descriptor.clone() };
        assert!(matches!(content.read(&longer), Err(Error::Corrupt { .. })));

        fs::write(content.path(&digest), "[]").unwrap();
        let error = content.read(&descriptor).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }));
        assert!(error.to_string().contains(&digest.to_string()) && !error.to_string().contains('\n'));

        fs::remove_file(content.path(&digest)).unwrap();
        let error = content.read(&descriptor).unwrap_err();
        assert!(matches!(error, Error::Missing { digest: missing } if missing == digest), "{error}");
        assert!(!content.has(&digest));
    }

    #[test]
    fn a_huge_document_is_not_read() {
        let (_root, content) = store();
        let digest = Digest::of(b"whatever");
        File::create(content.path(&digest)).unwrap().set_len(64 << 30).unwrap();
        let descriptor = Descriptor::new(media_type::MANIFEST, digest, 64 << 30);
        assert!(matches!(content.read(&descriptor), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn odd_files_among_the_blobs_are_passed_over() {
        let (_root, content) = store();
        let digest = content.put(b"x").unwrap();
        fs::write(content.root().join("blobs/sha256/README"), "").unwrap();
        assert_eq!(content.blobs().unwrap(), [digest]);
    }
}
