//! `tmpcopyup`: a new tmpfs starts with what the image has in that place.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// Regular files, directories and symlinks; the image's directory is read through held descriptors, to a depth that no real
/// one reaches.
pub(super) fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let from = fs::openat(from, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    copy_directory(from.as_fd(), to, 64)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<(), Errno> {
    if depth == 0 {
        return Err(Errno::NAMETOOLONG);
    }
    for entry in fs::Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        let open = |flags| fs::openat(from, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                fs::mkdirat(to, name, mode)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = fs::openat(to, name, flags, Mode::empty())?;
                copy_directory(open(OFlags::RDONLY | OFlags::DIRECTORY)?.as_fd(), made.as_fd(), depth - 1)?;
            }
            FileType::Symlink => {
                let target = fs::readlinkat(from, name, Vec::new())?;
                fs::symlinkat(target.as_c_str(), to, name)?;
            }
            FileType::RegularFile => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut made = std::fs::File::from(fs::openat(to, name, flags, mode)?);
                let mut source = std::fs::File::from(open(OFlags::RDONLY)?);
                std::io::copy(&mut source, &mut made)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            }
            _ => continue,
        }
        fs::chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Symlink) {
            // Exact, whatever the mask; and a change of owner takes the set-id bits off.
            fs::chmodat(to, name, mode, AtFlags::empty())?;
        }
    }
    Ok(())
}
