//! The cgroup the process is in, and the limits that are in force, on v2, v1 and hybrid hosts.
//!
//! All of it may be out of sight: a limit that cannot be read is unknown, which is not the same as none.

use crate::filesystem::{self, Mount};
use crate::root::Root;

/// A limit, as far as it can be seen from inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit<T> {
    Unknown,
    None,
    At(T),
}

#[derive(Debug)]
pub(crate) struct Cgroup {
    /// `v1`, `v2`, `hybrid`
    pub(crate) version: Option<&'static str>,
    /// Controllers (empty for v2) and path, as in /proc/self/cgroup.
    pub(crate) paths: Vec<(String, String)>,
    /// Bytes.
    pub(crate) memory: Limit<u64>,
    /// Bytes of memory and swap space together (v1), or of swap space (v2): see `swap_is_total`.
    pub(crate) swap: Limit<u64>,
    pub(crate) swap_is_total: bool,
    /// Bytes in use now.
    pub(crate) memory_used: Option<u64>,
    /// Processors' worth of time.
    pub(crate) cpus: Limit<f64>,
    /// Which processors, as `0-3,7`.
    pub(crate) cpuset: Option<String>,
    pub(crate) pids: Limit<u64>,
    /// Now.
    pub(crate) pids_used: Option<u64>,
}

/// The files of one controller's group.
struct Group<'a> {
    root: &'a Root,
    /// More than one when it is not certain which folder the group's is; the first that has a file counts.
    folders: Vec<String>,
    /// Other hierarchies are mounted and this one is not: Conex makes a group, and shows it, where there is a limit.
    is_left_out: bool,
}

impl Group<'_> {
    fn line(&self, file: &str) -> Option<String> {
        self.folders.iter().find_map(|folder| self.root.line(format!("{folder}/{file}")))
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.line(file)?.parse().ok()
    }

    fn limit(&self, file: &str) -> Limit<u64> {
        match self.line(file) {
            Some(text) if text == "max" => Limit::None,
            Some(text) => text.parse().map_or(Limit::Unknown, limit),
            None => self.without_file(),
        }
    }

    /// A group that can be seen and has no file for a limit has none: the controller is off there, or it is the root.
    fn without_file<T>(&self) -> Limit<T> {
        let seen =
            self.folders.iter().any(|folder| self.root.read(format!("{folder}/cgroup.procs")).is_some());
        if seen || self.is_left_out { Limit::None } else { Limit::Unknown }
    }
}

/// v1 writes no limit as the largest whole number of pages.
fn limit(value: u64) -> Limit<u64> {
    if value >= 1 << 62 { Limit::None } else { Limit::At(value) }
}

impl Cgroup {
    pub(crate) fn gather(root: &Root) -> Self {
        let membership = root.read("proc/self/cgroup").unwrap_or_default();
        let paths: Vec<(String, String)> = membership
            .lines()
            .filter_map(|line| {
                line.splitn(3, ':').skip(1).map(str::to_owned).collect::<Vec<_>>().try_into().ok()
            })
            .map(|[controllers, path]: [String; 2]| (controllers, path))
            .collect();
        let mounts = filesystem::mounts(root);
        let legacy = |name: &str| group(root, &mounts, &paths, name);
        let unified = unified(root, &mounts, &paths);
        let has = |is_legacy: bool| {
            paths.iter().any(|(c, _)| (!c.is_empty() && !c.starts_with("name=")) == is_legacy)
        };
        let version = match (has(true), paths.iter().any(|(c, _)| c.is_empty())) {
            (true, true) => Some("hybrid"),
            (true, false) => Some("v1"),
            (false, true) => Some("v2"),
            (false, false) => None,
        };

        let memory = legacy("memory");
        let (memory, swap, memory_used) = match &memory {
            Some(v1) => {
                (v1_memory(v1), v1.limit("memory.memsw.limit_in_bytes"), v1.number("memory.usage_in_bytes"))
            }
            None => (
                unified.limit("memory.max"),
                unified.limit("memory.swap.max"),
                unified.number("memory.current"),
            ),
        };
        let swap_is_total = legacy("memory").is_some();
        let cpus = match legacy("cpu") {
            Some(v1) => v1_cpus(&v1),
            None => unified.line("cpu.max").map_or_else(|| unified.without_file(), |text| v2_cpus(&text)),
        };
        let cpuset = match legacy("cpuset") {
            Some(v1) => v1.line("cpuset.effective_cpus").or_else(|| v1.line("cpuset.cpus")),
            None => unified.line("cpuset.cpus.effective"),
        };
        let pids = legacy("pids");
        let pids = pids.as_ref().unwrap_or(&unified);
        Self {
            version,
            memory,
            swap,
            swap_is_total,
            memory_used,
            cpus,
            cpuset,
            pids: pids.limit("pids.max"),
            pids_used: pids.number("pids.current"),
            paths,
        }
    }
}

