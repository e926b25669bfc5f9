//! fs-verity: a file that never changes again, whose every page the kernel checks against a tree of hashes as it is read
//! (Documentation/filesystems/fsverity.rst; ext4 and f2fs since Linux 5.4, btrfs since 5.15).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `_IOW('f', 133, struct fsverity_enable_arg)`
const FS_IOC_ENABLE_VERITY: libc::c_ulong = 0x4080_6685;
/// `_IOWR('f', 134, struct fsverity_digest)`
const FS_IOC_MEASURE_VERITY: libc::c_ulong = 0xC004_6686;
const FS_VERITY_HASH_ALG_SHA256: u16 = 1;
/// Bytes under one hash. Larger ones than the page size are refused.
const BLOCK: u32 = 4096;

/// `struct fsverity_enable_arg`
#[repr(C)]
struct Enable {
    version: u32,
    algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved: u32,
    signature: u64,
    more: [u64; 11],
}

/// `struct fsverity_digest`, with room for a SHA-256.
#[repr(C)]
struct Measure {
    algorithm: u16,
    size: u16,
    digest: [u8; 32],
}

/// Seals the file, which is open for reading only: builds the tree, which reads all of it, and makes it unchangeable. SHA-256,
/// blocks of 4096 bytes, no salt.
///
/// # Errors
/// ENOTTY or EOPNOTSUPP where the file system has no verity, EEXIST for a file that is sealed, ETXTBSY while anyone has it open for
/// writing, EINTR, ENOSPC.
pub fn enable(file: BorrowedFd<'_>) -> io::Result<()> {
    let argument = Enable {
        version: 1,
        algorithm: FS_VERITY_HASH_ALG_SHA256.into(),
        block_size: BLOCK,
        salt_size: 0,
        salt: 0,
        signature_size: 0,
        reserved: 0,
        signature: 0,
        more: [0; 11],
    };
    // SAFETY: the structure is laid out as the kernel's and outlives the call, which only reads it.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_ENABLE_VERITY as _, &raw const argument) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The digest of a sealed file: of its tree's root and its length. `None` for a file that is not sealed with SHA-256.
///
/// # Errors
/// EIO and what else the file system says.
pub fn measure(file: BorrowedFd<'_>) -> io::Result<Option<[u8; 32]>> {
    let mut answer = Measure { algorithm: 0, size: 32, digest: [0; 32] };
    // SAFETY: the structure is laid out as the kernel's, says how much room it has, and outlives the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_MEASURE_VERITY as _, &raw mut answer) };
    if done == 0 {
        let is_ours = (answer.algorithm, answer.size) == (FS_VERITY_HASH_ALG_SHA256, 32);
        return Ok(is_ours.then_some(answer.digest));
    }
    match io::Error::last_os_error() {
        error
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOTTY | libc::EOPNOTSUPP | libc::ENODATA | libc::EOVERFLOW)
            ) =>
        {
            Ok(None)
        }
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!((size_of::<Enable>(), size_of::<Measure>()), (128, 36));
    }

    #[test]
    fn where_there_is_none_it_is_said() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(measure(file.as_fd()).unwrap(), None);
        let refused = enable(file.as_fd()).unwrap_err();
        assert!(matches!(refused.raw_os_error(), Some(libc::ENOTTY | libc::EOPNOTSUPP)), "{refused}");
    }
}
