//! Reads a log back, rotated files included: from the start, or from the last so many lines, which are looked for from
//! the end so that a huge file costs no more than its tail.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use conex_archive::decompress;
use serde::Deserialize;

use super::json::{JsonFile, origin, packed, plain};
use crate::time::Time;
use crate::{LogLine, LogStream, LogsQuery};

/// Longer than any line of ours: 16 KiB, each byte at most six characters.
const LONGEST: u64 = 256 << 10;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    stream: &'a str,
    time: &'a str,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// A place in the log of one container: a file, oldest first, and how far it has been read.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    file: Option<Open>,
    /// The unfinished line at the end of the file.
    partial: Vec<u8>,
}

impl Cursor {
    /// At the beginning of the oldest file, or before the last `tail` lines.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(directory: &Path, tail: Option<usize>) -> io::Result<Self> {
        let path = directory.join(JsonFile::NAME);
        let mut cursor = Self { path, file: None, partial: Vec::new() };
        let Some(newest) = Open::settled(&cursor.path, 0)? else { return Ok(cursor) };
        // Held from here on, newest first: a rotation in between moves names, not files.
        let mut files = vec![newest];
        for number in 1.. {
            let Some(file) = Open::settled(&cursor.path, number)? else { break };
            // The one before it, under its next name.
            if files.last().is_some_and(|last: &Open| !file.is_that_of(last)) {
                files.push(file);
            }
        }
        let mut missing = tail.unwrap_or(usize::MAX);
        let mut start = files.len() - 1;
        if tail.is_some() {
            for (number, file) in files.iter_mut().enumerate() {
                start = number;
                missing -= file.seek_last(missing)?;
                if missing == 0 {
                    break;
                }
            }
        }
        cursor.file = Some(files.swap_remove(start));
        Ok(cursor)
    }

    /// The next line; `None` at the (present) end of the newest file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            let Some(file) = &mut self.file else {
                match Open::settled(&self.path, 0)? {
                    Some(file) => self.file = Some(file),
                    None => return Ok(None),
                }
                continue;
            };
            let room = LONGEST.saturating_sub(self.partial.len() as u64);
            let read = file.lines.by_ref().take(room).read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') {
                let line = parse(&self.partial);
                self.partial.clear();
                // Not ours, or torn by a full disk.
                let Some(line) = line else { continue };
                return Ok(Some(line));
            }
            if self.partial.len() as u64 >= LONGEST {
                self.partial.clear();
                continue;
            }
            if read > 0 || self.advance()? {
                continue;
            }
            return Ok(None);
        }
    }

    /// At the end of a file: goes to the next newer one, if this is not the newest, or back to the beginning of one that
    /// has been cut. False when there is nothing more.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let newest = match std::fs::metadata(&self.path) {
            Ok(newest) => newest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if (newest.dev(), newest.ino()) == file.id {
            if file.is_cut()? {
                *file = Open::number(&self.path, 0)?.ok_or(io::ErrorKind::NotFound)?;
                self.partial.clear();
                return Ok(true);
            }
            return Ok(false);
        }
        if file.has_more()? {
            return Ok(true); // it grew between the last read and its rotation
        }
        self.partial.clear();
        self.file = self.next_newer()?;
        Ok(self.file.is_some())
    }

    /// The next newer file. Each is held while the next older one is looked for: names move on meanwhile, and what was found under one
    /// is then found again under the next.
    fn next_newer(&self) -> io::Result<Option<Open>> {
        let mut newer: Option<Open> = None;
        for number in 0.. {
            let Some(other) = Open::settled(&self.path, number)? else { break };
            if self.file.as_ref().is_some_and(|file| other.is_that_of(file)) {
                return Ok(newer);
            }
            newer = Some(other);
        }
        // One that was thrown away was older than all that are left.
        Ok(newer)
    }
}

