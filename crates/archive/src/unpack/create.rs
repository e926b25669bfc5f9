//! Makes the file that an entry describes. What is there already is replaced, never written through.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::tree::{self, Tree, unpack};
use super::{Unpacker, xattr};
use crate::error::shown;
use crate::names::{Relative, refused};
use crate::{Entry, Error, Header, Kind, Result, remove_tree};

/// Zeros from this many bytes on become a hole: a bomb of zeros costs no disk.
const HOLE: usize = 4096;

impl Unpacker<'_> {
    /// Makes the entry as `name` in the directory `parent`.
    pub(super) fn entry<R: Read>(
        &mut self,
        parent: &[u8],
        name: &[u8],
        entry: &mut Entry<'_, R>,
    ) -> Result<()> {
        match &entry.header().kind {
            Kind::File { .. } => self.file(parent, name, entry),
            Kind::Directory => self.directory(parent, name, entry.header()),
            Kind::HardLink { target } => self.hard_link(parent, name, target),
            Kind::Symlink { target } => {
                if target.contains(&0) {
                    return Err(refused(&entry.header().path, "its target has a NUL"));
                }
                self.special(parent, name, entry.header(), |directory| {
                    rustix::fs::symlinkat(&target[..], directory, name)
                })
            }
            Kind::Fifo => self.node(parent, name, entry.header(), FileType::Fifo, (0, 0)),
            &Kind::CharDevice { major, minor } => {
                self.node(parent, name, entry.header(), FileType::CharacterDevice, (major, minor))
            }
            &Kind::BlockDevice { major, minor } => {
                self.node(parent, name, entry.header(), FileType::BlockDevice, (major, minor))
            }
            Kind::Unknown { .. } => Ok(()),
        }
    }

    fn file<R: Read>(&mut self, parent: &[u8], name: &[u8], entry: &mut Entry<'_, R>) -> Result<()> {
        let inherited = self.tree.inherited;
        let directory = self.tree.enter(parent)?;
        let setgid = directory.setgid;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&*directory, name, flags, Mode::RUSR | Mode::WUSR);
        let file = replacing(directory.as_fd(), name, &entry.header().path, "create", open)?;
        inherited.forget(directory.as_fd(), name, &entry.header().path)?;
        let mut written = 0;
        while let Some(chunk) = entry.chunk()? {
            let (mut offset, mut data) = (chunk.offset, chunk.data);
            if data.len() >= HOLE && data.iter().all(|&byte| byte == 0) {
                continue;
            }
            while !data.is_empty() {
                match rustix::io::pwrite(&file, data, offset) {
                    Ok(count) => {
                        offset += count as u64;
                        data = &data[count..];
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(unpack("write", &entry.header().path)(error)),
                }
            }
            written = offset;
        }
        let header = entry.header();
        let failed = |what| unpack(what, &header.path);
        if written < header.size() {
            rustix::fs::ftruncate(&file, header.size()).map_err(failed("set the size of"))?;
        }
        // The owner first: a change of owner takes setuid and capabilities away.
        if !self.is_mine(header, setgid) {
            let (uid, gid) = (Uid::from_raw(header.uid), Gid::from_raw(header.gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(failed("set the owner of"))?;
        }
        self.stats.dropped_xattrs += xattr::set(file.as_fd(), &header.xattrs, &header.path)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(header.mode)).map_err(failed("set the mode of"))?;
        rustix::fs::futimens(&file, &times(header)).map_err(failed("set the times of"))?;
        self.stats.bytes = self.stats.bytes.saturating_add(header.size());
        Ok(())
    }

    fn directory(&mut self, parent: &[u8], name: &[u8], header: &Header) -> Result<()> {
        let (overlay, inherited) = (self.overlay, self.tree.inherited);
        let directory = self.tree.enter(parent)?;
        let setgid = directory.setgid;
        let (mut opaque, mut is_new) = (false, true);
        let make = || rustix::fs::mkdirat(&*directory, name, Mode::RWXU);
        let mut made = make();
        if made == Err(Errno::EXIST) {
            let stat = rustix::fs::statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(unpack("look at", &header.path))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                made = Ok(());
                is_new = false;
            } else {
                // What the whiteout hides must not show through the directory that takes its place.
                opaque = tree::is_whiteout_stat(&stat);
                clear(directory.as_fd(), name, &header.path)?;
                made = make();
            }
        }
        made.map_err(unpack("create", &header.path))?;
        if is_new {
            inherited.forget(directory.as_fd(), name, &header.path)?;
        }
        let failed = |what| unpack(what, &header.path);
        if opaque || !header.xattrs.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = rustix::fs::openat(&*directory, name, flags, Mode::empty()).map_err(failed("open"))?;
            if opaque {
                xattr::make_opaque(open.as_fd(), overlay, &header.path)?;
            }
            self.stats.dropped_xattrs += xattr::set(open.as_fd(), &header.xattrs, &header.path)?;
            self.tree.inherited.any |= header.xattrs.iter().any(|(name, _)| xattr::is_inherited(name));
        }
        // One that is there already may be anybody's.
        self.dress(parent, name, header, setgid || !is_new)
    }

    /// The destination itself: its metadata are the root directory's.
    pub(super) fn root_directory(&mut self, header: &Header) -> Result<()> {
        let root = self.tree.enter(b"")?;
        if !header.xattrs.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let open =
                rustix::fs::openat(&*root, c".", flags, Mode::empty()).map_err(unpack("open", b"/"))?;
            self.stats.dropped_xattrs += xattr::set(open.as_fd(), &header.xattrs, b"/")?;
            self.tree.inherited.any |= header.xattrs.iter().any(|(name, _)| xattr::is_inherited(name));
        }
        self.dress(b"", b".", header, true)?;
        self.tree.enter(b"")?.dressed(times(header).last_modification, header.mode);
        Ok(())
    }

    fn hard_link(&mut self, parent: &[u8], name: &[u8], target: &[u8]) -> Result<()> {
        let link = [parent, b"/", name].concat();
        let target = Relative::new(target)?;
        let (target_parent, target_name) =
            target.split().ok_or_else(|| refused(&link, "it is a hard link to the root directory"))?;
        let overlay_target = target_parent.to_vec();
        self.tree.enter(parent)?;
        let from = self.tree.find(&overlay_target, &link)?;
        let directory = self.tree.enter(parent)?;
        // Without AT_SYMLINK_FOLLOW: of a symbolic link, it is the link itself that gets another name.
        let make = || rustix::fs::linkat(&from, target_name, &*directory, name, AtFlags::empty());
        if make() == Err(Errno::EXIST) && same(from.as_fd(), target_name, directory.as_fd(), name) {
            return Ok(());
        }
        replacing(directory.as_fd(), name, &link, "create the hard link", make)
    }

    fn node(
        &mut self,
        parent: &[u8],
        name: &[u8],
        header: &Header,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Result<()> {
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(header.mode);
        let made = self.special(parent, name, header, |directory| {
            rustix::fs::mknodat(directory, name, kind, mode, device)
        });
        match made {
            // Only root makes devices; a container gets those it needs in its own /dev.
            Err(Error::Unpack { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied && !self.is_root =>
            {
                self.stats.skipped += 1;
                Ok(())
            }
            other => other,
        }
    }

    /// A symbolic link, fifo or device. The attributes that the kernel allows on them are all the host's.
    fn special(
        &mut self,
        parent: &[u8],
        name: &[u8],
        header: &Header,
        make: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let inherited = self.tree.inherited;
        let directory = self.tree.enter(parent)?;
        let setgid = directory.setgid;
        replacing(directory.as_fd(), name, &header.path, "create", || make(directory.as_fd()))?;
        // Symbolic links have no lists.
        if !matches!(header.kind, Kind::Symlink { .. }) {
            inherited.forget(directory.as_fd(), name, &header.path)?;
        }
        self.stats.dropped_xattrs += header.xattrs.len() as u64;
        self.dress(parent, name, header, setgid)
    }

    /// Owner, mode and times of all that is not held open.
    fn dress(&mut self, parent: &[u8], name: &[u8], header: &Header, setgid: bool) -> Result<()> {
        let is_mine = self.is_mine(header, setgid);
        let directory = self.tree.enter(parent)?;
        let failed = |what| unpack(what, &header.path);
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if !is_mine {
            let (uid, gid) = (Uid::from_raw(header.uid), Gid::from_raw(header.gid));
            rustix::fs::chownat(&*directory, name, Some(uid), Some(gid), no_follow)
                .map_err(failed("set the owner of"))?;
        }
        if !matches!(header.kind, Kind::Symlink { .. }) {
            // What this follows has just been made, and is no link.
            rustix::fs::chmodat(&*directory, name, Mode::from_raw_mode(header.mode), AtFlags::empty())
                .map_err(failed("set the mode of"))?;
        }
        rustix::fs::utimensat(&*directory, name, &times(header), no_follow)
            .map_err(failed("set the times of"))
    }

    /// Whether a new file belongs to the entry's owner already.
    fn is_mine(&self, header: &Header, setgid: bool) -> bool {
        !setgid && (header.uid, header.gid) == self.owner
    }
}

impl Tree<'_> {
    /// Hides `name` of the layers below.
    pub(super) fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
        let overlay = self.overlay();
        let directory = self.enter(parent)?;
        let path = || [parent, b"/", name].concat();
        let device = rustix::fs::makedev(0, 0);
        match rustix::fs::mknodat(&*directory, name, FileType::CharacterDevice, Mode::empty(), device) {
            Ok(()) => Ok(()),
            // Whiteouts are about the layers below (layer.md#whiteouts): what this layer has of the name stays. If it is
            // a directory, what is below must not be merged into it.
            Err(Errno::EXIST) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::openat(&*directory, name, flags, Mode::empty()) {
                    Ok(existing) => xattr::make_opaque(existing.as_fd(), overlay, &path()),
                    Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                    Err(error) => Err(unpack("open", &path())(error)),
                }
            }
            Err(error) => Err(unpack("create the whiteout", &path())(error)),
        }
    }

    /// Hides all that the layers below have in the directory.
    pub(super) fn opaque(&mut self, path: &[u8]) -> Result<()> {
        let overlay = self.overlay();
        let directory = self.enter(path)?;
        xattr::make_opaque(directory.as_fd(), overlay, path)
    }
}

/// Makes something, after removing what is there under its name.
fn replacing<T>(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    what: &'static str,
    make: impl Fn() -> rustix::io::Result<T>,
) -> Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            clear(directory, name, path)?;
            make().map_err(unpack(what, path))
        }
        other => other.map_err(unpack(what, path)),
    }
}

fn clear(directory: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
    remove_tree(directory, OsStr::from_bytes(name))
        .map_err(|source| Error::Replace { path: shown(path), source })
}

/// Whether both names are one file already.
fn same(a: BorrowedFd<'_>, a_name: &[u8], b: BorrowedFd<'_>, b_name: &[u8]) -> bool {
    let id = |directory, name| {
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    id(a, a_name).is_some_and(|file| Some(file) == id(b, b_name))
}

fn times(header: &Header) -> Timestamps {
    let mtime = Timespec { tv_sec: header.mtime.seconds, tv_nsec: i64::from(header.mtime.nanoseconds) };
    Timestamps { last_access: mtime, last_modification: mtime }
}
