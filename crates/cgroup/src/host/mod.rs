//! What control groups this machine has: [`usual`] looks where everybody mounts them, [`mounts`] reads what is mounted.

mod mounts;
mod usual;

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::path::{CgroupPath, Driver};
use crate::systemd::{Named, Scope, Side};

const MOUNTS: &str = "/proc/self/mountinfo";
const OWN: &str = "/proc/self/cgroup";
/// How systemd's own v1 tree is called there.
const SYSTEMD: &str = "name=systemd";

/// The host's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Only v1 hierarchies.
    V1,
    /// Controllers on v1, and a v2 tree (usually at `/sys/fs/cgroup/unified`) for everything else.
    Hybrid,
    /// Only the v2 tree.
    V2,
}

/// One mounted cgroup tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// v1: the controllers that it carries (`cpu`, `cpuacct`); empty for v2.
    pub controllers: Vec<String>,
    /// The caller's own group in it, from the mount point: `/` or `/a/b`.
    pub own: String,
}

/// The machine's control groups.
#[derive(Debug, Clone)]
pub struct Host {
    pub(crate) unified: Option<Hierarchy>,
    pub(crate) v1: Vec<Hierarchy>,
    /// v1: systemd's own tree, without controllers.
    pub(crate) systemd: Option<Hierarchy>,
    v2_controllers: OnceLock<Vec<String>>,
}

impl Host {
    /// Looks where the trees usually are, and only when they are not there at all that is mounted: that list is long where many
    /// containers run.
    ///
    /// # Errors
    /// [`Error::Detect`] without /proc, [`Error::NotMounted`] without any cgroup tree.
    pub fn detect() -> Result<Self> {
        let read = |path| read_small(path).map_err(|source| Error::Detect { path, source });
        let own = read(OWN)?;
        let own = String::from_utf8_lossy(&own);
        match usual::host(&own) {
            Some(host) => Ok(host),
            None => mounts::host(&read(MOUNTS)?, &own),
        }
    }

    fn new() -> Self {
        Self { unified: None, v1: Vec::new(), systemd: None, v2_controllers: OnceLock::new() }
    }

    /// Takes in a tree with the controllers of one line of `/proc/self/cgroup`.
    fn insert(&mut self, hierarchy: Hierarchy) {
        match hierarchy.controllers.first().map(String::as_str) {
            None => self.unified = Some(hierarchy),
            Some(SYSTEMD) => self.systemd = Some(hierarchy),
            Some(_) => self.v1.push(hierarchy),
        }
    }

    /// What the v2 root offers to its children; read when it is first asked for.
    pub(crate) fn v2_controllers(&self) -> &[String] {
        self.v2_controllers.get_or_init(|| {
            let file = self.unified.as_ref().map(|unified| unified.mount.join("cgroup.controllers"));
            // Absent or unreadable: then it offers none, and the limit that wants one says so.
            let offered = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
            offered.split_ascii_whitespace().map(str::to_owned).collect()
        })
    }

    /// v1, hybrid or v2.
    pub fn version(&self) -> Version {
        match (&self.unified, self.v1.is_empty()) {
            (Some(_), true) => Version::V2,
            (Some(_), false) => Version::Hybrid,
            (None, _) => Version::V1,
        }
    }

    /// The names of all controllers, by their v2 names where they have one (`io`, not `blkio`); sorted.
    pub fn controllers(&self) -> Vec<String> {
        let v1 = self.v1.iter().flat_map(|hierarchy| &hierarchy.controllers);
        let mut names: Vec<String> = v1
            .chain(self.v2_controllers())
            .map(|name| if name == "blkio" { "io".to_owned() } else { name.clone() })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The v2 tree.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.unified.as_ref()
    }

    /// The v1 trees.
    pub fn v1(&self) -> &[Hierarchy] {
        &self.v1
    }

