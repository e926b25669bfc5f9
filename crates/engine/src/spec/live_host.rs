//! The machine this runs on.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use super::{Host, HostDevice, HostPropagation};
use crate::options::CAPABILITIES;

/// The machine this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LiveHost;

/// No configuration file of a host is larger.
const TEXT_LIMIT: u64 = 1 << 20;
/// More device nodes than any /dev has: a directory that is given by mistake must not fill the memory.
const DEVICE_LIMIT: usize = 65_536;
/// A tree of devices is flat.
const DEPTH_LIMIT: usize = 16;

impl Host for LiveHost {
    fn devices(&self, path: &Path) -> io::Result<Vec<HostDevice>> {
        let about = std::fs::metadata(path)?;
        if about.is_dir() {
            let mut list = Vec::new();
            walk(path, 0, &mut list)?;
            return Ok(list);
        }
        let device = device(path.to_owned(), &about);
        device.map(|device| vec![device]).ok_or_else(|| io::Error::other("not a device node"))
    }

    fn all_devices(&self) -> io::Result<Vec<HostDevice>> {
        let mut list = Vec::new();
        walk(Path::new("/dev"), 0, &mut list)?;
        // The container's terminal has one of its own.
        list.retain(|device| {
            device.path != Path::new("/dev/console") && device.path != Path::new("/dev/ptmx")
        });
        Ok(list)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn propagation(&self, path: &Path) -> io::Result<HostPropagation> {
        let about = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
        let table = std::fs::read_to_string("/proc/self/mountinfo")?;
        propagation_of(&table, about.stx_mnt_id)
            .ok_or_else(|| io::Error::other("its mount is not in mountinfo"))
    }

    fn thermal_throttle(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir("/sys/devices/system/cpu") else {
            return Vec::new();
        };
        let mut numbers: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let path = |number| PathBuf::from(format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle"));
        numbers.into_iter().map(path).filter(|path| path.exists()).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(TEXT_LIMIT).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn bounding(&self) -> Vec<&'static str> {
        capabilities(|found| found)
    }

    fn kernel_capabilities(&self) -> Vec<&'static str> {
        capabilities(|_| true)
    }

    fn hard_limit(&self, name: &str) -> Option<u64> {
        let resource = match name {
            "as" => Resource::As,
            "core" => Resource::Core,
            "cpu" => Resource::Cpu,
            "data" => Resource::Data,
            "fsize" => Resource::Fsize,
            "locks" => Resource::Locks,
            "memlock" => Resource::Memlock,
            "msgqueue" => Resource::Msgqueue,
            "nice" => Resource::Nice,
            "nofile" => Resource::Nofile,
            "nproc" => Resource::Nproc,
            "rss" => Resource::Rss,
            "rtprio" => Resource::Rtprio,
            "rttime" => Resource::Rttime,
            "sigpending" => Resource::Sigpending,
            "stack" => Resource::Stack,
            _ => return None,
        };
        getrlimit(resource).maximum
    }

    fn processors(&self) -> u64 {
        let set = rustix::thread::sched_getaffinity(None);
        set.map_or(1, |set| u64::from(set.count())).max(1)
    }

    fn swap_limit(&self) -> bool {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        if v1.join("memory.limit_in_bytes").exists() {
            return v1.join("memory.memsw.limit_in_bytes").exists();
        }
        // The root group has no limits; any group below it with a memory controller tells.
        let groups = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().take(256);
        let mut memory = groups.map(|entry| entry.path()).filter(|group| group.join("memory.max").exists());
        match memory.next() {
            Some(group) => group.join("memory.swap.max").exists(),
            None => Path::new("/proc/swaps").exists(),
        }
    }

    fn oom_score_adj(&self) -> i32 {
        let text = std::fs::read_to_string("/proc/self/oom_score_adj");
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn last_group(&self) -> u32 {
        crate::rootless::last_group()
    }

    fn apparmor(&self) -> bool {
        std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
    }

    fn selinux(&self) -> bool {
        Path::new("/sys/fs/selinux/enforce").exists()
    }

    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

/// Those the kernel knows and `keep` says yes to, given whether they are in the bounding set.
fn capabilities(keep: impl Fn(bool) -> bool) -> Vec<&'static str> {
    let read = |number: usize| capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << number));
    CAPABILITIES
        .into_iter()
        .enumerate()
        .filter(|(number, _)| read(*number).is_ok_and(&keep))
        .map(|(_, name)| name)
        .collect()
}

