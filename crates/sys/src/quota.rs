//! Project quotas: a directory tree's share of a file system (xfs, ext4 and f2fs mounted with `prjquota`).
//! quotactl_fd(2), Linux 5.14; FS_IOC_FSSETXATTR, ioctl_xfs_fsgetxattr(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const PRJQUOTA: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
/// `QIF_BLIMITS`
const BLOCK_LIMITS: u32 = 1;
const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;
/// What is made in the directory belongs to its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// `struct if_dqblk`; limits in blocks of 1024 bytes, space in bytes.
#[repr(C)]
#[derive(Default)]
struct Block {
    hard_blocks: u64,
    soft_blocks: u64,
    space: u64,
    hard_inodes: u64,
    soft_inodes: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

/// `struct fsxattr`
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// Whether nobody has limits or files under the project's number.
///
/// # Errors
/// ESRCH or ENOSYS where the file system has no project quotas in force, EPERM.
pub fn is_free(on: BorrowedFd<'_>, project: u32) -> io::Result<bool> {
    let mut block = Block::default();
    match control(on, Q_GETQUOTA, project, &mut block) {
        Ok(()) => Ok(block.hard_blocks == 0 && block.soft_blocks == 0 && block.space == 0),
        // xfs, of a number that it has no record of.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Lets the files of a project have no more than so many bytes.
///
/// # Errors
/// As [`is_free`].
pub fn set_limit(on: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(1024);
    let mut block =
        Block { hard_blocks: blocks, soft_blocks: blocks, valid: BLOCK_LIMITS, ..Block::default() };
    control(on, Q_SETQUOTA, project, &mut block)
}

/// Puts a directory under a project, and what is made in it from now on.
///
/// # Errors
/// EOPNOTSUPP, ENOTTY, EPERM.
pub fn set_project(directory: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut attributes = Attributes::default();
    let fd = directory.as_raw_fd();
    // SAFETY: the structure is laid out as the kernel's and outlives the call, which fills it in.
    if unsafe { libc::ioctl(fd, FS_IOC_FSGETXATTR as _, &raw mut attributes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.project = project;
    attributes.flags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the same, and the call only reads it.
    match unsafe { libc::ioctl(fd, FS_IOC_FSSETXATTR as _, &raw const attributes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn control(on: BorrowedFd<'_>, command: u32, project: u32, block: &mut Block) -> io::Result<()> {
    let command = command << 8 | PRJQUOTA;
    // SAFETY: the structure is laid out as the kernel's, as large as either command reads or writes, and outlives the call.
    let done =
        unsafe { libc::syscall(libc::SYS_quotactl_fd, on.as_raw_fd(), command, project, &raw mut *block) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!((size_of::<Block>(), size_of::<Attributes>()), (72, 28));
    }
}