    /// The v1 tree that carries a controller (by its v1 name).
    pub fn v1_of(&self, controller: &str) -> Option<&Hierarchy> {
        self.v1.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// Whether memory+swap limits can be enforced (v1 `memory.memsw.*`, v2 `memory.swap.max`): a default that
    /// sets one should ask first.
    pub fn swap_limit(&self) -> bool {
        if let Some(memory) = self.v1_of("memory") {
            return memory.mount.join("memory.memsw.limit_in_bytes").exists();
        }
        // The v2 root has no such file and there may be no other group to look at; it comes with swap itself.
        self.v2_controllers().iter().any(|name| name == "memory") && PathBuf::from("/proc/swaps").exists()
    }

    /// Where a container's groups go: `/conex/ID`, or below `parent` (`--cgroup-parent`); from the root of the v2
    /// tree, and from the caller's own group in each v1 tree.
    ///
    /// # Errors
    /// [`Error::Path`] when parent or id cannot be a part of a path.
    pub fn container_path(&self, parent: Option<&str>, id: &str) -> Result<CgroupPath> {
        if id.is_empty() || id.contains('/') || id == "." {
            return Err(Error::Path { path: id.chars().take(200).collect(), why: "an id is one component" });
        }
        let mut path = CgroupPath::new(&format!("{}/{id}", parent.unwrap_or(DEFAULT_PARENT)))?;
        for hierarchy in &self.v1 {
            path = path.beginning(&hierarchy.controllers.join(","), &hierarchy.own)?;
        }
        Ok(path)
    }

    /// Where the container `id` of a bundle with this `linux.cgroupsPath` goes (runtime-spec config-linux.md#cgroups-path).
    ///
    /// With cgroupfs an absolute path is from the roots; a relative one from the caller's own groups in v1, and beside the caller's
    /// own in v2, which may not hold both processes and groups; none is `conex/ID`, from the root for root. With systemd it is
    /// `SLICE:PREFIX:NAME` as for runc, and none is `:conex:ID`, in `system.slice`, or in `user.slice` of an ordinary user's own
    /// systemd.
    ///
    /// # Errors
    /// [`Error::Path`].
    pub fn bundle_path(&self, driver: Driver, path: Option<&str>, id: &str) -> Result<CgroupPath> {
        let path = path.filter(|path| !path.is_empty());
        match (driver, path) {
            (Driver::Systemd, path) => self.scope_path(path.unwrap_or(&format!(":{DEFAULT_PARENT}:{id}"))),
            (Driver::Cgroupfs, None) if is_root() => self.container_path(None, id),
            (Driver::Cgroupfs, None) => self.relative_path(&format!("{DEFAULT_PARENT}/{id}")),
            (Driver::Cgroupfs, Some(path)) if path.starts_with('/') => {
                CgroupPath::new(path).map(CgroupPath::given)
            }
            (Driver::Cgroupfs, Some(path)) => self.relative_path(path).map(CgroupPath::given),
        }
    }

    fn relative_path(&self, path: &str) -> Result<CgroupPath> {
        let mut path = CgroupPath::new(path)?;
        for hierarchy in &self.v1 {
            path = path.beginning(&hierarchy.controllers.join(","), &hierarchy.own)?;
        }
        if let Some(unified) = &self.unified {
            let above = unified.own.rsplit_once('/').map_or("/", |(above, _)| above);
            path = path.beginning(CgroupPath::UNIFIED, above)?;
        }
        Ok(path)
    }

    /// An ordinary user's path is complete only when systemd has made the scope: below his own systemd's group.
    fn scope_path(&self, text: &str) -> Result<CgroupPath> {
        let (side, default) =
            if is_root() { (Side::System, "system.slice") } else { (Side::User, "user.slice") };
        let named = Named::parse(text, default)?;
        Ok(CgroupPath::new(&named.path())?.in_scope(Scope { side, unit: named.unit }))
    }
}

/// Whether this process may do what the machine's administrator may: root, and not only of a user namespace.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root() && conex_sys::namespace::in_first_user()
}

