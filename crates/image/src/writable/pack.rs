//! Files of a tree into a tar stream: metadata by the held descriptor, each file's bytes once, other names as hard links.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use conex_archive::{Header, Kind, Time, Writer};
use rustix::fs::{FileType, major, minor};

use super::WritableError;
use super::error::Result;
use super::file::Held;

/// What an archive's reader takes (the kernel takes no longer path in a call).
const LONGEST_PATH: usize = 4095;

/// A tar stream in the making.
pub(super) struct Packer<W: Write> {
    tar: Writer<W>,
    /// The name under which a file of several names was packed, by device and inode.
    names: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { tar: Writer::new(sink), names: HashMap::new() }
    }

    pub(super) fn finish(self) -> Result<W> {
        Ok(self.tar.finish()?)
    }

    /// An empty regular file that stands for something else: a whiteout.
    pub(super) fn mark(&mut self, path: Vec<u8>) -> Result<()> {
        if path.len() > LONGEST_PATH {
            return Err(WritableError::unfit(&path, "its path is longer than 4095 bytes"));
        }
        Ok(self.tar.append(&Header::new(path, Kind::File { size: 0 }), io::empty())?)
    }

    /// A file as it is; a directory without its contents. A socket is passed over: no archive has them.
    pub(super) fn add(&mut self, path: &[u8], file: &Held) -> Result<()> {
        if path.len() > LONGEST_PATH {
            return Err(WritableError::unfit(path, "its path is longer than 4095 bytes"));
        }
        let stat = &file.stat;
        let kind = match file.kind() {
            FileType::Socket | FileType::Unknown => return Ok(()),
            FileType::Directory => Kind::Directory,
            _ if stat.st_nlink > 1 && self.named(file, path).is_some() => {
                Kind::HardLink { target: self.named(file, path).unwrap_or_default() }
            }
            FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
            FileType::Symlink => {
                let target = file.target().map_err(WritableError::walk("read the link", path))?;
                Kind::Symlink { target }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => {
                Kind::CharDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
            }
            FileType::BlockDevice => {
                Kind::BlockDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
            }
        };
        let xattrs = match kind {
            Kind::Symlink { .. } | Kind::HardLink { .. } => Vec::new(),
            _ => file.xattrs(path)?,
        };
        let mtime = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec.try_into().unwrap_or(0) };
        let (mode, uid, gid) = (file.mode(), file.uid, file.gid);
        let header = Header { path: path.to_vec(), kind, mode, uid, gid, mtime, xattrs };
        let Kind::File { size } = header.kind else { return Ok(self.tar.append(&header, io::empty())?) };
        let contents = file.contents().map_err(|source| WritableError::Walk {
            what: "open",
            path: String::from_utf8_lossy(path).into_owned(),
            source,
        })?;
        // It may be growing or shrinking; its header has been decided upon.
        Ok(self.tar.append(&header, contents.chain(io::repeat(0)).take(size))?)
    }

    /// The name that a file was packed under before; if it was not, this one is noted.
    fn named(&mut self, file: &Held, path: &[u8]) -> Option<Vec<u8>> {
        let noted = self.names.entry((file.stat.st_dev, file.stat.st_ino)).or_insert_with(|| path.to_vec());
        (noted != path).then(|| noted.clone())
    }
}
