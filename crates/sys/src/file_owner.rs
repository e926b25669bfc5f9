//! Whose the files are that a thread makes: setfsuid(2), setfsgid(2).

use std::io;

use rustix::thread::{CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits};

/// The calling thread makes files as another user, and may do to files what it might before, until this is dropped.
///
/// An idmapped mount refuses files of ids that it does not map (EOVERFLOW), root's among them.
#[derive(Debug)]
pub struct FileOwner {
    before: (libc::uid_t, libc::gid_t),
    bits: CapabilitiesSecureBits,
}

impl FileOwner {
    /// Takes on the ids.
    ///
    /// # Errors
    /// Without CAP_SETPCAP, CAP_SETUID or CAP_SETGID.
    pub fn become_for_files(uid: u32, gid: u32) -> io::Result<Self> {
        let bits = capabilities_secure_bits()?;
        // Else the rights over files would go with the id (capabilities(7)).
        set_capabilities_secure_bits(bits | CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        let before = (set_user(uid), set_group(gid));
        let owner = Self { before, bits };
        // They tell of no failure; an id that is none changes nothing and gives what there is.
        match (set_user(u32::MAX), set_group(u32::MAX)) == (uid, gid) {
            true => Ok(owner),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl Drop for FileOwner {
    fn drop(&mut self) {
        set_user(self.before.0);
        set_group(self.before.1);
        let _ = set_capabilities_secure_bits(self.bits);
    }
}

fn set_user(uid: libc::uid_t) -> libc::uid_t {
    // SAFETY: takes a number and touches no memory. The system call itself, which is for the thread alone.
    let before = unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
    u32::try_from(before).unwrap_or(u32::MAX)
}

fn set_group(gid: libc::gid_t) -> libc::gid_t {
    // SAFETY: as above.
    let before = unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
    u32::try_from(before).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_anothers_for_a_while() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let directory = std::env::temp_dir().join(format!("conex-file-owner-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let make = |name: &str| {
            let path = directory.join(name);
            std::fs::write(&path, "").unwrap();
            let metadata = std::fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        let owner = FileOwner::become_for_files(100_000, 100_001).unwrap();
        // In a directory of root's: the rights have stayed.
        assert_eq!(make("theirs"), (100_000, 100_001));
        drop(owner);
        assert_eq!(make("ours"), (0, 0));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
