//! Keeps blobs that somebody has just sent from being collected before the manifest comes that needs them.
//!
//! Only those: what an image has already is kept by the image, and must not be kept from being removed by anybody who merely
//! asked for it. A push whose blobs were there and are gone when its manifest comes is told so, and sends them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use conex_content::{Content, Lease};
use conex_oci::Digest;

/// For how long.
const TIME: Duration = Duration::from_secs(30 * 60);
/// How many at most; each costs a descriptor.
const MOST: usize = 1024;

/// What is held, by digest, and since when.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<HashMap<Digest, (Instant, Lease)>>);

impl Holds {
    /// Holds a digest from now on. Waits while it is being deleted.
    pub(crate) fn hold(&self, content: &Content, digest: &Digest) -> conex_content::Result<()> {
        let lease = content.lease()?;
        lease.add(digest)?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (since, _)| since.elapsed() < TIME);
        if held.len() >= MOST
            && let Some(oldest) = held.iter().min_by_key(|(_, (since, _))| *since).map(|(digest, _)| *digest)
        {
            held.remove(&oldest);
        }
        held.insert(*digest, (Instant::now(), lease));
        Ok(())
    }

    /// Lets go of what a manifest keeps by now.
    pub(crate) fn release<'d>(&self, digests: impl Iterator<Item = &'d Digest>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in digests {
            held.remove(digest);
        }
    }
}
