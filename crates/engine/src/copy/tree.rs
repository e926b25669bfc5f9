//! Goes through what is copied, directory by directory in the order of names, and hands each file to a sink.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use conex_archive::{Header, Kind, Time};
use conex_image::writable::travels;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, major, minor};
use rustix::io::Errno;

use super::error::{CopyError, Result, file};
use super::ladder::{self, Ladder};
use super::resolve::Source;
use super::{Contents, Root, Sink};

/// Names in one directory, and files in all: more is an attack on our memory.
const MOST: usize = 8_000_000;
/// Bytes of names that are kept: of one directory, and of files that have several.
const MOST_KEPT: usize = 64 << 20;
/// What the kernel takes in a call, less the NUL.
const LONGEST: usize = 4095;
/// The kernel's bounds on the attributes of a file (`<linux/limits.h>`).
const LARGEST_XATTR: usize = 64 << 10;
/// Bytes that are read of a file that the kernel makes up.
const MADE_UP: u64 = 1 << 20;
/// File systems that are no files: `<linux/magic.h>`, of proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, bpf, devpts,
/// mqueue, pstore, configfs, binfmt_misc.
const UNREAL: [u32; 13] = [
    0x9fa0,
    0x6265_6572,
    0x27_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x1cd1,
    0x1980_0202,
    0x6165_676c,
    0x6265_6570,
    0x4249_4e4d,
];

/// Copies all of the source.
pub(super) fn walk(root: &Root, from: Source, sink: &mut dyn Sink) -> Result<()> {
    let mut walk = Walk { root, names: HashMap::new(), kept: 0, count: 0 };
    if !from.is_directory() {
        return walk.file(b"", from.file.as_fd(), &from.stat, sink);
    }
    let top = reopen(from.file.as_fd(), OFlags::DIRECTORY).map_err(file("open", b""))?;
    walk.put(b"", from.file.as_fd(), &from.stat, Kind::Directory, Contents::None, sink)?;
    let first = names(top.as_fd(), b"")?;
    let mut levels = vec![(first.into_iter(), from.stat.st_dev)];
    let mut ladder = Ladder::new(top);
    while let Some((left, device)) = levels.last_mut() {
        let device = *device;
        let Some(name) = left.next() else {
            levels.pop();
            ladder.pop();
            continue;
        };
        walk.count += 1;
        let mut path = ladder.path();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        if path.len() > LONGEST || walk.count > MOST {
            let why = "there are more files, or longer paths, than an archive may have";
            return Err(CopyError::Unfit { path: super::error::shown(&path), why });
        }
        let here = match ladder.here() {
            Ok(here) => here,
            // The directory has gone, or something else has its place: what was left in it is not there any more.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                levels.pop();
                ladder.pop();
                continue;
            }
            Err(errno) => return Err(file("open again the directory of", &path)(errno)),
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = match rustix::fs::openat(here, &name[..], flags, Mode::empty()) {
            Ok(held) => held,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(file("look at", &path)(errno)),
        };
        let stat = rustix::fs::fstat(&held).map_err(file("look at", &path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            walk.file(&path, held.as_fd(), &stat, sink)?;
            continue;
        }
        walk.put(&path, held.as_fd(), &stat, Kind::Directory, Contents::None, sink)?;
        if stat.st_dev != device && is_unreal(held.as_fd()) {
            continue;
        }
        match ladder::open(here, &name, ResolveFlags::NO_SYMLINKS) {
            Ok(directory) => {
                levels.push((names(directory.as_fd(), &path)?.into_iter(), stat.st_dev));
                ladder.push(&name, directory);
            }
            // Swapped since it was looked at.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(file("open", &path)(errno)),
        }
    }
    Ok(())
}

struct Walk<'a> {
    root: &'a Root,
    /// The first name of a file that has several, by device and inode.
    names: HashMap<(u64, u64), Vec<u8>>,
    /// Bytes of these.
    kept: usize,
    count: usize,
}

