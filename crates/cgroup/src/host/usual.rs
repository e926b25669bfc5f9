//! The trees where systemd, OpenRC and container engines mount them: v2 on `/sys/fs/cgroup`, or v1 below it in directories named
//! after their controllers, with v2 in `unified`. A look at each costs a microsecond; the list of mounts a quarter of a millisecond
//! on a machine with a hundred.

use std::path::PathBuf;

use rustix::fs::{FsWord, statfs};
use rustix::io::Errno;

use super::{Hierarchy, Host, SYSTEMD, lines};

const BASE: &str = "/sys/fs/cgroup";
/// Magic numbers of linux/magic.h.
const V1: FsWord = 0x0027_e0eb;
const V2: FsWord = 0x6367_7270;

/// Nothing when any tree is elsewhere, or shows another part of itself than that in which the caller is.
pub(super) fn host(own: &str) -> Option<Host> {
    let mut host = Host::new();
    let base = statfs(BASE).ok()?.f_type;
    for (controllers, group) in lines(own) {
        let directory = match controllers.first().map(String::as_str) {
            // On a pure v2 host v1's controllers may still be listed, without a tree.
            Some(_) if base == V2 => continue,
            None if base == V2 => PathBuf::from(BASE),
            None => PathBuf::from(BASE).join("unified"),
            Some(SYSTEMD) => PathBuf::from(BASE).join("systemd"),
            Some(_) => PathBuf::from(BASE).join(controllers.join(",")),
        };
        match statfs(&directory) {
            Ok(found) if found.f_type == if controllers.is_empty() { V2 } else { V1 } => {}
            // v2 is always listed, also where it is mounted nowhere.
            Ok(_) | Err(Errno::NOENT) if controllers.is_empty() => continue,
            _ => return None,
        }
        let below = group.trim_start_matches('/');
        // A container's mount may begin at its own group, of which /proc tells the way from the machine's root.
        if group.starts_with("/..") || !below.is_empty() && !directory.join(below).is_dir() {
            return None;
        }
        host.insert(Hierarchy { mount: directory, controllers, own: group.to_owned() });
    }
    (host.unified.is_some() || !host.v1.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::super::{MOUNTS, OWN, mounts};
    use super::*;

    #[test]
    fn it_finds_what_the_list_of_mounts_says() {
        let own = std::fs::read_to_string(OWN).expect("a machine with control groups");
        let listed = mounts::host(&std::fs::read(MOUNTS).expect("mounts"), &own).expect("trees");
        let Some(found) = host(&own) else {
            println!("skipped: this machine's trees are at unusual places");
            return;
        };
        assert_eq!((found.unified, found.v1, found.systemd), (listed.unified, listed.v1, listed.systemd));
        assert!(host("").is_none());
        assert!(host("1:nosuch:/\n").is_none());
    }
}
