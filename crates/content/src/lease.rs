//! Locks by digest, so that collection never takes what somebody is about to need.
//!
//! Whoever brings content in (load, pull, a starting run) *leases* each digest before looking whether it is here, and
//! lets go after the reference (or container record) that needs it is written. Whoever collects *claims* a digest, looks
//! again whether any root reaches it, and only then deletes. A lease excludes a claim of the same digest and nothing else.

use conex_oci::Digest;

use crate::{Content, Result};

/// Digests that may not be collected while this lives. Drop it before a fork: the lock belongs to the open file.
#[must_use = "dropping a lease lets its digests be collected"]
#[derive(Debug)]
pub struct Lease {}

/// Digests that may be deleted: nobody leases them.
#[must_use]
#[derive(Debug)]
pub struct Claim {}

impl Content {
    /// An empty lease.
    pub fn lease(&self) -> Result<Lease> {
        todo!()
    }
}

impl Lease {
    /// Adds a digest (of a blob, a layer's diff_id, an image's id). Waits while it is being deleted.
    pub fn add(&self, digest: &Digest) -> Result<()> {
        let _ = digest;
        todo!()
    }
}
