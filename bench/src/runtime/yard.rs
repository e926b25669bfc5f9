//! What the runtimes' comparison happens in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::measure::Contestant;
use crate::options::Options;
use crate::peers::{version, which};
use crate::runtime::OURS;
use crate::runtime::verbs::Runtime;
use crate::scene::{archive, build_floor, output, remove, run, unpack};
use crate::{Result, bundle};

/// Bundles, the floor program, the runtimes. Dropping it removes the directory.
pub(crate) struct Yard {
    directory: PathBuf,
    floor: PathBuf,
    rootfs: PathBuf,
    /// The profile, compiled, as the runtime that was asked first has installed it.
    pub(crate) filter: PathBuf,
    pub(crate) runtimes: Vec<Runtime>,
}

impl Yard {
    pub(crate) fn set(options: &Options) -> Result<Self> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        // Built with the profile that it is shipped with, in the directory beside this program's.
        let ours = exe.with_file_name("").join("../small").join(OURS);
        if !ours.is_file() {
            return Err(format!("{} is not built: use cargo xtask bench runtime", ours.display()));
        }
        let directory = std::env::temp_dir().join(format!("cxr-{}", std::process::id()));
        let rootfs = directory.join("rootfs");
        fs::create_dir_all(&rootfs).map_err(|error| format!("cannot make {}: {error}", rootfs.display()))?;
        let mut yard =
            Self { floor: PathBuf::new(), filter: "-".into(), runtimes: Vec::new(), rootfs, directory };
        unpack(&archive()?, &yard.directory, &yard.rootfs)?;
        yard.floor = build_floor(&yard.directory)?;
        yard.write_bundles()?;
        let installed = ["crun", "runc"].into_iter().filter_map(|name| Some((name.to_owned(), which(name)?)));
        let named = options
            .peers
            .iter()
            .filter(|(name, _)| !name.starts_with("podman") && !name.starts_with("docker"))
            .cloned();
        yard.runtimes = std::iter::once((OURS.to_owned(), ours))
            .chain(installed)
            .chain(named)
            .map(|(name, program)| Runtime {
                version: version(&program),
                directory: yard.directory.clone(),
                name,
                program,
            })
            .collect();
        yard.filter = yard.fetch_filter()?;
        Ok(yard)
    }

    fn write_bundles(&self) -> Result<()> {
        for (name, arguments) in
            [("bundle", json!(["/bin/true"])), ("bundle-sleep", json!(["/bin/sleep", "3600"]))]
        {
            let mut spec = bundle::spec(&self.rootfs, &arguments);
            spec["linux"]["seccomp"] = super::seccomp::docker_like();
            if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
                namespaces.push(json!({"type": "cgroup"}));
            }
            bundle::write_one(&self.directory.join(name), &spec)?;
        }
        Ok(())
    }

    /// From the first runtime that can start a container; ours is the first.
    fn fetch_filter(&self) -> Result<PathBuf> {
        let filter = self.directory.join("filter");
        let mut why = String::new();
        for runtime in &self.runtimes {
            let fetched = runtime
                .start_sleeping()
                .and_then(|()| runtime.pid("sleep"))
                .and_then(|pid| run(Command::new(&self.floor).arg("filter").arg(pid).arg(&filter)));
            runtime.delete("sleep");
            match fetched {
                Ok(()) => return Ok(filter),
                Err(error) => why = format!("{}: {error}", runtime.name),
            }
        }
        Err(format!("no runtime can start a container: {why}"))
    }

    /// All runtimes with one verb.
    pub(crate) fn contestants(&self, verb: &'static str) -> Vec<Contestant<'_>> {
        self.runtimes.iter().map(|runtime| runtime.contestant(verb)).collect()
    }

    /// The floor's `run`.
    pub(crate) fn floor_bundle(&self, filter: &Path) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg("bundle").arg(&self.rootfs).arg("/sys/fs/cgroup").arg(filter).arg("/bin/true");
        command
    }

    /// The floor's `exec`.
    pub(crate) fn floor_exec(&self, pid: &str) -> Command {
        let mut command = Command::new(&self.floor);
        command.args(["exec", pid]).arg(&self.filter).arg("/bin/true");
        command
    }

    /// The median of peaks of memory, in KiB.
    pub(crate) fn peak(&self, runtime: &Runtime) -> Result<f64> {
        let mut peaks = Vec::new();
        for _ in 0..5 {
            let run = runtime.run();
            let mut command = Command::new(&self.floor);
            command.arg("memory").arg(run.get_program()).args(run.get_args());
            let said = output(&mut command)?;
            peaks.push(said.trim().parse::<f64>().map_err(|error| format!("{said:?}: {error}"))?);
        }
        peaks.sort_by(f64::total_cmp);
        Ok(peaks[2])
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}
