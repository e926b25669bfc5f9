//! `logs`: what a container wrote, from the log file and its rotated ones, with memory bounded by one line.

use conex_oci::ContainerId;

use crate::{Engine, Result};

/// What `logs` takes.
#[derive(Debug, Clone, Default)]
pub struct LogsQuery {
    /// `-f`: goes on until the container ends.
    pub follow: bool,
    /// `--since`, nanoseconds since 1970; lines at or after it.
    pub since: Option<i128>,
    /// `--until`, likewise; lines at or before it.
    pub until: Option<i128>,
    /// `-n`: only the last so many; `None` is all.
    pub tail: Option<usize>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output; also a terminal's.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Where it was written.
    pub stream: LogStream,
    /// RFC 3339 with nanoseconds, UTC; as `logs -t` shows it.
    pub time: String,
    /// With its newline, unless it was split (16 KiB) or is unfinished.
    pub bytes: Vec<u8>,
}

impl Engine {
    /// Hands each line to `each`, which stops the reading by returning an error (a closed pipe).
    ///
    /// # Errors
    /// A log driver that cannot be read back, a log that cannot be read, or what `each` returned.
    pub fn logs(
        &self,
        id: &ContainerId,
        query: &LogsQuery,
        each: &mut dyn FnMut(LogLine) -> std::io::Result<()>,
    ) -> Result<()> {
        let _ = (id, query, each);
        todo!()
    }
}
