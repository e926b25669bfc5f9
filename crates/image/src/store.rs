//! The store: content and layers together, and the lease that a starting run takes.
//!
//! Images are removed, pruned and collected while others are loaded, pulled and started, and nobody is asked to wait for
//! anybody but over one digest. A *lease* says "I am about to need this", a *claim* "I am about to delete this"; for one
//! digest they exclude each other ([`conex_content::Lease`]). How nothing that is needed is ever deleted, in order of
//! what happens:
//! - load and pull *lease* every blob and diff_id before they look whether it is here, and let go after the reference is
//!   written; so what they found, and what they brought, is there when the reference appears.
//! - run, save and tag lease the image's id ([`Store::lease`]) and then look whether the image still has its root. If it
//!   has, it keeps it, and all that is below it, until they have written the container's record, the archive, the name.
//! - rmi and prune *claim* the image's id, ask which containers were made from it, and only then forget its roots
//!   ([`Store::remove`], which waits a moment for a claim; [`Store::prune`], which passes over what it cannot claim).
//!   Roots go before blobs: whoever misses a blob looks again and finds that the name is gone.
//! - collection deletes what no root reaches, each thing under a claim, after looking again ([`Store::collect`]). It lists
//!   the roots while nobody changes them. A root that has lost a document might have led to anything: while there is one,
//!   only a prune collects, which knows what containers need.
//!
//! Containers need no lease for as long as they live: their record is what rmi and prune ask for. All locks end with their
//! process, so that a SIGKILL leaves at most unreferenced blobs and unlocked temporaries, which the next collection clears.

use std::fmt;
use std::path::{Path, PathBuf};

use conex_content::{Content, Lease};
use conex_oci::Reference;

use crate::layers::{Backend, Directories, Images, LayerError, Layers, Merged};
use crate::resolve::Rooted;
use crate::{Error, Image, Result};

/// The images of one ROOT. Cheap to open; holds no lock and no thread.
pub struct Store {
    content: Content,
    layers: Box<dyn Layers + Send + Sync>,
    backend: Backend,
    /// Of layers that are EROFS images.
    pub(crate) merged: Option<Merged>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.root()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store at `root`, making what is missing; with layers as directories, which leaves nothing outside of it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let why = "a store by itself has no place for mounts".to_owned();
        Self::with(Content::open(root)?, Path::new(""), Backend::Directories { why })
    }

    /// Opens the store at `root`, with layers in the form that is best here and images mounted below `run`.
    pub fn open_to_run(root: impl Into<PathBuf>, run: &Path) -> Result<Self> {
        let content = Content::open(root)?;
        let mounts = run.join("images");
        make(&mounts)?;
        let backend = Backend::of(content.root(), &mounts)?;
        Self::with(content, &mounts, backend)
    }

    fn with(content: Content, mounts: &Path, backend: Backend) -> Result<Self> {
        let root = content.root().join("layers");
        let (layers, merged): (Box<dyn Layers + Send + Sync>, _) = match backend {
            Backend::Directories { .. } => (Box::new(Directories::open(&root)?), None),
            Backend::Erofs { mounts: through, is_sealed } => {
                let images = content.root().join("merged");
                make(&images)?;
                let layers = Images::open(&root)?;
                let layers = if is_sealed { layers.sealed() } else { layers };
                (Box::new(layers), Some(Merged::new(images, mounts.to_owned(), through, is_sealed)))
            }
        };
        Ok(Self { content, layers, backend, merged })
    }

    /// Which form layers have, and why.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// ROOT.
    pub fn root(&self) -> &Path {
        self.content.root()
    }

    /// The blobs and references.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The unpacked layers.
    pub fn layers(&self) -> &(dyn Layers + Send + Sync) {
        &*self.layers
    }

    /// Keeps the image from being removed while this lives: taken between `resolve` and the writing of the container's
    /// record. Fails with [`Error::NotFound`] when the image went in between. Drop it before a fork.
    pub fn lease(&self, image: &Image) -> Result<Lease> {
        let lease = self.content.lease()?;
        lease.add(&image.id)?;
        if self.is_rooted(image)? { Ok(lease) } else { Err(Error::NotFound { name: image.name() }) }
    }

    /// Whether the root that the image was found by is still there. While the image's id is leased this stays so: whoever
    /// removes it holds the id alone until all is forgotten.
    pub(crate) fn is_rooted(&self, image: &Image) -> Result<bool> {
        let target = image.target.digest;
        if let Some(reference) = image.references.first()
            && self.content.get(reference)?.is_some_and(|now| now.digest == target)
        {
            return Ok(true);
        }
        let same = |rooted: &Rooted| {
            (rooted.id, rooted.manifest.digest) == (image.id, image.manifest_digest)
                && [rooted.root.target.digest, rooted.manifest.digest].contains(&target)
        };
        Ok(self.images_of_roots()?.iter().any(same) || self.images_at_once()?.iter().any(same))
    }

    /// All references that lead to the image, by themselves or by an index, in order.
    pub fn names(&self, image: &Image) -> Result<Vec<Reference>> {
        let rooted = self.images_of_roots()?;
        Ok(rooted
            .iter()
            .filter(|rooted| rooted.id == image.id)
            .filter_map(|rooted| rooted.root.reference().cloned())
            .collect())
    }
}

/// A directory that only its owner may enter.
fn make(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| LayerError::Store { what: "create", path: path.to_owned(), source }.into())
}
