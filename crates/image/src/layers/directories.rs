//! Layers as plain directories, for overlayfs to stack: what every kernel and every user can mount.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use conex_archive::{OverlayXattrs, UnpackOptions, unpack};
use conex_oci::DiffId;
use rustix::fs::Mode;

use super::shelf::{Form, Record, Shelf, open, store};
use super::{LayerError, Result};

/// A layer as a directory tree.
#[derive(Debug, Clone)]
pub struct Unpacked {
    options: UnpackOptions,
}

impl Default for Unpacked {
    fn default() -> Self {
        Self { options: UnpackOptions { overlay: OverlayXattrs::here(), ..UnpackOptions::default() } }
    }
}

/// Layers as plain directories.
pub type Directories = Shelf<Unpacked>;

impl Directories {
    /// The same store, unpacking with other limits.
    #[must_use]
    pub fn with_options(mut self, options: UnpackOptions) -> Self {
        self.form_mut().options = options;
        self
    }
}

impl Form for Unpacked {
    const NAME: &'static str = "fs";
    const IS_QUICK: bool = false;

    fn make(&self, layer: &DiffId, tar: &mut (dyn Read + Send), path: &Path) -> Result<Record> {
        rustix::fs::mkdir(path, Mode::RWXU).map_err(store("create", path))?;
        // Not by mkdir, whose mode the process's umask cuts.
        rustix::fs::chmod(path, Mode::from_raw_mode(0o755)).map_err(store("create", path))?;
        let destination = open(path).map_err(store("open", path))?;
        let failed = |source| LayerError::Unpack { layer: *layer, source: Box::new(source) };
        let stats = unpack(tar, destination.as_fd(), &self.options).map_err(failed)?;
        Ok(Record { stats: stats.into(), seal: None })
    }

    fn sync(path: &Path, directory: &OwnedFd) -> Result<()> {
        // One by one would take longer than all there is to be written.
        rustix::fs::syncfs(directory).map_err(store("write out", path))
    }
}

#[cfg(test)]
mod tests {
    use conex_archive::{Limits, Writer};

    use std::path::PathBuf;

    use conex_oci::Digest;

    use super::super::shelf::PARTIAL;
    use super::super::{Layers, Prepared};
    use super::*;

    fn layer() -> (DiffId, Vec<u8>) {
        let mut tar = Writer::new(Vec::new());
        tar.append_bytes("f", b"contents").unwrap();
        let tar = tar.finish().unwrap();
        (DiffId(Digest::of(&tar)), tar)
    }

    fn fill(layers: &Directories, layer: &DiffId, tar: &[u8]) -> Result<PathBuf> {
        match layers.prepare(layer)? {
            Prepared::Draft(draft) => draft.fill(&mut &tar[..]),
            Prepared::Ready(path) => Ok(path),
        }
    }

    #[test]
    fn limits_are_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { max_file: 7, ..Limits::default() };
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        let layers = Directories::open(directory.path()).unwrap().with_options(options);
        let (id, tar) = layer();
        let error = fill(&layers, &id, &tar).unwrap_err().to_string();
        assert!(error.contains("size of a file") && error.contains(&id.to_string()), "{error}");
    }

    #[test]
    fn only_the_owner_may_enter_the_store_and_all_may_enter_the_layer() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("layers");
        let layers = Directories::open(&root).unwrap();
        let (id, tar) = layer();
        let path = fill(&layers, &id, &tar).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&root), mode(&path)), (0o700, 0o755));
        assert!(!root.join(PARTIAL).exists());
    }

    #[test]
    fn what_is_no_layer_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let layers = Directories::open(directory.path()).unwrap();
        let (id, tar) = layer();
        std::fs::create_dir_all(layers.layer(&id).join("other")).unwrap();
        std::fs::write(directory.path().join("README"), "").unwrap();
        assert_eq!(layers.lower(&id).unwrap(), None);
        let path = fill(&layers, &id, &tar).unwrap();
        assert_eq!(layers.lower(&id).unwrap(), Some(path));
        assert_eq!(layers.list().unwrap(), [id]);
    }
}
