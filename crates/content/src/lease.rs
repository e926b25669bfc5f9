//! Locks by digest, so that collection never takes what somebody is about to need.
//!
//! Whoever brings content in (load, pull, a starting run) *leases* each digest before looking whether it is here, and
//! lets go after the reference (or container record) that needs it is written. Whoever collects *claims* a digest without
//! waiting, looks again whether any root reaches it, and only then deletes. A lease excludes a claim of the same digest
//! and nothing else: all are bytes of the one file `locks`, at an offset made from the digest, so that a lease of a
//! thousand blobs needs one descriptor. Claims never wait while they hold something, so nothing can deadlock.
//! Names are locked in the same file, in a range of their own: a blob's bytes are anybody's to choose, also those of a name.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use conex_oci::Digest;
use conex_sys::range_lock::{Mode, lock, try_lock};

use crate::{Content, Error, Result};

#[derive(Debug)]
struct Locks {
    file: File,
    path: PathBuf,
}

/// Digests that may not be collected while this lives. Drop it before a fork: the lock belongs to the open file, which
/// the child would share.
#[must_use = "dropping a lease lets its digests be collected"]
#[derive(Debug)]
pub struct Lease(Locks);

/// Digests that may be deleted while this lives: nobody leases them.
#[must_use = "dropping a claim lets others lease its digests"]
#[derive(Debug)]
pub struct Claim(Locks);

/// One name that nobody else changes (or pulls) while this lives.
#[must_use = "dropping a guard lets others in"]
#[derive(Debug)]
pub struct Guard(#[expect(dead_code, reason = "held for its lock")] Locks);

impl Content {
    /// An empty lease.
    pub fn lease(&self) -> Result<Lease> {
        self.locks().map(Lease)
    }

    /// An empty claim.
    pub fn claim(&self) -> Result<Claim> {
        self.locks().map(Claim)
    }

    /// Waits until nobody else changes what is called `name`.
    pub fn guard(&self, name: &str) -> Result<Guard> {
        let locks = self.locks()?;
        locks.wait(NAMES | offset(&Digest::of(name.as_bytes())), Mode::Exclusive)?;
        Ok(Guard(locks))
    }

    /// Each lock set has an open file of its own, so that two in one process exclude each other like any others.
    fn locks(&self) -> Result<Locks> {
        let path = self.root().join("locks");
        match OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path) {
            Ok(file) => Ok(Locks { file, path }),
            Err(source) => Err(Error::Lock { path, source }),
        }
    }
}

impl Locks {
    fn wait(&self, offset: u64, mode: Mode) -> Result<()> {
        lock(&self.file, offset, mode).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Lock { path: self.path.clone(), source }
    }
}

/// Where the locks of names begin: above all of those of digests.
const NAMES: u64 = 1 << 60;

/// 60 bits of the digest: two digests that share them merely wait for each other.
fn offset(digest: &Digest) -> u64 {
    u64::from_str_radix(&digest.hex()[..15], 16).unwrap_or_default()
}

impl Lease {
    /// Adds a digest (of a blob, a layer's diff_id, an image's id). Waits while it is being deleted.
    pub fn add(&self, digest: &Digest) -> Result<()> {
        self.0.wait(offset(digest), Mode::Shared)
    }
}

impl Claim {
    /// Adds a digest unless somebody leases or claims it; never waits.
    pub fn try_add(&self, digest: &Digest) -> Result<bool> {
        try_lock(&self.0.file, offset(digest), Mode::Exclusive).map_err(|source| self.0.failed(source))
    }

    /// Gives a digest back: it may be leased again.
    pub fn release(&self, digest: &Digest) -> Result<()> {
        self.0.wait(offset(digest), Mode::Unlocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_keeps_its_digests_from_a_claim() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let (ours, other) = (Digest::of(b"a"), Digest::of(b"b"));
        let lease = content.lease().unwrap();
        lease.add(&ours).unwrap();
        lease.add(&ours).unwrap();
        content.lease().unwrap().add(&ours).unwrap();
        let claim = content.claim().unwrap();
        assert!(!claim.try_add(&ours).unwrap());
        assert!(claim.try_add(&other).unwrap());
        drop(lease);
        assert!(claim.try_add(&ours).unwrap());
        claim.release(&ours).unwrap();
        assert!(content.claim().unwrap().try_add(&ours).unwrap());
        assert!(!content.claim().unwrap().try_add(&other).unwrap(), "the other one was not given back");
    }

    #[test]
    fn a_blob_with_the_bytes_of_a_name_is_in_no_names_way() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let lease = content.lease().unwrap();
        for name in ["docker.io/library/a:latest", "index.json"] {
            lease.add(&Digest::of(name.as_bytes())).unwrap();
            // Would wait for ever.
            drop(content.guard(name).unwrap());
        }
    }

    #[test]
    fn a_lease_waits_for_a_claim() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::open(root.path()).unwrap();
        let digest = content.put(b"a").unwrap();
        let claim = content.claim().unwrap();
        assert!(claim.try_add(&digest).unwrap());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                content.lease().unwrap().add(&digest).unwrap();
                content.has(&digest)
            });
            std::fs::remove_file(content.path(&digest)).unwrap();
            drop(claim);
            assert!(!waiter.join().unwrap(), "the lease came before the deletion was over");
        });
    }
}