/// The group's own limit or, if it is lower, an ancestor's, which v1 tells of.
fn v1_memory(group: &Group) -> Limit<u64> {
    let own = group.limit("memory.limit_in_bytes");
    let stat = group.folders.iter().find_map(|folder| group.root.read(format!("{folder}/memory.stat")));
    let effective = stat
        .as_deref()
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("hierarchical_memory_limit ")?.trim().parse().ok());
    match (own, effective.map(limit)) {
        (Limit::At(own), Some(Limit::At(effective))) => Limit::At(own.min(effective)),
        (Limit::None | Limit::Unknown, Some(effective)) => effective,
        (own, _) => own,
    }
}

fn v1_cpus(group: &Group) -> Limit<f64> {
    let Some(quota) = group.line("cpu.cfs_quota_us") else { return group.without_file() };
    match (quota.parse::<i64>(), group.number("cpu.cfs_period_us")) {
        (Ok(quota), _) if quota < 0 => Limit::None,
        (Ok(quota), Some(period)) if period > 0 => Limit::At(quota as f64 / period as f64),
        _ => Limit::Unknown,
    }
}

/// `50000 100000`, `max 100000`
fn v2_cpus(text: &str) -> Limit<f64> {
    let Some((quota, period)) = text.split_once(' ') else { return Limit::Unknown };
    match (quota, quota.parse::<f64>(), period.parse::<f64>()) {
        ("max", ..) => Limit::None,
        (_, Ok(quota), Ok(period)) if period > 0.0 => Limit::At(quota / period),
        _ => Limit::Unknown,
    }
}

/// A v1 controller's group; `None` when the controller is not on v1.
fn group<'a>(root: &'a Root, mounts: &[Mount], paths: &[(String, String)], name: &str) -> Option<Group<'a>> {
    let (_, path) = paths.iter().find(|(controllers, _)| controllers.split(',').any(|c| c == name))?;
    let mount =
        mounts.iter().rev().find(|m| m.kind == "cgroup" && m.options.iter().any(|option| option == name));
    let is_left_out = mount.is_none() && mounts.iter().any(|m| m.kind == "cgroup" || m.kind == "cgroup2");
    Some(Group { root, folders: mount.map_or_else(Vec::new, |mount| folders(mount, path)), is_left_out })
}

fn unified<'a>(root: &'a Root, mounts: &[Mount], paths: &[(String, String)]) -> Group<'a> {
    let path = paths.iter().find(|(controllers, _)| controllers.is_empty()).map_or("/", |(_, path)| path);
    let mount = mounts.iter().rev().find(|m| m.kind == "cgroup2");
    Group { root, folders: mount.map_or_else(Vec::new, |mount| folders(mount, path)), is_left_out: false }
}

/// The group's path begins where the mount does, if the mount shows a part of the tree only.
fn folders(mount: &Mount, path: &str) -> Vec<String> {
    let below = if mount.root == "/" { Some(path) } else { path.strip_prefix(mount.root.as_str()) };
    let point = mount.point.trim_end_matches('/').to_owned();
    let exact = below.map(|below| format!("{point}/{}", below.trim_matches('/')));
    exact.into_iter().chain([point]).collect()
}