/// The devices below a directory. Links are left out, as are the directories that a container has of its own.
fn walk(directory: &Path, depth: usize, list: &mut Vec<HostDevice>) -> io::Result<()> {
    const OWN: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".udev", ".lxc"];
    let mut entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let about = match entry.metadata() {
            // Devices come and go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            about => about?,
        };
        if about.is_dir() {
            let own = OWN.iter().any(|name| entry.file_name() == *name);
            if !own && depth < DEPTH_LIMIT {
                walk(&entry.path(), depth + 1, list)?;
            }
        } else if let Some(device) = device(entry.path(), &about) {
            list.push(device);
        }
        if list.len() > DEVICE_LIMIT {
            return Err(io::Error::other("holds too many devices"));
        }
    }
    Ok(())
}

fn device(path: PathBuf, about: &std::fs::Metadata) -> Option<HostDevice> {
    let kind = match about.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    let number = about.rdev();
    Some(HostDevice {
        path,
        kind,
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        mode: about.mode() & 0o7777,
        uid: about.uid(),
        gid: about.gid(),
    })
}

/// The optional fields of the mount with a number: proc_pid_mountinfo(5).
fn propagation_of(table: &str, id: u64) -> Option<HostPropagation> {
    let id = id.to_string();
    let line = table.lines().find(|line| line.split(' ').next() == Some(&id))?;
    let (head, _) = line.split_once(" - ")?;
    let mut found = HostPropagation::default();
    for field in head.split(' ').skip(6) {
        found.shared |= field.starts_with("shared:");
        found.slave |= field.starts_with("master:");
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read() {
        let table = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
            22 21 0:5 / /mnt/a\\040b rw shared:2 master:1 - tmpfs tmpfs rw\n\
            23 21 0:6 / /mnt rw - tmpfs tmpfs rw\n\
            24 23 0:7 / /mnt/slave rw,noatime master:3 - tmpfs shared:x rw\nbroken line\n25 broken";
        let of = |id| propagation_of(table, id);
        assert_eq!(of(21), Some(HostPropagation { shared: true, slave: false }));
        assert_eq!(of(22), Some(HostPropagation { shared: true, slave: true }));
        assert_eq!(of(23), Some(HostPropagation::default()));
        assert_eq!(of(24), Some(HostPropagation { shared: false, slave: true }));
        assert_eq!((of(2), of(25)), (None, None));
    }

    #[test]
    fn this_machine() {
        let null = LiveHost.devices(Path::new("/dev/null")).unwrap();
        assert_eq!((null[0].kind, null[0].major, null[0].minor), ('c', 1, 3));
        assert_eq!(LiveHost.devices(Path::new("/etc")).unwrap(), []);
        assert_eq!(LiveHost.devices(Path::new("/etc/passwd")).unwrap_err().to_string(), "not a device node");
        assert!(LiveHost.devices(Path::new("/dev/nothing-here")).is_err());
        let all = LiveHost.all_devices().unwrap();
        assert!(all.iter().any(|device| device.path == Path::new("/dev/null")));
        assert!(all.iter().all(|device| !device.path.starts_with("/dev/pts")));
        assert!(LiveHost.kernel_capabilities().len() >= LiveHost.bounding().len());
        assert!(LiveHost.processors() >= 1);
        assert!(!LiveHost.hostname().is_empty());
        assert_eq!(LiveHost.read(Path::new("/nonexistent")).unwrap(), None);
        assert!(LiveHost.read(Path::new("/proc/self/status")).unwrap().unwrap().contains("Name:"));
        LiveHost.propagation(Path::new("/proc/self")).unwrap();
    }

    #[test]
    fn a_directory_of_devices_keeps_the_name_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev", &link).unwrap();
        let devices = LiveHost.devices(&link).unwrap();
        assert!(devices.iter().any(|device| device.path == link.join("null")), "{devices:?}");
    }
}
