//! What a test's own directory has mounted in it.

use std::path::Path;

use rustix::mount::{UnmountFlags, unmount};

/// Takes everything off that is mounted below `directory` (images with layers in EROFS stay mounted for the next start), so that it
/// can be removed. Best effort: for the end of tests.
pub fn unmount_below(directory: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // Field five; later mounts may lie in earlier ones.
    let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for point in points.filter(|point| point.starts_with(directory)) {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}
