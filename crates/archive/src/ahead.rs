//! Reads a stream on one thread while another works on it: inflating and hashing a layer takes as long as making its
//! files, and so the two go on side by side.

use std::io::{self, Read};
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
    work: impl FnOnce(&mut (dyn Read + Send)) -> T + Send,
) -> io::Result<T> {
    let mut first = Portion::empty();
    let error = first.fill(source);
    if first.length < BUFFER {
        let rest = Ended(error);
        return Ok(work(&mut first.unread().chain(rest)));
    }
    let (full, filled) = sync_channel(WAITING);
    let (free, freed) = channel();
    std::thread::scope(|scope| {
        let mut reader = Ahead { filled, free, current: first, at: 0 };
        let worker = std::thread::Builder::new().name("unpack".to_owned());
        let worker = worker.spawn_scoped(scope, move || work(&mut reader))?;
        pump(source, full, &freed);
        Ok(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Fills buffers until the stream ends or fails, or nobody wants any more.
fn pump(source: &mut dyn Read, full: SyncSender<io::Result<Portion>>, freed: &Receiver<Portion>) {
    loop {
        let mut portion = freed.try_recv().unwrap_or_else(|_| Portion::empty());
        let error = portion.fill(source);
        let is_last = portion.length < BUFFER;
        if full.send(Ok(portion)).is_err() {
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

/// A buffer and how much of it is filled. It is zeroed once and then goes round: `Vec::read_to_end` would zero it for
/// each turn and ask the source for small pieces first, which an inflater pays for with a copy of its window each.
struct Portion {
    bytes: Box<[u8]>,
    length: usize,
}

impl Portion {
    fn empty() -> Self {
        Self { bytes: vec![0; BUFFER].into_boxed_slice(), length: 0 }
    }

    /// Takes as much as fits; less only at the stream's end, or with the error that stopped it.
    fn fill(&mut self, source: &mut dyn Read) -> Option<io::Error> {
        self.length = 0;
        while self.length < BUFFER {
            match source.read(&mut self.bytes[self.length..]) {
                Ok(0) => break,
                Ok(count) => self.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The stream, on the side of the one who works on it.
struct Ahead {
    filled: Receiver<io::Result<Portion>>,
    free: Sender<Portion>,
    current: Portion,
    /// Bytes of it that have been read.
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.at == self.current.length {
            let Ok(next) = self.filled.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.current, next?);
            self.at = 0;
            let _ = self.free.send(used);
        }
        let rest = &self.current.unread()[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
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
