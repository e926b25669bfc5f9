//! Images mounted: the layers of each merged into one EROFS image, mounted once after a boot, and shared by its containers.
//!
//! ```text
//! ROOT/merged/<chain id>.erofs    the layers' metadata; their files' contents stay in layers/<diff_id>/layer.erofs
//! ROOT/merged/<chain id>.json     the diff_ids
//! RUN/images/<chain id>/          the mount
//! RUN/images/<chain id>.lock      held (flock) by who merges or mounts
//! ```
//!
//! A merged image is a convenience: it can be made again of its layers at any time. It goes, with its mount and its lock, when no
//! image of these layers is left, also while each of them is another image's too. A mount point that is none (after a reboot, in another mount namespace) becomes one when it is next
//! asked for. Containers have clones of the mount and keep them when it is taken away.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use conex_erofs::{Image, MergeLayer, WriteOptions};
use conex_oci::{ChainId, DiffId, Digest};
use rustix::fs::{AtFlags, CWD, FlockOperation, MemfdFlags, Mode, OFlags, linkat};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use super::{Layers, Mounts, Result, seal};
use crate::layers::LayerError;
use crate::layers::shelf::store;

/// `EROFS_SUPER_MAGIC_V1` (linux/magic.h).
const MAGIC: u64 = 0xE0F5_E1E2;
/// Bytes of a record that are read: of more layers than any image may have.
const RECORD_LIMIT: u64 = 1 << 20;

/// The merged images of one store, and their mounts.
#[derive(Debug, Clone)]
pub struct Merged {
    images: PathBuf,
    mounts: PathBuf,
    through: Mounts,
    is_sealed: bool,
}

impl Merged {
    /// Images in `images`, mounts in `mounts`, which both exist.
    pub(crate) fn new(images: PathBuf, mounts: PathBuf, through: Mounts, is_sealed: bool) -> Self {
        Self { images, mounts, through, is_sealed }
    }

    /// Where the layers are mounted, if they are. One system call: it is asked for each container that starts.
    pub fn mounted(&self, chain: &ChainId) -> Option<PathBuf> {
        let path = self.mounts.join(chain.0.hex());
        is_mounted(&path).then_some(path)
    }

