//! ROOT itself: `oci-layout`, `blobs/sha256/`, `references/`, `tmp/`, `locks`, made on first use.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use conex_oci::Digest;
use conex_oci::image::ImageLayout;

use crate::{Error, Result, temporary};

/// An open store. Cheap to open: one small file is read when it exists already.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
}

impl Content {
    /// Opens the store at `root`, making what is missing. A new ROOT is for its owner only: layers hold other people's
    /// setuid programs (CVE-2021-41091).
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let content = Self { root: root.into() };
        let failed = |source| Error::Open { root: content.root.clone(), source };
        match fs::read(content.root.join("oci-layout")) {
            Ok(text) => {
                let version = serde_json::from_slice::<ImageLayout>(&text).map_or_else(
                    |_| String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned(),
                    |layout| layout.version,
                );
                if version != ImageLayout::default().version {
                    return Err(Error::Version { root: content.root.clone(), version });
                }
                if rustix::fs::access(content.references_directory(), rustix::fs::Access::EXISTS).is_err() {
                    return Err(Error::Foreign { root: content.root.clone() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => content.make().map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        Ok(content)
    }

    fn make(&self) -> io::Result<()> {
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent)?;
        }
        for directory in ["", "blobs", "blobs/sha256", "references", "tmp"] {
            match DirBuilder::new().mode(0o700).create(self.root.join(directory)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        // Somebody else may be making the same store: what is there already is as good.
        temporary::create(self, &self.root.join("index.json"), EMPTY_INDEX)?;
        // Last, because a layout with this file is taken to be complete.
        let layout = serde_json::to_vec(&ImageLayout::default())?;
        temporary::replace(self, &self.root.join("oci-layout"), &layout)
    }

    /// ROOT.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, if it is here.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blobs_directory();
        path.push(digest.hex());
        path
    }

    pub(crate) fn blobs_directory(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn references_directory(&self) -> PathBuf {
        self.root.join("references")
    }

    pub(crate) fn temporary_directory(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::Reference;

    #[test]
    fn somebody_elses_layout_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        assert!(matches!(Content::open(directory.path()), Err(Error::Foreign { .. })));
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        assert!(matches!(Content::open(directory.path()), Err(Error::Version { .. })));
        fs::write(directory.path().join("oci-layout"), "garbage").unwrap();
        assert!(matches!(Content::open(directory.path()), Err(Error::Version { .. })));
    }

    #[test]
    fn a_store_that_is_opened_by_many_at_once_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("deep/er");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let root = &root;
                scope.spawn(move || {
                    let content = Content::open(root).unwrap();
                    let text = number.to_string();
                    let digest = content.put(text.as_bytes()).unwrap();
                    let target = conex_oci::Descriptor::new(conex_oci::media_type::MANIFEST, digest, 1);
                    content.set(&format!("a:{number}").parse::<Reference>().unwrap(), &target).unwrap();
                });
            }
        });
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(root.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 8);
    }

    #[test]
    fn a_cleared_tmp_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let content = Content::open(directory.path()).unwrap();
        fs::remove_dir(directory.path().join("tmp")).unwrap();
        content.put(b"x").unwrap();
    }
}
