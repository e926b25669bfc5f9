//! Reads a log back, rotated files included: from the start, or from the last so many lines, which are looked for from
//! the end so that a huge file costs no more than its tail.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::json::{JsonFile, numbered};
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
}

/// A place in the log of one container: a file, oldest first, and how far it has been read.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    file: Option<BufReader<File>>,
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
        let Some(newest) = open(&cursor.path)? else { return Ok(cursor) };
        // Held from here on, newest first: a rotation in between moves names, not files.
        let mut files = vec![newest];
        while let Some(file) = open(&numbered(&cursor.path, u32::try_from(files.len()).unwrap_or(u32::MAX)))?
        {
            files.push(file);
        }
        let mut missing = tail.unwrap_or(usize::MAX);
        let mut start = files.len() - 1;
        if tail.is_some() {
            for (number, file) in files.iter_mut().enumerate() {
                start = number;
                missing -= seek_last(file, missing)?;
                if missing == 0 {
                    break;
                }
            }
        }
        cursor.file = Some(BufReader::new(files.swap_remove(start)));
        Ok(cursor)
    }

    /// The next line; `None` at the (present) end of the newest file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            let Some(file) = &mut self.file else {
                match open(&self.path)? {
                    Some(file) => self.file = Some(BufReader::new(file)),
                    None => return Ok(None),
                }
                continue;
            };
            let room = LONGEST.saturating_sub(self.partial.len() as u64);
            let read = file.by_ref().take(room).read_until(b'\n', &mut self.partial)?;
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
        let here = file.get_ref().metadata()?;
        let position = file.stream_position()?;
        let newest = match std::fs::metadata(&self.path) {
            Ok(newest) => newest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if (newest.dev(), newest.ino()) == (here.dev(), here.ino()) {
            if here.len() < position {
                file.seek(SeekFrom::Start(0))?;
                self.partial.clear();
                return Ok(true);
            }
            return Ok(false);
        }
        if here.len() > position {
            return Ok(true); // it grew between the last read and its rotation
        }
        // Its number now; one that was thrown away was older than all that are left.
        let mut number = 1;
        let next = loop {
            match std::fs::metadata(numbered(&self.path, number)) {
                Ok(other) if (other.dev(), other.ino()) == (here.dev(), here.ino()) => break number - 1,
                Ok(_) => number += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break number - 1,
                Err(error) => return Err(error),
            }
        };
        self.partial.clear();
        self.file = open(&numbered(&self.path, next))?.map(BufReader::new);
        Ok(self.file.is_some())
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
    })
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
