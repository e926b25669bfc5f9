//! Hands the container's group to the user who its process runs as, so that it may make groups of its own there
//! (runtime-spec config-linux.md#cgroup-ownership). v2 only: on v1 that would let it out of its limits.

use std::path::Path;

use rustix::fs::{self, AtFlags, Uid};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};

/// Which files go with a group; since Linux 4.15.
const LISTED: &str = "/sys/kernel/cgroup/delegate";
/// Before.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

impl Cgroup {
    /// Makes `uid` (of the caller's user namespace) the owner of the v2 group and of those of its files that the kernel lists for it;
    /// its limits stay ours. Nothing on a v1 host.
    ///
    /// # Errors
    /// [`Error::Delegate`].
    pub fn delegate(&self, uid: u32) -> Result<()> {
        let Some(group) = &self.unified else { return Ok(()) };
        let failed = |source| Error::Delegate { uid, path: group.path().to_owned(), source };
        let own =
            |file: &str, flags| fs::chownat(group.directory(), file, Some(Uid::from_raw(uid)), None, flags);
        own("", AtFlags::EMPTY_PATH).map_err(failed)?;
        let listed = std::fs::read_to_string(LISTED);
        for file in listed.as_deref().unwrap_or(FILES).lines().filter(|file| is_name(file)) {
            match own(file, AtFlags::SYMLINK_NOFOLLOW) {
                // Listed for every controller, of which this group has some.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(())
    }
}

/// One component: what is below /sys may be somebody else's mount.
fn is_name(file: &str) -> bool {
    Path::new(file).components().count() == 1 && !file.contains('/') && file != ".."
}