/// The controllers of each tree and the caller's group there: `4:cpu,cpuacct:/user.slice`, `0::/` for v2. A path may hold colons.
fn lines(own: &str) -> impl Iterator<Item = (Vec<String>, &str)> {
    own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some((Vec::new(), group)),
            SYSTEMD => Some((vec![SYSTEMD.to_owned()], group)),
            // Somebody's tree without controllers.
            named if named.starts_with("name=") => None,
            names => Some((names.split(',').map(str::to_owned).collect(), group)),
        }
    })
}

/// A file of /proc, in as few reads as it takes.
fn read_small(path: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 << 10);
    std::fs::File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The group that all of Conex's containers are in, unless the user names another.
pub(crate) const DEFAULT_PARENT: &str = "conex";

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid() {
        let host =
            mounts::host(HYBRID.as_bytes(), "4:name=systemd:/\n3:memory:/a/b:c\n1:cpu,cpuacct:/\n0::/x\n")
                .expect("parses");
        assert_eq!(host.version(), Version::Hybrid);
        assert_eq!(host.v1.len(), 2);
        let memory = host.v1_of("memory").expect("memory");
        assert_eq!((memory.mount.to_str(), memory.own.as_str()), (Some("/sys/fs/cgroup/memory"), "/a/b:c"));
        let path = host.container_path(None, "id").expect("valid");
        assert_eq!(path.to_string(), "/conex/id;memory=/a/b:c");
        assert_eq!(host.container_path(Some("/my/parent"), "id").expect("valid").name(), "/my/parent/id");
        assert!(host.container_path(Some("../up"), "id").is_err());
        assert!(host.container_path(None, "a/b").is_err());
        let bundle = |path| host.bundle_path(Driver::Cgroupfs, Some(path), "id").map(|path| path.to_string());
        assert_eq!(bundle("/k8s/x").expect("valid"), "/k8s/x");
        assert_eq!(bundle("x").expect("valid"), "/x;memory=/a/b:c");
        for bad in ["../x", "/a/../b", "/", "a\nb", "/..", "."] {
            assert!(bundle(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            host.systemd.as_ref().map(|systemd| systemd.mount.to_str()),
            Some(Some("/sys/fs/cgroup/systemd"))
        );
    }

    #[test]
    fn pure_v2_and_pure_v1() {
        let v2 = mounts::host(
            b"26 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice/s\n",
        )
        .expect("parses");
        assert_eq!(v2.version(), Version::V2);
        assert_eq!(v2.unified.as_ref().map(|h| h.own.as_str()), Some("/user.slice/s"));
        let bundle = |driver, path| v2.bundle_path(driver, Some(path), "id").map(|path| path.to_string());
        assert_eq!(bundle(Driver::Cgroupfs, "x").expect("valid"), "/x;unified=/user.slice");
        let scope = bundle(Driver::Systemd, "a-b.slice:p:n").expect("valid");
        assert!(
            scope.starts_with("/a.slice/a-b.slice/p-n.scope;") && scope.ends_with("scope=p-n.scope"),
            "{scope}"
        );
        assert!(bundle(Driver::Systemd, "/a/b").is_err());
        let v1 = mounts::host(
            b"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            "3:memory:/\n0::/\n",
        )
        .expect("parses");
        assert_eq!(v1.version(), Version::V1);
    }

    #[test]
    fn inside_a_container_the_mounts_root_is_cut_off() {
        let mounts = b"35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let own = |text: &str| mounts::host(mounts, text).expect("parses").v1[0].own.clone();
        assert_eq!(own("3:memory:/docker/abc\n"), "/");
        assert_eq!(own("3:memory:/docker/abc/x\n"), "/x");
        assert_eq!(own("3:memory:/docker/abcd\n"), "/");
        assert_eq!(own("3:memory:/..\n"), "/");
    }

    #[test]
    fn nothing_mounted_is_an_error_and_junk_is_skipped() {
        assert!(matches!(mounts::host(b"", "0::/\n"), Err(Error::NotMounted)));
        assert!(matches!(
            mounts::host(b"- cgroup2\n1 2 3 -\n\xff\xff - cgroup\n", "junk\n::\n"),
            Err(Error::NotMounted)
        ));
    }
}
