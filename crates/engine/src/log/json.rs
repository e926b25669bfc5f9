//! Docker's `json-file` format: `{"log":"text\n","stream":"stdout","time":"2006-01-02T15:04:05.999999999Z"}` a line, and
//! its rotation: `container.log`, `container.log.1` (newer) to `container.log.N-1`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::time::Time;
use crate::{Error, LogStream, Result};

/// A log file that is being written.
#[derive(Debug)]
pub struct JsonFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_file: u32,
    /// Lines that are encoded and not written.
    pending: Vec<u8>,
}

impl JsonFile {
    /// The file's name in the container's directory.
    pub const NAME: &str = "container.log";

    /// Opens the log in `directory` for appending. With `max_size`, `max_file` files are kept, the current one counted;
    /// 1 when absent, which throws the old lines away.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn open(directory: &Path, max_size: Option<u64>, max_file: Option<u32>) -> Result<Self> {
        let path = directory.join(Self::NAME);
        let fail = |source| Error::Write { path: path.clone(), source };
        let file = append(&path, false).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        let max_file = max_file.unwrap_or(if max_size.is_some() { 5 } else { 1 });
        let max_size = max_size.unwrap_or(u64::MAX);
        Ok(Self { path, file, size, max_size, max_file, pending: Vec::new() })
    }

    /// Encodes one line; [`JsonFile::flush`] writes it.
    pub(super) fn line(&mut self, stream: LogStream, line: &[u8], time: Time) {
        let start = self.pending.len();
        encode(&mut self.pending, stream, line, time);
        let length = (self.pending.len() - start) as u64;
        if self.size + length > self.max_size && self.size > 0 {
            let line = self.pending.split_off(start);
            self.flush();
            if let Err(error) = self.rotate() {
                log::warn!("{}: cannot rotate: {error}", self.path.display());
            }
            self.pending = line;
        }
        self.size += length;
    }

    /// Writes what is encoded.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.file.write_all(&self.pending) {
            log::warn!("{}: {error}", self.path.display());
        }
        self.pending.clear();
        self.pending.shrink_to(1024);
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.max_file).rev() {
            let older = numbered(&self.path, number);
            match std::fs::rename(numbered(&self.path, number - 1), older) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = append(&self.path, true)?;
        self.size = 0;
        Ok(())
    }
}

/// `container.log` for 0, `container.log.3` for 3.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

fn append(path: &Path, empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    #[expect(clippy::cast_possible_wrap, reason = "a flag")]
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    let file = options.open(path)?;
    if empty {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Appends the JSON of one line, newline included.
fn encode(to: &mut Vec<u8>, stream: LogStream, line: &[u8], time: Time) {
    to.extend_from_slice(br#"{"log":""#);
    escape(to, line);
    to.extend_from_slice(match stream {
        LogStream::Stdout => br#"","stream":"stdout","time":""#,
        LogStream::Stderr => br#"","stream":"stderr","time":""#,
    });
    // Writing to a vector cannot fail.
    let _ = writeln!(to, "{time}\"}}");
}

/// As Go's encoder with its HTML-safe default: bytes that are not UTF-8 become U+FFFD.
fn escape(to: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => to.extend_from_slice(b"\\\""),
                '\\' => to.extend_from_slice(b"\\\\"),
                '\n' => to.extend_from_slice(b"\\n"),
                '\r' => to.extend_from_slice(b"\\r"),
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(to, "\\u{:04x}", u32::from(character));
                }
                _ => to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            to.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_dockers() {
        let mut text = Vec::new();
        encode(&mut text, LogStream::Stderr, b"a\t\"<b>\"\xff\n", Time(1_500_000_000));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"log\":\"a\\u0009\\\"\\u003cb\\u003e\\\"\\ufffd\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01.5Z\"}\n"
        );
    }

    proptest! {
        #[test]
        fn json_parsers_read_it_back(line in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut text = Vec::new();
            encode(&mut text, LogStream::Stdout, &line, Time(0));
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(value["log"].as_str().unwrap(), String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn rotation_keeps_so_many_files_of_that_size() {
        let place = tempfile::tempdir().unwrap();
        let mut file = JsonFile::open(place.path(), Some(200), Some(3)).unwrap();
        for number in 0..40 {
            file.line(LogStream::Stdout, format!("line {number:02}\n").as_bytes(), Time(0));
            file.flush();
        }
        let text = |number| {
            std::fs::read_to_string(numbered(&place.path().join(JsonFile::NAME), number)).unwrap_or_default()
        };
        assert!(text(0).contains("line 39") && !text(0).contains("line 30"));
        assert!(!text(1).is_empty() && !text(2).is_empty() && text(3).is_empty());
        assert!((0..3).all(|number| text(number).len() <= 200));
        let mut all: Vec<String> = [text(2), text(1), text(0)].concat().lines().map(str::to_owned).collect();
        let sorted = {
            let mut copy = all.clone();
            copy.sort();
            copy
        };
        assert_eq!(all, sorted, "oldest first");
        all.dedup();
        assert_eq!(all.len(), sorted.len());
    }

    #[test]
    fn one_file_starts_over() {
        let place = tempfile::tempdir().unwrap();
        let mut file = JsonFile::open(place.path(), Some(100), Some(1)).unwrap();
        for number in 0..10 {
            file.line(LogStream::Stdout, format!("line {number}\n").as_bytes(), Time(0));
            file.flush();
        }
        let text = std::fs::read_to_string(place.path().join(JsonFile::NAME)).unwrap();
        assert!(text.len() <= 100 && text.contains("line 9"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