impl Walk<'_> {
    /// Anything but a directory.
    fn file(&mut self, path: &[u8], held: BorrowedFd<'_>, stat: &Stat, sink: &mut dyn Sink) -> Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_nlink > 1 && !path.is_empty() {
            match self.names.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) if first != path => {
                    let kind = Kind::HardLink { target: first.clone() };
                    return self.put(path, held, stat, kind, Contents::None, sink);
                }
                None if self.kept < MOST_KEPT => {
                    self.kept += path.len();
                    self.names.insert((stat.st_dev, stat.st_ino), path.to_vec());
                }
                // Beyond what is kept each name is a file of its own.
                _ => {}
            }
        }
        let device = || (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match kind {
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(held, c"", Vec::new()).map_err(file("read the link", path))?;
                Kind::Symlink { target: target.into_bytes() }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => {
                let (major, minor) = device();
                Kind::CharDevice { major, minor }
            }
            FileType::BlockDevice => {
                let (major, minor) = device();
                Kind::BlockDevice { major, minor }
            }
            FileType::RegularFile => return self.regular(path, held, stat, sink),
            // No archive has sockets.
            _ => {
                sink.skip();
                return Ok(());
            }
        };
        self.put(path, held, stat, kind, Contents::None, sink)
    }

    fn regular(&self, path: &[u8], held: BorrowedFd<'_>, stat: &Stat, sink: &mut dyn Sink) -> Result<()> {
        // The file that was looked at, whatever has its name by now.
        let opened = File::from(reopen(held, OFlags::NONBLOCK).map_err(file("open", path))?);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size == 0 && is_unreal(held) {
            let mut bytes = Vec::new();
            opened.take(MADE_UP).read_to_end(&mut bytes).map_err(|source| CopyError::File {
                what: "read",
                path: super::error::shown(path),
                source,
            })?;
            let kind = Kind::File { size: bytes.len() as u64 };
            return self.put(path, held, stat, kind, Contents::Bytes(&bytes), sink);
        }
        self.put(path, held, stat, Kind::File { size }, Contents::File(&opened), sink)
    }

    fn put(
        &self,
        path: &[u8],
        held: BorrowedFd<'_>,
        stat: &Stat,
        kind: Kind,
        contents: Contents<'_>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let xattrs = match kind {
            Kind::File { .. } | Kind::Directory => self.xattrs(held, path)?,
            _ => Vec::new(),
        };
        let back = |id| self.root.ids().map_or(id, |ids| ids.back(id));
        let header = Header {
            path: Vec::new(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: back(stat.st_uid),
            gid: back(stat.st_gid),
            mtime: Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec.try_into().unwrap_or(0) },
            xattrs,
        };
        sink.put(path, header, contents)
    }

    fn xattrs(&self, held: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let link = format!("/proc/self/fd/{}", held.as_raw_fd());
        let fail = || file("read the extended attributes of", path);
        let mut list = vec![0; LARGEST_XATTR];
        let length = match rustix::fs::listxattr(&link, &mut list[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(errno) => return Err(fail()(errno)),
        };
        let mut attributes = Vec::new();
        for name in list[..length].split(|&byte| byte == 0).filter(|name| travels(name)) {
            let mut value = vec![0; LARGEST_XATTR];
            match rustix::fs::getxattr(&link, name, &mut value[..]) {
                Ok(length) => value.truncate(length),
                Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
                Err(errno) => return Err(fail()(errno)),
            }
            let value = match self.root.ids() {
                Some(ids) => ids.attribute_back(name, value),
                None => Some(value),
            };
            attributes.extend(value.map(|value| (name.to_vec(), value)));
        }
        attributes.sort_unstable();
        Ok(attributes)
    }
}

/// Opens what a descriptor names, to be read: no path is gone along.
fn reopen(held: BorrowedFd<'_>, more: OFlags) -> rustix::io::Result<OwnedFd> {
    let link = format!("/proc/self/fd/{}", held.as_raw_fd());
    rustix::fs::open(link, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | more, Mode::empty())
}

fn is_unreal(held: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(held).is_ok_and(|fs| UNREAL.contains(&(fs.f_type as u32)))
}

fn names(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Box<[u8]>>> {
    let (mut names, mut kept): (Vec<Box<[u8]>>, usize) = (Vec::new(), 0);
    for entry in Dir::read_from(directory).map_err(file("read the directory", path))? {
        let entry = match entry {
            Ok(entry) => entry,
            // Removed meanwhile.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(file("read the directory", path)(errno)),
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            kept += name.len();
            names.push(name.into());
        }
        if names.len() > MOST || kept > MOST_KEPT {
            let why = "it has too many files";
            return Err(CopyError::Unfit { path: super::error::shown(path), why });
        }
    }
    names.sort_unstable();
    Ok(names)
}
