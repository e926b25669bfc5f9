//! Docker's `json-file` format: `{"log":"text\n","stream":"stdout","time":"2006-01-02T15:04:05.999999999Z"}` a line, and
//! its rotation: `container.log`, `container.log.1` (newer) to `container.log.N-1`, with `.gz` behind it once it is compressed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use conex_archive::{Compression, Compressor};

use crate::options::LogOptions;
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
    compress: bool,
    /// What each line carries, encoded: `"attrs":{…},`, or nothing.
    attributes: Vec<u8>,
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
    pub fn open(directory: &Path, options: &LogOptions) -> Result<Self> {
        let (max_size, max_file) = (options.max_size, options.max_file);
        let path = directory.join(Self::NAME);
        let fail = |source| Error::Write { path: path.clone(), source };
        let file = append(&path, false).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        let max_file = max_file.unwrap_or(if max_size.is_some() { 5 } else { 1 });
        let max_size = max_size.unwrap_or(u64::MAX);
        let (compress, pending) = (options.compress, Vec::new());
        Ok(Self { path, file, size, max_size, max_file, compress, attributes: Vec::new(), pending })
    }

    /// Gives each line what `logs --details` shows.
    #[must_use]
    pub fn with_attributes(mut self, attributes: &BTreeMap<String, String>) -> Self {
        if !attributes.is_empty() {
            self.attributes.extend_from_slice(b"\"attrs\":");
            self.attributes.extend(serde_json::to_vec(attributes).unwrap_or_default());
            self.attributes.push(b',');
        }
        self
    }

    /// Encodes one line; [`JsonFile::flush`] writes it.
    pub(super) fn line(&mut self, stream: LogStream, line: &[u8], time: Time) {
        let start = self.pending.len();
        encode(&mut self.pending, stream, line, &self.attributes, time);
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
            // Each is either compressed or not.
            for (name, other) in [(plain as Name, packed as Name), (packed, plain)] {
                match std::fs::rename(name(&self.path, number - 1), name(&self.path, number)) {
                    Ok(()) => drop(std::fs::remove_file(other(&self.path, number))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if self.compress
            && self.max_file > 1
            && let Err(error) = compress(&self.path)
        {
            log::warn!("{}: cannot compress what was rotated: {error}", self.path.display());
        }
        self.file = append(&self.path, true)?;
        self.size = 0;
        Ok(())
    }
}

type Name = fn(&Path, u32) -> PathBuf;

/// `container.log.3.gz`
pub(super) fn packed(path: &Path, number: u32) -> PathBuf {
    let mut name = plain(path, number).into_os_string();
    name.push(".gz");
    name.into()
}

/// Compresses the file that was rotated last. It is whole under its new name or is not there, and the old one goes last: a reader
/// looks for that first.
fn compress(path: &Path) -> io::Result<()> {
    let (from, to) = (plain(path, 1), packed(path, 1));
    let temporary = to.with_extension("part");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
    let copy = |mut file: File| {
        let mut plain = File::open(&from)?;
        file.write_all(&note(plain.metadata()?.ino()))?;
        let mut sink = Compressor::new(file, Compression::Gzip)?;
        io::copy(&mut plain, &mut sink)?;
        sink.finish().map(drop)
    };
    let done = copy(file);
    match done.and_then(|()| std::fs::rename(&temporary, &to)) {
        Ok(()) => std::fs::remove_file(&from),
        Err(error) => {
            let _ = std::fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// An empty member of gzip (RFC 1952) whose comment says of which file the rest was made: a reader that was in the middle of that
/// one finds its place.
fn note(inode: u64) -> Vec<u8> {
    let mut member = NOTE.to_vec();
    member.extend_from_slice(format!("{inode:016x}").as_bytes());
    // The comment's end, an empty block, the sum and the size of nothing.
    member.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    member
}

/// Magic, deflate, a comment, no time, no level, no system; and the comment's beginning.
const NOTE: &[u8; 15] = b"\x1f\x8b\x08\x10\0\0\0\0\0\xffinode";

/// What such a note says.
pub(super) fn origin(file: &File) -> io::Result<Option<u64>> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; NOTE.len() + 16];
    match file.read_exact_at(&mut start, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let digits = start.strip_prefix(NOTE).and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()))
}

/// `container.log` for 0, `container.log.3` for 3.
pub(super) fn plain(path: &Path, number: u32) -> PathBuf {
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
fn encode(to: &mut Vec<u8>, stream: LogStream, line: &[u8], attributes: &[u8], time: Time) {
    to.extend_from_slice(br#"{"log":""#);
    escape(to, line);
    to.extend_from_slice(match stream {
        LogStream::Stdout => br#"","stream":"stdout","#,
        LogStream::Stderr => br#"","stream":"stderr","#,
    });
    to.extend_from_slice(attributes);
    // Writing to a vector cannot fail.
    let _ = writeln!(to, "\"time\":\"{time}\"}}");
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

    fn sized(size: u64, files: u32) -> LogOptions {
        LogOptions { max_size: Some(size), max_file: Some(files), ..LogOptions::default() }
    }

    #[test]
    fn compressed_files_are_kept_as_others_are() {
        let place = tempfile::tempdir().unwrap();
        let mut file = JsonFile::open(place.path(), &LogOptions { compress: true, ..sized(200, 4) }).unwrap();
        for number in 0..40 {
            file.line(LogStream::Stdout, format!("line {number:02}\n").as_bytes(), Time(number));
            file.flush();
        }
        let mut names: Vec<_> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["container.log", "container.log.1.gz", "container.log.2.gz", "container.log.3.gz"]
        );
        let lines = |tail| {
            let mut cursor = super::super::read::Cursor::open(place.path(), tail).unwrap();
            let lines = std::iter::from_fn(|| cursor.next_line().unwrap());
            lines.map(|line| String::from_utf8(line.bytes).unwrap()).collect::<Vec<_>>()
        };
        let all = lines(None);
        assert!(all.len() >= 8 && all.last().unwrap() == "line 39\n", "{all:?}");
        assert!(all.windows(2).all(|two| two[0] < two[1]), "{all:?}");
        for tail in 0..=all.len() {
            assert_eq!(lines(Some(tail)), all[all.len() - tail..], "{tail}");
        }
    }

    #[test]
    fn a_line_is_dockers() {
        let mut text = Vec::new();
        encode(&mut text, LogStream::Stderr, b"a\t\"<b>\"\xff\n", b"", Time(1_500_000_000));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"log\":\"a\\u0009\\\"\\u003cb\\u003e\\\"\\ufffd\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01.5Z\"}\n"
        );
    }

    proptest! {
        #[test]
        fn json_parsers_read_it_back(line in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut text = Vec::new();
            encode(&mut text, LogStream::Stdout, &line, b"", Time(0));
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(value["log"].as_str().unwrap(), String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn rotation_keeps_so_many_files_of_that_size() {
        let place = tempfile::tempdir().unwrap();
        let mut file = JsonFile::open(place.path(), &sized(200, 3)).unwrap();
        for number in 0..40 {
            file.line(LogStream::Stdout, format!("line {number:02}\n").as_bytes(), Time(0));
            file.flush();
        }
        let text = |number| {
            std::fs::read_to_string(plain(&place.path().join(JsonFile::NAME), number)).unwrap_or_default()
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
        let mut file = JsonFile::open(place.path(), &sized(100, 1)).unwrap();
        for number in 0..10 {
            file.line(LogStream::Stdout, format!("line {number}\n").as_bytes(), Time(0));
            file.flush();
        }
        let text = std::fs::read_to_string(place.path().join(JsonFile::NAME)).unwrap();
        assert!(text.len() <= 100 && text.contains("line 9"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
