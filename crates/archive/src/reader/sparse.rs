//! Sparse maps: which runs of a file are in the archive; everything between them is a hole.

use std::io::Read;

use super::block::{self, Block};
use super::pax::{self, Pax};
use super::source::{BLOCK, Source};
use crate::error::shown;
use crate::{Error, Limits, Result};

/// Offset and length, each in bytes.
pub(super) type Segment = (u64, u64);

/// Reads the map of an old GNU sparse entry: in the header, then in extension blocks before the data.
pub(super) fn old_gnu<R: Read>(
    source: &mut Source<R>,
    header: &Block<'_>,
    limits: &Limits,
    path: &[u8],
) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let bad = |offset| move |reason| Error::Sparse { offset, reason };
    let mut more = header.sparse(&mut segments).map_err(bad(source.position()))?;
    while more {
        let Some(raw) = source.block("a sparse map")? else {
            return Err(Error::Truncated { offset: source.position(), what: "a sparse map" });
        };
        more = block::sparse_extension(&raw, &mut segments).map_err(bad(source.position()))?;
        check_count(segments.len(), limits, path)?;
    }
    Ok(segments)
}

/// The map of GNU's formats 0.0 and 0.1, all in PAX records.
pub(super) fn from_records(map: &[u64], offset: u64, limits: &Limits, path: &[u8]) -> Result<Vec<Segment>> {
    if !map.len().is_multiple_of(2) {
        return Err(Error::Sparse { offset, reason: "an offset has no length" });
    }
    check_count(map.len() / 2, limits, path)?;
    Ok(map.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Reads the map of GNU's format 1.0, which stands in front of the data: decimal numbers, one a line, the first of
/// them the count of segments; padded to a block. Gives the map's own length in the archive too.
pub(super) fn from_data<R: Read>(
    source: &mut Source<R>,
    available: u64,
    limits: &Limits,
    path: &[u8],
) -> Result<(Vec<Segment>, u64)> {
    let bad = |source: &Source<R>, reason| Error::Sparse { offset: source.position(), reason };
    let mut used = 0;
    let mut line = Vec::new();
    let mut numbers = Vec::new();
    let mut wanted = None;
    while wanted != Some(numbers.len()) {
        used += BLOCK as u64;
        if used > available {
            return Err(bad(source, "it does not end within the entry"));
        }
        let Some(raw) = source.block("a sparse map")? else {
            return Err(Error::Truncated { offset: source.position(), what: "a sparse map" });
        };
        for &byte in &raw {
            if byte != b'\n' {
                line.push(byte);
                if line.len() > 20 {
                    return Err(bad(source, "a line is no number"));
                }
                continue;
            }
            let number = pax::decimal(&line).ok_or_else(|| bad(source, "a line is no number"))?;
            line.clear();
            match wanted {
                None => {
                    let count = usize::try_from(number).unwrap_or(usize::MAX);
                    check_count(count, limits, path)?;
                    wanted = Some(count * 2);
                }
                Some(_) => numbers.push(number),
            }
            if wanted == Some(numbers.len()) {
                break;
            }
        }
    }
    Ok((numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(), used))
}

/// Checks that the segments are in order, within the file, and as long together as the data that follows.
pub(super) fn check(segments: &[Segment], file: u64, data: u64, offset: u64) -> Result<()> {
    let bad = |reason| Error::Sparse { offset, reason };
    let (mut end, mut sum) = (0, 0_u64);
    for &(start, length) in segments {
        if start < end {
            return Err(bad("its segments overlap or are out of order"));
        }
        end = start.checked_add(length).ok_or_else(|| bad("a segment ends beyond all numbers"))?;
        sum = sum.checked_add(length).ok_or_else(|| bad("its segments are too long"))?;
    }
    if end > file {
        return Err(bad("a segment ends beyond the file's size"));
    }
    if sum != data {
        return Err(bad("its segments are not as long as the entry's data"));
    }
    Ok(())
}

/// The size of the file that PAX records describe.
pub(super) fn real_size(pax: &Pax, offset: u64) -> Result<u64> {
    pax.sparse.real_size.ok_or(Error::Sparse { offset, reason: "it has no size" })
}

fn check_count(count: usize, limits: &Limits, path: &[u8]) -> Result<()> {
    if count > limits.max_segments {
        let limit = limits.max_segments as u64;
        return Err(Error::Limit {
            what: "the number of its sparse segments",
            limit,
            path: Some(shown(path)),
        });
    }
    Ok(())
}
