//! How slow a peer may be: some bytes in each window of time, however often it sends one.

use std::io;
use std::time::{Duration, Instant};

/// A window.
const WINDOW: Duration = Duration::from_secs(30);
/// Bytes in a window.
const LEAST: u64 = 32 << 10;

/// Watches one body.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), bytes: 0 }
    }

    /// Counts; an error once too few came in a window.
    pub(crate) fn moved(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        if self.began.elapsed() < WINDOW {
            return Ok(());
        }
        if self.bytes < LEAST {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer only drips"));
        }
        *self = Self::new();
        Ok(())
    }
}