    /// Mounts the layers, lowest first, all of which are in `layers`; merges them first unless that was done before.
    ///
    /// # Errors
    /// [`LayerError::Image`] when a layer is damaged or the kernel refuses; [`LayerError::Store`].
    pub fn mount(&self, chain: &ChainId, ids: &[DiffId], layers: &dyn Layers) -> Result<PathBuf> {
        let _lock = self.lock(chain)?;
        let path = self.mounts.join(chain.0.hex());
        if is_mounted(&path) {
            return Ok(path);
        }
        let image = self.image(chain, ids, layers)?;
        let mount = conex_erofs::mount(&image, &devices(&image, layers)?, self.through);
        let mount = mount.map_err(|source| LayerError::Image { path: image, source: Box::new(source) })?;
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create", &path)(error));
            }
            _ => {}
        }
        move_mount(mount.as_fd(), "", CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(store("mount the image on", &path))?;
        Ok(path)
    }

    /// Merges the layers unless that was done before: at the end of a pull, so that no start has to.
    ///
    /// # Errors
    /// As [`Merged::mount`].
    pub fn merge(&self, chain: &ChainId, ids: &[DiffId], layers: &dyn Layers) -> Result<()> {
        let _lock = self.lock(chain)?;
        self.image(chain, ids, layers).map(drop)
    }

    /// The merged image, if it is here and not what the layers make.
    ///
    /// # Errors
    /// As [`Merged::mount`].
    pub(crate) fn differs(
        &self,
        chain: &ChainId,
        ids: &[DiffId],
        layers: &dyn Layers,
    ) -> Result<Option<PathBuf>> {
        let path = self.images.join(format!("{}.erofs", chain.0.hex()));
        let here = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed("open", &path))?,
        };
        // In memory: on a full disk one wants to know, too.
        let made = rustix::fs::memfd_create("merged", MemfdFlags::CLOEXEC).map(File::from);
        let made = made.map_err(store("create a copy in memory of", &path))?;
        merge(&made, &path, ids, layers)?;
        let same = same_bytes(&here, &made).map_err(failed("read", &path))?;
        Ok((!same).then_some(path))
    }

    /// Where they are.
    pub(crate) fn images(&self) -> &Path {
        &self.images
    }

    /// Keeps others from merging or mounting these layers; `None` while somebody does.
    pub(crate) fn try_lock(&self, chain: &Digest) -> Result<Option<File>> {
        self.lock_with(&ChainId(*chain), FlockOperation::NonBlockingLockExclusive)
    }

    /// Removes a merged image, whatever it is, and its mount: containers have clones of it.
    pub(crate) fn discard(&self, chain: &Digest) -> Result<()> {
        self.remove(&ChainId(*chain))
    }

    /// Removes the merged images, and the mounts, of which one of these layers is a part. A record that nobody can read names no layers
    /// that anybody needs.
    pub(crate) fn forget(&self, gone: &BTreeSet<DiffId>) -> Result<()> {
        for chain in self.list()? {
            let ids = read_ids(&self.images.join(format!("{}.json", chain.0.hex())));
            if ids.map_or(true, |ids| ids.iter().any(|id| gone.contains(id))) {
                self.remove(&chain)?;
            }
        }
        Ok(())
    }

    /// What is merged, was to be, or is mounted; in no order.
    ///
    /// # Errors
    /// [`LayerError::Store`].
    pub fn list(&self) -> Result<Vec<ChainId>> {
        let mut chains = BTreeSet::new();
        for directory in [&self.images, &self.mounts] {
            for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
                let path = entry.map_err(failed("read", directory))?.path();
                let hex = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                chains.extend(format!("sha256:{hex}").parse().ok().map(ChainId));
            }
        }
        Ok(chains.into_iter().collect())
    }

    /// Removes a merged image and its mount. That nothing needs it is for the caller to know, as with
    /// [`Layers::remove`]; one that somebody is merging or mounting at this moment stays, for the next who collects.
    ///
    /// # Errors
    /// [`LayerError::Store`].
    pub fn remove(&self, chain: &ChainId) -> Result<()> {
        let (lock, file) = (self.lock_path(chain), self.images.join(format!("{}.erofs", chain.0.hex())));
        // Without making one: what is removed must not need space.
        let held = match File::options().write(true).open(&lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            held => Some(held.map_err(failed("lock", &lock))?),
        };
        if held.as_ref().is_some_and(|held| {
            rustix::fs::flock(held, FlockOperation::NonBlockingLockExclusive).is_err()
                || !held.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
        }) {
            return Ok(());
        }
        let mount = self.mounts.join(chain.0.hex());
        // Containers have clones of it. Where there is none, or only in another mount namespace, the directory stays or goes.
        let _ = unmount(&mount, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&mount);
        for path in [&file, &file.with_extension("json"), &lock] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The merged image, made if it is not there. The lock is held.
    fn image(&self, chain: &ChainId, ids: &[DiffId], layers: &dyn Layers) -> Result<PathBuf> {
        let path = self.images.join(format!("{}.erofs", chain.0.hex()));
        match rustix::fs::access(&path, rustix::fs::Access::EXISTS) {
            Ok(()) => return Ok(path),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(store("look at", &path)(error)),
        }
        let file = self.temporary()?;
        merge(&file, &path, ids, layers)?;
        // The record first: an image without one would never go.
        let mut record = self.temporary()?;
        let text = serde_json::to_vec(ids).map_err(|error| failed("write", &path)(error.into()))?;
        record.write_all(&text).map_err(failed("write", &path))?;
        for (file, path) in [(&record, path.with_extension("json")), (&file, path.clone())] {
            file.sync_data().map_err(failed("write out", &path))?;
            match linkat(CWD, link(file), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
                // The record of an image that was not to be.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(store("create", &path)(error)),
            }
        }
        drop(file);
        if self.is_sealed {
            seal::seal(&path)?;
        }
        Ok(path)
    }

    /// A file that goes by itself unless it is given a name.
    fn temporary(&self) -> Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.images, flags, Mode::RUSR | Mode::WUSR);
        file.map(File::from).map_err(store("create a file in", &self.images))
    }

    /// The chain's lock, waited for.
    fn lock(&self, chain: &ChainId) -> Result<File> {
        let locked = self.lock_with(chain, FlockOperation::LockExclusive)?;
        Ok(locked.unwrap_or_else(|| unreachable!("it waits")))
    }

    fn lock_with(&self, chain: &ChainId, operation: FlockOperation) -> Result<Option<File>> {
        let path = self.lock_path(chain);
        loop {
            let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(failed("lock", &path))?;
            match rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation)) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(store("lock", &path)(error)),
            }
            // It may have gone with its image meanwhile.
            if file.metadata().map_err(failed("lock", &path))?.nlink() > 0 {
                return Ok(Some(file));
            }
        }
    }

    fn lock_path(&self, chain: &ChainId) -> PathBuf {
        self.mounts.join(format!("{}.lock", chain.0.hex()))
    }
}

