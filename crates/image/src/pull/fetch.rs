//! One blob from the registry into the store: half of one is taken up, a large one comes in pieces over several
//! connections, and of several processes that want the same blob one fetches it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use conex_content::{Partial, Pieces};
use conex_oci::Descriptor;
use conex_registry::Error as RegistryError;

use super::follow::Growing;
use super::{Pull, Refusal};
use crate::{Error, Result};

/// Bytes moved at a time.
const CHUNK: usize = 128 << 10;
/// Bytes between two reports of progress.
const REPORT: u64 = 512 << 10;
/// How often a waiting thread looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(50);

/// Hears how many bytes are here; from several threads.
pub(super) type Tell<'a> = &'a (dyn Fn(u64) + Sync);

impl Pull<'_> {
    /// Brings a blob here unless it is, telling how many bytes have come. False when it gave up because `stop` was set:
    /// somebody else has the error.
    pub(super) fn blob(&self, descriptor: &Descriptor, stop: &AtomicBool, tell: Tell<'_>) -> Result<bool> {
        self.followed_blob(descriptor, stop, tell, &Growing::default())
    }

    /// The same with somebody who reads it while it comes; when this returns, nobody waits any more.
    pub(super) fn followed_blob(
        &self,
        descriptor: &Descriptor,
        stop: &AtomicBool,
        tell: Tell<'_>,
        growing: &Growing,
    ) -> Result<bool> {
        let brought = self.bring(descriptor, stop, tell, growing);
        growing.end(matches!(brought, Ok(true)));
        brought
    }

    fn bring(
        &self,
        descriptor: &Descriptor,
        stop: &AtomicBool,
        tell: Tell<'_>,
        growing: &Growing,
    ) -> Result<bool> {
        self.lease.add(&descriptor.digest)?;
        let content = self.store.content();
        if content.has(&descriptor.digest) {
            return Ok(true);
        }
        let _one = content.guard(&format!("blob {}", descriptor.digest))?;
        if content.has(&descriptor.digest) {
            tell(descriptor.size);
            return Ok(true);
        }
        let mut resumed = 0;
        let mut brought = self.fetch(descriptor, stop, tell, &mut resumed, growing);
        while let Err(error) = &brought
            && is_other(error)
        {
            // What was left here by somebody may have rotted: once more, from the beginning. Else it is the fault of who serves it.
            if resumed == 0 && !self.client.pass_over_mirror(self.reference)? {
                break;
            }
            log::debug!("{}: {error}; {resumed} bytes of it were here before", descriptor.digest);
            // Who follows has read what was wrong.
            growing.end(false);
            brought = self.fetch(descriptor, stop, tell, &mut resumed, &Growing::default());
        }
        brought
    }

    /// `resumed` is how many bytes were here before.
    fn fetch(
        &self,
        descriptor: &Descriptor,
        stop: &AtomicBool,
        tell: Tell<'_>,
        resumed: &mut u64,
        growing: &Growing,
    ) -> Result<bool> {
        let piece = self.client.options().piece_of(descriptor.size);
        let mut partial = self.store.content().partial(&descriptor.digest, descriptor.size, piece)?;
        let have = partial.resume()?;
        *resumed = have;
        if have > 0 {
            log::debug!("{}: {have} of {} bytes are here already", descriptor.digest, descriptor.size);
            tell(have);
        }
        let file = partial.file().map_err(|source| self.unwritten(descriptor, source))?;
        growing.begin(file, have);
        let mut whole = match piece {
            Some(_) => self.wide(descriptor, &mut partial, stop, tell, growing),
            None => self.narrow(descriptor, &mut partial, have, stop, tell, growing),
        };
        if let Err(Error::Registry(RegistryError::Ranges { .. })) = &whole {
            log::debug!("{}: the registry knows no ranges", descriptor.digest);
            let have = partial.split().1.position();
            whole = self.narrow(descriptor, &mut partial, have, stop, tell, growing);
        }
        match whole {
            Ok(true) => {}
            // A blob of another size than was promised is a lie, and no half of anything.
            Err(error @ Error::Registry(RegistryError::Size { .. })) => {
                partial.discard();
                return Err(error);
            }
            other => return other,
        }
        match partial.commit() {
            Ok(()) => {
                self.remember(&descriptor.digest);
                Ok(true)
            }
            Err(source @ conex_content::Error::Mismatch { .. }) => {
                Err(self.refuse(Refusal::Corrupt { digest: descriptor.digest, source }))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// In order, over one connection.
    fn narrow(
        &self,
        descriptor: &Descriptor,
        partial: &mut Partial,
        have: u64,
        stop: &AtomicBool,
        tell: Tell<'_>,
        growing: &Growing,
    ) -> Result<bool> {
        let mut blob = self.client.fetch_range(self.reference, descriptor, have..descriptor.size)?;
        let (mut buffer, mut position, mut told) = (vec![0; CHUNK], have, have);
        loop {
            let count = blob.next(&mut buffer)?;
            if count == 0 {
                return Ok(true);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            partial.append(&buffer[..count]).map_err(|source| self.unwritten(descriptor, source))?;
            position += count as u64;
            growing.reach(position);
            if position - told >= REPORT {
                told = position;
                tell(told);
            }
        }
    }

    /// In pieces, over several connections; this thread hashes in order what the others bring. All have ended when it
    /// returns.
    fn wide(
        &self,
        descriptor: &Descriptor,
        partial: &mut Partial,
        stop: &AtomicBool,
        tell: Tell<'_>,
        growing: &Growing,
    ) -> Result<bool> {
        let (pieces, hashing) = partial.split();
        let missing: Vec<usize> = (0..pieces.count()).filter(|index| !pieces.has(*index)).collect();
        let left: u64 =
            missing.iter().map(|index| pieces.range(*index)).map(|range| range.end - range.start).sum();
        let work = Work {
            next: AtomicUsize::new(0),
            came: AtomicU64::new(descriptor.size - left),
            failure: Mutex::new(None),
            moved: Condvar::new(),
            ended: AtomicBool::new(false),
        };
        let threads = self.client.options().ranges.min(missing.len());
        let hashed = std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(index) = missing.get(work.next.fetch_add(1, Ordering::Relaxed)) {
                        if stop.load(Ordering::Relaxed) || work.ended.load(Ordering::Relaxed) {
                            break;
                        }
                        let fetched = self.piece(descriptor, pieces, *index, &work, stop, tell);
                        let mut failure = work.failure.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Err(error) = fetched {
                            work.ended.store(true, Ordering::Relaxed);
                            failure.get_or_insert(error);
                        }
                        work.moved.notify_all();
                    }
                });
            }
            for index in 0..pieces.count() {
                if !work.wait_for(pieces, index, stop) {
                    return Ok(false);
                }
                let end = pieces.range(index).end;
                hashing.advance(pieces, end, &mut |_| Ok(())).inspect_err(|_| {
                    work.ended.store(true, Ordering::Relaxed);
                })?;
                growing.reach(end);
            }
            Ok(true)
        });
        let failure = work.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => Err(error),
            None => hashed.map_err(|source| self.unwritten(descriptor, source)),
        }
    }

    fn piece(
        &self,
        descriptor: &Descriptor,
        pieces: &Pieces,
        index: usize,
        work: &Work,
        stop: &AtomicBool,
        tell: Tell<'_>,
    ) -> Result<()> {
        let range = pieces.range(index);
        let mut position = range.start;
        let mut blob = self.client.fetch_range(self.reference, descriptor, range.clone())?;
        let (mut buffer, mut untold) = (vec![0; CHUNK], 0);
        loop {
            let count = blob.next(&mut buffer)?;
            if count == 0 {
                break;
            }
            if stop.load(Ordering::Relaxed) || work.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            let written = pieces.write_at(&buffer[..count], position);
            written.map_err(|source| self.unwritten(descriptor, source))?;
            position += count as u64;
            untold += count as u64;
            let came = work.came.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            if untold >= REPORT {
                untold = 0;
                tell(came);
            }
        }
        pieces.finish(index).map_err(|source| self.unwritten(descriptor, source))
    }
}

/// Whether other bytes came than were asked for.
fn is_other(error: &Error) -> bool {
    match error {
        Error::Pull { why, .. } => matches!(**why, Refusal::Corrupt { .. }),
        Error::Registry(error) => matches!(error, RegistryError::Size { .. }),
        _ => false,
    }
}

/// What the threads of one blob share.
struct Work {
    /// Into the list of missing pieces.
    next: AtomicUsize,
    /// Bytes here.
    came: AtomicU64,
    failure: Mutex<Option<Error>>,
    /// A piece has come, or a thread has failed.
    moved: Condvar,
    ended: AtomicBool,
}

impl Work {
    /// Waits for a piece; false when it will not come.
    fn wait_for(&self, pieces: &Pieces, index: usize, stop: &AtomicBool) -> bool {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if pieces.has(index) {
                return true;
            }
            if failure.is_some() || stop.load(Ordering::Relaxed) {
                return false;
            }
            let waited = self.moved.wait_timeout(failure, LOOK);
            failure = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
