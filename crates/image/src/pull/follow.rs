//! A layer unpacked while it is still on its way: a reader that follows behind what has come of a blob.
//!
//! What it reads is not verified yet, and need not be: a layer counts by the digest of what came out of it, and is published
//! only when that is right. It reads the store's own file, so memory does not grow with the distance.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A blob that grows from its beginning.
#[derive(Debug, Default)]
pub(super) struct Growing {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    /// Bytes from the beginning that are in the file.
    here: u64,
    /// Whether they are all, once it has ended.
    ended: Option<bool>,
}

impl Growing {
    /// What follows reads `file`, in which `here` bytes are.
    pub(super) fn begin(&self, file: File, here: u64) {
        let mut state = self.state();
        (state.file, state.here) = (Some(Arc::new(file)), here);
        self.moved.notify_all();
    }

    /// As much is in the file now.
    pub(super) fn reach(&self, here: u64) {
        self.state().here = here;
        self.moved.notify_all();
    }

    /// No more comes; whether that was all of it.
    pub(super) fn end(&self, whole: bool) {
        self.state().ended.get_or_insert(whole);
        self.moved.notify_all();
    }

    /// Reads it from the beginning.
    pub(super) fn follow(&self) -> Follower<'_> {
        Follower { growing: self, at: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: the state is whole whoever panicked beside it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Growing::follow`].
pub(super) struct Follower<'a> {
    growing: &'a Growing,
    at: u64,
}

impl Read for Follower<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, here) = {
            let mut state = self.growing.state();
            loop {
                if state.here > self.at
                    && let Some(file) = &state.file
                {
                    break (Arc::clone(file), state.here);
                }
                match state.ended {
                    Some(true) => return Ok(0),
                    Some(false) => return Err(io::Error::other("the download has ended before")),
                    None => {}
                }
                state = self.growing.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let most = usize::try_from(here - self.at).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = file.read_at(&mut buffer[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_follows_waits_and_reads_all_there_is() {
        let mut file = tempfile::tempfile().unwrap();
        let growing = Growing::default();
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| io::read_to_string(growing.follow()));
            file.write_all(b"one").unwrap();
            growing.begin(file.try_clone().unwrap(), 3);
            for (word, here) in [(&b" two"[..], 7), (b" three", 13)] {
                file.write_all(word).unwrap();
                growing.reach(here);
            }
            growing.end(true);
            reader.join().unwrap()
        });
        assert_eq!(read.unwrap(), "one two three");
    }

    #[test]
    fn what_breaks_off_is_no_end() {
        let growing = Growing::default();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"half").unwrap();
        growing.begin(file, 4);
        growing.end(false);
        growing.end(true);
        let mut read = String::new();
        assert!(growing.follow().read_to_string(&mut read).is_err());
        assert_eq!(read, "half");
    }
}
