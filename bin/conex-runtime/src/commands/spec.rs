//! `spec`: a config.json to begin with.

use std::path::{Path, PathBuf};

use conex_oci::runtime::SPEC_VERSION;
use conex_runtime::bundle::CONFIG;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
        /// Where to write it [default: the working directory]
        bundle: Option<PathBuf> = "-b --bundle DIRECTORY";
        /// For an ordinary user
        rootless: bool = "--rootless";
    }
}

impl Act for Arguments {
    fn act(self, _: &Context) -> Result<i32, Error> {
        let directory = self.bundle.filter(|path| !path.as_os_str().is_empty()).unwrap_or_default();
        let path = directory.join(CONFIG);
        let failed = |source: std::io::Error| Error::io("write", &path, source);
        let open = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match open {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Refused(format!("File {} exists. Remove it first", path.display())));
            }
            other => other.map_err(failed)?,
        };
        std::io::Write::write_all(&mut file, example(self.rootless).as_bytes()).map_err(failed)?;
        Ok(0)
    }
}

/// As runc's. Lines that begin with a word and a bar are for some cases only: `root` or `rootless`, which is a user namespace with
/// the caller as root, in the caller's network, without limits; and `v2`, where all control groups are.
const EXAMPLE: &str = include_str!("example.json.in");

fn example(rootless: bool) -> String {
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let lines = EXAMPLE.lines().filter_map(|line| match line.split_once('|') {
        Some(("root", line)) => (!rootless).then_some(line),
        Some(("rootless", line)) => rootless.then_some(line),
        Some(("v2", line)) => v2.then_some(line),
        _ => Some(line),
    });
    let mut text = String::with_capacity(EXAMPLE.len());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.replace("@VERSION@", SPEC_VERSION)
        .replace("@UID@", &rustix::process::geteuid().as_raw().to_string())
        .replace("@GID@", &rustix::process::getegid().as_raw().to_string())
}

#[cfg(test)]
mod tests {
    use super::example;
    use conex_oci::runtime::{NamespaceKind, Spec};

    #[test]
    fn both_examples_are_specs() {
        for rootless in [false, true] {
            let spec = Spec::from_json(example(rootless).as_bytes()).expect("a spec");
            let linux = spec.linux.expect("linux");
            let has = |kind| linux.namespaces.iter().any(|namespace| namespace.kind == kind);
            assert_eq!((has(NamespaceKind::User), has(NamespaceKind::Network)), (rootless, !rootless));
            assert_eq!(
                (linux.uid_mappings.len(), linux.resources.is_some()),
                (usize::from(rootless), !rootless)
            );
            assert!(!example(rootless).contains(['|', '@']));
        }
    }
}