/// A file of the log, compressed or not.
struct Open {
    lines: Box<dyn BufRead>,
    file: File,
    path: PathBuf,
    id: (u64, u64),
    is_packed: bool,
    /// Of which file it was made, if it is compressed.
    origin: Option<u64>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Open {
    /// The file of that number, at its beginning. `None` when there is none.
    fn number(path: &Path, number: u32) -> io::Result<Option<Self>> {
        // One that is being compressed has both names for a moment, and then the second.
        for (path, is_packed) in [(plain(path, number), false), (packed(path, number), true)] {
            match File::open(&path) {
                Ok(file) => return Self::new(file, path, is_packed).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The same while files get their next names, the oldest first: for a moment one in the middle has none.
    fn settled(path: &Path, number: u32) -> io::Result<Option<Self>> {
        const PATIENCE: u32 = 200;
        for _ in 0..PATIENCE {
            if let Some(file) = Self::number(path, number)? {
                return Ok(Some(file));
            }
            let older = number.saturating_add(1);
            if !plain(path, older).exists() && !packed(path, older).exists() {
                // It may have come there in between.
                return Self::number(path, number);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(None)
    }

    /// Whether it is the other, or has been made of it.
    fn is_that_of(&self, other: &Self) -> bool {
        self.id == other.id || (!other.is_packed && self.origin == Some(other.id.1))
    }

    fn new(file: File, path: PathBuf, is_packed: bool) -> io::Result<Self> {
        let meta = file.metadata()?;
        let origin = if is_packed { origin(&file)? } else { None };
        let lines = Self::lines(&file, is_packed)?;
        Ok(Self { lines, file, path, id: (meta.dev(), meta.ino()), is_packed, origin })
    }

    fn lines(file: &File, is_packed: bool) -> io::Result<Box<dyn BufRead>> {
        let own = file.try_clone()?;
        Ok(match is_packed {
            true => Box::new(BufReader::new(decompress(own).map_err(io::Error::other)?)),
            false => Box::new(BufReader::new(own)),
        })
    }

    /// Whether it has become shorter than what was read of it.
    fn is_cut(&mut self) -> io::Result<bool> {
        Ok(!self.is_packed && self.file.metadata()?.len() < self.file.stream_position()?)
    }

    fn has_more(&mut self) -> io::Result<bool> {
        Ok(!self.is_packed && self.file.metadata()?.len() > self.file.stream_position()?)
    }

    /// Goes to the start of the last `count` finished lines; returns how many there are, at most `count`.
    fn seek_last(&mut self, count: usize) -> io::Result<usize> {
        if !self.is_packed {
            return seek_last(&mut self.file, count);
        }
        // From its end it cannot be read: once to count, and once more to get there.
        let all = self.skip_lines(usize::MAX)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.lines = Self::lines(&self.file, true)?;
        let wanted = all.min(count);
        self.skip_lines(all - wanted)?;
        Ok(wanted)
    }

    /// Reads so many lines, or as many as there are; how many.
    fn skip_lines(&mut self, most: usize) -> io::Result<usize> {
        let mut count = 0;
        while count < most {
            let buffer = self.lines.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.lines.consume(taken);
            count += usize::from(end.is_some());
        }
        Ok(count)
    }
}

/// Whether a line is in the time that a query asks for; `Err` when none after it can be.
pub fn in_time(line: &LogLine, query: &LogsQuery) -> Result<bool, Past> {
    let Ok(time) = line.time.parse::<Time>() else { return Ok(false) };
    let time = i128::from(time.0);
    if query.until.is_some_and(|until| time > until) {
        return Err(Past);
    }
    Ok(query.since.is_none_or(|since| time >= since))
}

/// A line after `--until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past;

fn parse(line: &[u8]) -> Option<LogLine> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    Some(LogLine {
        stream: match line.stream {
            "stderr" => LogStream::Stderr,
            _ => LogStream::Stdout,
        },
        time: line.time.parse::<Time>().ok()?.padded(),
        bytes: line.log.into_owned().into_bytes(),
        attributes: line.attrs,
    })
}

/// Seeks to the start of the last `count` finished lines; returns how many there are, at most `count`.
fn seek_last(file: &mut File, count: usize) -> io::Result<usize> {
    let mut position = file.seek(SeekFrom::End(0))?;
    let (mut found, mut block) = (0, [0; 16 << 10]);
    if count == 0 {
        return Ok(0);
    }
    // The newline before the first line that is wanted is the (count + 1)-th from the end.
    while position > 0 {
        let length = position.min(block.len() as u64);
        position -= length;
        file.seek(SeekFrom::Start(position))?;
        #[expect(clippy::cast_possible_truncation, reason = "at most the block's length")]
        let block = &mut block[..length as usize];
        file.read_exact(block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if found == count {
                file.seek(SeekFrom::Start(position + at as u64 + 1))?;
                return Ok(count);
            }
            found += 1;
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(found)
}
