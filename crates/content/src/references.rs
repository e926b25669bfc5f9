//! References: `references/<escaped name>`, each file holding the descriptor that the name points at.

use conex_oci::{Descriptor, Reference};

use crate::{Content, Result};

/// Who keeps a manifest or index alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A reference.
    Reference(Reference),
    /// Nothing but itself: an image whose names have moved on (Docker's dangling image).
    Unnamed,
}

/// A name and what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The name.
    pub name: Name,
    /// The manifest or index.
    pub target: Descriptor,
}

impl Content {
    /// What `reference` points at.
    pub fn get(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let _ = reference;
        todo!()
    }

    /// Points `reference` at `target`. What it pointed at before stays in the store without a name, until it is removed.
    pub fn set(&self, reference: &Reference, target: &Descriptor) -> Result<()> {
        let _ = (reference, target);
        todo!()
    }

    /// Keeps `target` without a name, unless some reference points at it.
    pub fn keep(&self, target: &Descriptor) -> Result<()> {
        let _ = target;
        todo!()
    }

    /// Forgets `name`'s hold on `target`; false when it had none. Blobs stay until [`collect`](Self::collect).
    pub fn forget(&self, root: &Root) -> Result<bool> {
        let _ = root;
        todo!()
    }

    /// All roots, in order of their names.
    pub fn roots(&self) -> Result<Vec<Root>> {
        todo!()
    }
}
