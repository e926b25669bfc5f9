//! Loop devices: a file as a block device (loop(4); LOOP_CONFIGURE, Linux 5.8).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64`, less what nobody sets.
#[repr(C)]
struct Info {
    unused: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    init: [u64; 2],
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
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    loop {
        // SAFETY: the call takes no argument and gives a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::open(&path)?;
        let info = Info {
            unused: [0; 5],
            number: 0,
            encryption: [0; 2],
            flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
            names: [0; 160],
            init: [0; 2],
        };
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
