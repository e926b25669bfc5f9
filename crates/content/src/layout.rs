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
        if !self.root.join("index.json").exists() {
            temporary::replace(self, &self.root.join("index.json"), EMPTY_INDEX)?;
        }
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
