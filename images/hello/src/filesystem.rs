//! What is mounted: the root filesystem with its layers, and what hides parts of /proc and /sys.

use crate::root::Root;

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Which folder or file of the filesystem.
    pub(crate) root: String,
    pub(crate) point: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) is_read_only: bool,
    /// The filesystem's own options.
    pub(crate) options: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Filesystem {
    pub(crate) root: Option<RootMount>,
    pub(crate) mounts: Vec<Mount>,
    /// Below /proc and /sys: files that read as empty, folders that are.
    pub(crate) masked: Vec<String>,
    /// Below /proc and /sys: what may be read and not written.
    pub(crate) read_only: Vec<String>,
}

/// What `/` is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RootMount {
    pub(crate) kind: String,
    pub(crate) is_read_only: bool,
    /// overlayfs: the image's layers, uppermost first.
    pub(crate) lower: Vec<String>,
    /// overlayfs: where the container's changes go.
    pub(crate) upper: Option<String>,
}

pub(crate) fn mounts(root: &Root) -> Vec<Mount> {
    root.read("proc/self/mountinfo").unwrap_or_default().lines().filter_map(mount).collect()
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda rw,errors=continue`
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let mut after = after.split(' ');
    let (root, point, flags) = (before.next()?, before.next()?, before.next()?);
    let (kind, source, options) = (after.next()?, after.next()?, after.next().unwrap_or_default());
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        root: unescape(root),
        point: unescape(point),
        kind: kind.to_owned(),
        source: unescape(source),
        is_read_only: is_read_only(flags) || is_read_only(options),
        options: split_escaped(options, ',').map(|option| unescape(&option)).collect(),
    })
}

/// Blanks, newlines and backslashes are octal in mountinfo.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &more[3..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Splits where the separator is not behind a backslash, as overlayfs writes its options.
fn split_escaped(text: &str, separator: char) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for c in text.chars() {
        if c == separator && !is_escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.into_iter()
}

impl Filesystem {
    pub(crate) fn gather(root: &Root) -> Self {
        let mounts = mounts(root);
        // The last one mounted there is the one that is seen.
        let seen = mounts.iter().rev().find(|mount| mount.point == "/");
        let is_kernels =
            |mount: &&Mount| mount.point.starts_with("/proc/") || mount.point.starts_with("/sys/");
        let hides = |mount: &&Mount| match mount.kind.as_str() {
            "tmpfs" | "devtmpfs" => {
                mount.root == "/null" || mount.is_read_only && mount.point != "/sys/fs/cgroup"
            }
            "proc" | "sysfs" | "cgroup" | "cgroup2" | "mqueue" | "securityfs" | "debugfs" | "tracefs"
            | "bpf" | "pstore" | "efivarfs" | "configfs" | "fusectl" | "binfmt_misc" => false,
            // An empty folder or file of some other filesystem, read-only.
            _ => mount.is_read_only,
        };
        let point = |mount: &Mount| mount.point.clone();
        Self {
            root: seen.map(root_mount),
            masked: mounts.iter().filter(is_kernels).filter(hides).map(point).collect(),
            read_only: mounts
                .iter()
                .filter(is_kernels)
                .filter(|mount| matches!(mount.kind.as_str(), "proc" | "sysfs") && mount.is_read_only)
                .map(point)
                .collect(),
            mounts,
        }
    }
}

fn root_mount(mount: &Mount) -> RootMount {
    let mut lower = Vec::new();
    for option in &mount.options {
        // One by one, as the new mount API gives them, or all in one.
        if let Some(path) = option.strip_prefix("lowerdir+=") {
            lower.push(path.replace("\\", ""));
        } else if let Some(paths) = option.strip_prefix("lowerdir=") {
            let layers = split_escaped(paths, ':').filter(|path| !path.is_empty());
            lower.extend(layers.map(|path| path.replace("\\", "")));
        }
    }
    let upper = mount.options.iter().find_map(|option| option.strip_prefix("upperdir="));
    RootMount {
        kind: mount.kind.clone(),
        is_read_only: mount.is_read_only,
        lower,
        upper: upper.map(|path| path.replace("\\", "")),
    }
}
