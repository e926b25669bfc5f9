//! A tree as a tar stream: names in order, metadata whole, each file's bytes once, holes left out.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use conex_archive::{Extent, Header, Kind, Time, Writer};
use rustix::fs::{FileType, SeekFrom, major, minor};
use rustix::io::Errno;

use super::Node;
use crate::{Error, Result};

/// What an archive's reader takes (the kernel takes no longer path in a call).
const LONGEST_PATH: usize = 4095;
/// Holes of one file that are told; a file with more is written as it reads.
const MOST_EXTENTS: usize = 65_536;

/// Writes a tree as a tar, its root as `./`; gives the sink back.
///
/// # Errors
/// When the tree cannot be read, or the sink takes no more.
pub fn export<W: Write>(root: BorrowedFd<'_>, sink: W) -> Result<W> {
    let mut tar = Writer::new(sink);
    let mut known: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    if let Some(node) = Node::open(root, b".", b"")? {
        tar.append(&header(&node, b"./", Kind::Directory)?, io::empty())?;
    }
    super::walk(root, |_, _, path, node| add(&mut tar, &mut known, path, node), |_| Ok(()))?;
    Ok(tar.finish()?)
}

fn header(node: &Node, path: &[u8], kind: Kind) -> Result<Header> {
    let stat = &node.stat;
    let xattrs = match kind {
        Kind::Symlink { .. } | Kind::HardLink { .. } => Vec::new(),
        _ => node.attributes(path)?,
    };
    let mtime = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec.try_into().unwrap_or(0) };
    Ok(Header {
        path: path.to_vec(),
        kind,
        mode: node.mode(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime,
        xattrs,
    })
}

fn add<W: Write>(
    tar: &mut Writer<W>,
    known: &mut HashMap<(u64, u64), Vec<u8>>,
    path: &[u8],
    node: &Node,
) -> Result<()> {
    if path.len() > LONGEST_PATH {
        return Err(Error::tree("pack", path)(Errno::NAMETOOLONG));
    }
    let stat = &node.stat;
    let of_several_names = stat.st_nlink > 1 && node.kind() != FileType::Directory;
    let packed = of_several_names.then(|| known.get(&(stat.st_dev, stat.st_ino)).cloned()).flatten();
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    let kind = match node.kind() {
        // No archive has them, and nobody listens on one that is unpacked.
        FileType::Socket | FileType::Unknown => return Ok(()),
        _ if packed.is_some() => Kind::HardLink { target: packed.unwrap_or_default() },
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Symlink => Kind::Symlink { target: node.target(path)? },
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
    };
    if of_several_names {
        known.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| path.to_vec());
    }
    let header = header(node, path, kind)?;
    let Kind::File { size } = header.kind else { return Ok(tar.append(&header, io::empty())?) };
    let contents = node.contents(path)?;
    let held = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if held < size
        && let Some(extents) = extents(contents.as_fd(), size)
    {
        return Ok(
            tar.append_sparse(&header, &extents, |extent| Piece { file: &contents, at: extent.offset })?
        );
    }
    // It may be growing or shrinking; its header has been decided upon.
    Ok(tar.append(&header, contents.chain(io::repeat(0)).take(size))?)
}

/// Where the file has data; `None` when it cannot be told, or not in few words.
fn extents(file: BorrowedFd<'_>, size: u64) -> Option<Vec<Extent>> {
    let (mut extents, mut at) = (Vec::new(), 0);
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if start >= end || extents.len() >= MOST_EXTENTS {
            break;
        }
        extents.push(Extent { offset: start, length: end - start, position: 0 });
        at = end;
    }
    (extents.len() < MOST_EXTENTS).then_some(extents)
}

/// A file from a place on, with zeros for what it has not any more.
struct Piece<'a> {
    file: &'a std::fs::File,
    at: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        match self.file.read_at(into, self.at)? {
            0 => into.fill(0),
            count => {
                self.at += count as u64;
                return Ok(count);
            }
        }
        Ok(into.len())
    }
}
