//! Reads a stream on one thread while another works on it: inflating and hashing a layer takes as long as making its
//! files, and so the two go on side by side.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

const BUFFER: usize = 256 << 10;
/// Buffers that are full and wait; with the one on each side, memory for a stream is 1 MiB.
const WAITING: usize = 2;

/// Runs `work` on what `source` gives, reading `source` on this thread and running `work` on another, which has ended
/// when this returns. A stream that fits one buffer is worth no thread.
///
/// What `source` fails with, `work` sees as an error of its stream. Reading stops when `work` returns.
///
/// # Errors
/// Only if there can be no thread.
pub fn read_ahead<T: Send>(
    source: &mut dyn Read,
    work: impl FnOnce(&mut dyn Read) -> T + Send,
) -> io::Result<T> {
    let (first, error) = fill(source, Vec::with_capacity(BUFFER));
    if first.len() < BUFFER {
        let rest = Ended(error);
        return Ok(work(&mut Cursor::new(first).chain(rest)));
    }
    let (full, filled) = sync_channel(WAITING);
    let (free, freed) = channel();
    std::thread::scope(|scope| {
        let mut reader = Ahead { filled, free, current: Cursor::new(first) };
        let worker = std::thread::Builder::new().name("unpack".to_owned());
        let worker = worker.spawn_scoped(scope, move || work(&mut reader))?;
        pump(source, full, &freed);
        Ok(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Fills buffers until the stream ends or fails, or nobody wants any more.
fn pump(source: &mut dyn Read, full: SyncSender<io::Result<Vec<u8>>>, freed: &Receiver<Vec<u8>>) {
    loop {
        let (buffer, error) = fill(source, freed.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER)));
        let is_last = buffer.len() < BUFFER;
        if full.send(Ok(buffer)).is_err() {
            return;
        }
        if let Some(error) = error {
            let _ = full.send(Err(error));
            return;
        }
        if is_last {
            return;
        }
    }
}

/// As much as fits; less only at the stream's end, or with the error that stopped it.
fn fill(source: &mut dyn Read, mut buffer: Vec<u8>) -> (Vec<u8>, Option<io::Error>) {
    buffer.clear();
    let error = source.take(BUFFER as u64).read_to_end(&mut buffer).err();
    (buffer, error)
}

/// The stream, on the side of the one who works on it.
struct Ahead {
    filled: Receiver<io::Result<Vec<u8>>>,
    free: Sender<Vec<u8>>,
    current: Cursor<Vec<u8>>,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.filled.recv() {
                Ok(next) => {
                    let used = std::mem::replace(&mut self.current, Cursor::new(next?));
                    let _ = self.free.send(used.into_inner());
                }
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Nothing, or an error first.
struct Ended(Option<io::Error>);

impl Read for Ended {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `length` bytes, given in odd portions; then an error, if wanted.
    struct Portions {
        at: usize,
        length: usize,
        fails: bool,
    }

    impl Read for Portions {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.length - self.at).min(1 + self.at % 7919);
            if count == 0 && self.fails {
                return Err(io::Error::other("torn"));
            }
            for (index, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = ((self.at + index) % 251) as u8;
            }
            self.at += count;
            Ok(count)
        }
    }

    #[test]
    fn every_byte_comes_once_and_errors_come_last() {
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 9 * BUFFER + 5] {
            for fails in [false, true] {
                let (bytes, error) = read_ahead(&mut Portions { at: 0, length, fails }, |reader| {
                    let mut bytes = Vec::new();
                    let error = reader.read_to_end(&mut bytes).err();
                    (bytes, error)
                })
                .unwrap();
                assert_eq!(bytes.len(), length);
                assert!(bytes.iter().enumerate().all(|(index, &byte)| usize::from(byte) == index % 251));
                assert_eq!(error.is_some(), fails, "{length}");
            }
        }
    }

    #[test]
    fn a_worker_may_stop_early() {
        let mut endless = io::repeat(7);
        let first = read_ahead(&mut endless, |reader| {
            let mut first = [0; 3];
            reader.read_exact(&mut first).map(|()| first)
        });
        assert_eq!(first.unwrap().unwrap(), [7; 3]);
    }
}