/// Merges the layers into an empty file, which is `path` in errors.
fn merge(into: &File, path: &Path, ids: &[DiffId], layers: &dyn Layers) -> Result<()> {
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let layer = layers.lower(id)?.ok_or(LayerError::Missing { layer: *id })?;
        let file = File::open(&layer).map_err(failed("open", &layer))?;
        files.push((file, id.0.hex()));
    }
    let parts: Vec<_> = files.iter().map(|(image, name)| MergeLayer { image, name }).collect();
    conex_erofs::merge(&parts, into, &WriteOptions::default())
        .map_err(|source| LayerError::Image { path: path.to_owned(), source: Box::new(source) })?;
    Ok(())
}

/// The layers that a record names; or, in words, why nobody knows.
pub(crate) fn read_ids(record: &Path) -> std::result::Result<Vec<DiffId>, String> {
    let mut bytes = Vec::new();
    conex_content::open_plain(record)
        .and_then(|file| file.take(RECORD_LIMIT).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// The layers' images in the order in which the merged one names them.
fn devices(image: &Path, layers: &dyn Layers) -> Result<Vec<PathBuf>> {
    let damaged = |source| LayerError::Image { path: image.to_owned(), source: Box::new(source) };
    let file = File::open(image).map_err(failed("open", image))?;
    let tags = Image::open(&file).and_then(|image| image.devices()).map_err(damaged)?;
    let find = |tag: &[u8; 64]| {
        let id =
            std::str::from_utf8(tag).ok().and_then(|hex| format!("sha256:{hex}").parse().ok()).map(DiffId);
        let id = id
            .ok_or_else(|| damaged(conex_erofs::Error::Superblock("a device has no diff_id for its name")))?;
        layers.check_seal(&id)?;
        layers.lower(&id)?.ok_or(LayerError::Missing { layer: id })
    };
    tags.iter().map(find).collect()
}

fn is_mounted(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == MAGIC)
}

fn same_bytes(one: &File, other: &File) -> io::Result<bool> {
    let (length, theirs) = (one.metadata()?.len(), other.metadata()?.len());
    let (mut left, mut right) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    let mut at = 0;
    while length == theirs && at < length {
        let count = usize::try_from(length - at).map_or(left.len(), |rest| rest.min(left.len()));
        one.read_exact_at(&mut left[..count], at)?;
        other.read_exact_at(&mut right[..count], at)?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(length == theirs)
}

fn link(file: &File) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayerError {
    let path = path.to_owned();
    move |source| LayerError::Store { what, path, source }
}
