//! Loop devices: a file as a block device (loop(4); LOOP_CONFIGURE, Linux 5.8).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;

/// `struct loop_info64`, less what nobody sets.
#[repr(C)]
struct Info {
    /// The device and the inode of the file behind it, as stat(2) numbers them.
    device: u64,
    inode: u64,
    unused: [u64; 3],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    init: [u64; 2],
}

impl Info {
    fn of(flags: u32) -> Self {
        Self {
            device: 0,
            inode: 0,
            unused: [0; 3],
            number: 0,
            encryption: [0; 2],
            flags,
            names: [0; 160],
            init: [0; 2],
        }
    }
}

/// `struct loop_config`
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// Attaches a file, read-only, with blocks of 512 bytes, to a free loop device. Gives the device and its path.
///
/// The device goes when nobody has it open any more, mounts included: keep the file until it is mounted.
///
/// # Errors
/// ENOENT or EACCES where there are no loop devices, EPERM, EINVAL before Linux 5.8.
pub fn attach(file: BorrowedFd<'_>) -> io::Result<(File, PathBuf)> {
    attach_with(file, LO_FLAGS_READ_ONLY)
}

/// The same, to be written, too: the file is open for writing.
///
/// # Errors
/// As [`attach`].
pub fn attach_writable(file: BorrowedFd<'_>) -> io::Result<(File, PathBuf)> {
    attach_with(file, 0)
}

/// The loop device that a file is attached to, if it is. It stays as long as the file given is open.
///
/// # Errors
/// What reading /sys says.
pub fn find(file: BorrowedFd<'_>) -> io::Result<Option<(File, PathBuf)>> {
    let wanted = rustix::fs::fstat(file)?;
    for entry in std::fs::read_dir("/sys/block")?.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b"loop") || !entry.path().join("loop/backing_file").exists() {
            continue;
        }
        let path = PathBuf::from("/dev").join(name);
        let Ok(device) = File::options().read(true).write(true).open(&path) else { continue };
        let mut info = Info::of(0);
        // SAFETY: the structure is laid out as the kernel's and outlives the call, which fills it in.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64 as _, &raw mut info) };
        if done == 0 && (info.device, info.inode) == (wanted.st_dev, wanted.st_ino) {
            return Ok(Some((device, path)));
        }
    }
    Ok(None)
}

fn attach_with(file: BorrowedFd<'_>, flags: u32) -> io::Result<(File, PathBuf)> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    loop {
        // SAFETY: the call takes no argument and gives a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options().read(true).write(flags & LO_FLAGS_READ_ONLY == 0).open(&path)?;
        let info = Info::of(flags | LO_FLAGS_AUTOCLEAR);
        let config = Config { fd: file.as_raw_fd().cast_unsigned(), block_size: 512, info, reserved: [0; 8] };
        // SAFETY: the structure is laid out as the kernel's and outlives the call, which only reads it.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) };
        match io::Error::last_os_error() {
            _ if done == 0 => return Ok((device, path)),
            // Someone else was faster.
            error if error.raw_os_error() == Some(libc::EBUSY) => {}
            error => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!((size_of::<Info>(), size_of::<Config>()), (232, 304));
    }
}
