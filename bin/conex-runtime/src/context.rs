//! What the global flags mean for every verb.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conex_runtime::state::{Container, Root};

use crate::arguments::Global;
use crate::error::Error;

/// The default root, for the host's root.
const ROOT: &str = "/run/conex-runtime";

/// Not a container's name, so that it stands beside them.
const SECCOMP_CACHE: &str = "@seccomp";

pub(crate) struct Context {
    /// Where containers' records are.
    pub(crate) root: Root,
    /// Whether the root was named: then it has to exist to be listed.
    pub(crate) root_is_named: bool,
    /// Whether systemd makes cgroups.
    pub(crate) systemd: bool,
    /// As the flag says; by who the caller is if it does not.
    rootless: Option<bool>,
    /// The caller is not root.
    ordinary: bool,
    /// The criu program.
    pub(crate) criu: PathBuf,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Result<Self, Error> {
        let rootless = match global.rootless.as_str() {
            "" | "auto" | "AUTO" | "Auto" => None,
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            other => return Err(Error::Refused(format!("invalid value for --rootless: {other:?}"))),
        };
        let ordinary = !rustix::process::geteuid().is_root();
        let root = match &global.root {
            Some(path) => named(path)?,
            None => default_root(ordinary)?,
        };
        Ok(Self {
            ordinary,
            root: Root::new(root),
            root_is_named: global.root.is_some(),
            systemd: global.systemd_cgroup,
            rootless,
            criu: global.criu.clone().unwrap_or_else(|| PathBuf::from("criu")),
        })
    }

    /// Whether cgroups that may not be made are done without.
    pub(crate) fn is_rootless(&self) -> bool {
        self.rootless.unwrap_or_else(|| self.ordinary || !conex_sys::namespace::in_first_user())
    }

    /// A container by the name on the command line.
    pub(crate) fn container(&self, id: &str) -> Result<Container, Error> {
        if id.is_empty() {
            return Err(Error::refused("container id cannot be empty"));
        }
        Ok(self.root.load(id)?)
    }

    /// Compiled filters, beside the containers.
    pub(crate) fn seccomp_cache(&self) -> conex_seccomp::Cache {
        conex_seccomp::Cache::new(self.root.path().join(SECCOMP_CACHE))
    }
}

fn named(path: &Path) -> Result<PathBuf, Error> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).map_err(|source| Error::io("find", path, source))?;
    let mut clean = PathBuf::from("/");
    for part in absolute.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    if clean == Path::new("/") {
        return Err(Error::refused("Option --root argument should not be set to /"));
    }
    Ok(clean)
}

/// `$XDG_RUNTIME_DIR/conex-runtime` for an ordinary user, also for one who is root in a user namespace.
fn default_root(ordinary: bool) -> Result<PathBuf, Error> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    let Some(runtime) = runtime.filter(|_| {
        ordinary
            || std::env::var_os("USER").is_none_or(|user| user != "root")
                && !conex_sys::namespace::in_first_user()
    }) else {
        return Ok(PathBuf::from(ROOT));
    };
    let root = PathBuf::from(runtime).join("conex-runtime");
    let failed = |source| Error::io("make, as $XDG_RUNTIME_DIR must be writable,", &root, source);
    std::fs::create_dir_all(&root).map_err(failed)?;
    // Sticky things there are not pruned (XDG base directory specification).
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1700)).map_err(failed)?;
    Ok(root)
}
