//! What a test's own directory has mounted in it.

use std::path::Path;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;

/// Takes everything off that is mounted below `directory` (images with layers in EROFS stay mounted for the next start), so that it
/// can be removed. Best effort: for the end of tests.
pub fn unmount_below(directory: &Path) {
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    // Field five; later mounts may lie in earlier ones.
    let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for point in points.filter(|point| point.starts_with(directory)) {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

/// A mount namespace for this thread and the programs that it starts: what they mount goes with the thread. False when this
/// machine does not let us.
pub fn private_mounts() -> bool {
    #[expect(deprecated, reason = "the unsafe one is so for UnshareFlags::FILES, which this is not")]
    let alone = rustix::thread::unshare(UnshareFlags::NEWNS);
    alone.is_ok() && mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).is_ok()
}
