//! A bundle of busybox, the runtime below strace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Calls, table, total};
use crate::command::{run as run_command, shipped_runtime};

/// Docker's namespaces, mounts, masked paths, a short seccomp profile.
const CONFIG: &str = include_str!("config.json");

/// How often each verb is counted.
const ROUNDS: usize = 5;

/// Joins a group, which becomes the root of the only cgroup file system that there is; runs what is named.
const ARENA: &str = r#"echo $$ >"$0/cgroup.procs" && exec unshare --mount --cgroup sh -c '
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/own &&
    echo $$ >/sys/fs/cgroup/own/cgroup.procs && exec "$0" "$@"' "$@""#;

/// Dropping it removes everything.
pub(super) struct Scene {
    directory: PathBuf,
    group: PathBuf,
    runtime: PathBuf,
}

impl Scene {
    pub(super) fn set() -> Result<Self> {
        let runtime = shipped_runtime()?;
        let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let unified = unified.into_iter().find(|path| path.join("cgroup.controllers").is_file());
        let unified = unified.context("no cgroup v2 is mounted: system calls cannot be counted")?;
        let name = format!("conex-syscalls-{}", std::process::id());
        let scene = Self { directory: std::env::temp_dir().join(&name), group: unified.join(&name), runtime };
        std::fs::create_dir(&scene.group).with_context(|| format!("{} (root?)", scene.group.display()))?;
        let rootfs = scene.directory.join("rootfs");
        for directory in ["bin", "dev", "proc", "sys"] {
            std::fs::create_dir_all(rootfs.join(directory))?;
        }
        run_command(
            Command::new("sh").args(["-c", r#"cp "$(command -v busybox)" "$0/bin/busybox""#]).arg(&rootfs),
        )?;
        for (bundle, words) in
            [("short", json!(["/bin/busybox", "true"])), ("long", json!(["/bin/busybox", "sleep", "3600"]))]
        {
            let mut config: Value = serde_json::from_str(CONFIG).context("config.json")?;
            config["root"]["path"] = json!(rootfs);
            config["process"]["args"] = words;
            std::fs::create_dir(scene.directory.join(bundle))?;
            std::fs::write(scene.directory.join(bundle).join("config.json"), config.to_string())?;
        }
        Ok(scene)
    }

    /// The fewest calls of each verb.
    pub(super) fn count(&self) -> Result<Vec<(&'static str, Calls)>> {
        let mut fewest: Vec<(&'static str, Calls)> = Vec::new();
        let mut keep =
            |verb: &'static str, calls: Calls| match fewest.iter_mut().find(|(known, _)| *known == verb) {
                Some((_, least)) if total(least) > total(&calls) => *least = calls,
                Some(_) => {}
                None => fewest.push((verb, calls)),
            };
        let (short, long) = (self.at("short"), self.at("long"));
        let pid_file = self.at("pid");
        for _ in 0..ROUNDS {
            keep("run", self.counted(&["run", "--bundle", &short, "counted"])?);
            // strace stays with the container's process, whose calls count here, until that has ended.
            let _ = std::fs::remove_file(&pid_file);
            let output = self.at("created");
            let words = ["create", "--bundle", &short, "--pid-file", &pid_file, "counted"];
            let mut creating = self.traced(&output, &words).spawn().context("cannot start strace")?;
            self.await_file(&pid_file, &mut creating)?;
            keep("start", self.counted(&["start", "counted"])?);
            if !creating.wait()?.success() {
                bail!("create has failed");
            }
            keep("create", read(&output)?);
            keep("delete", self.counted(&["delete", "counted"])?);
        }
        self.plain(&["run", "--detach", "--bundle", &long, "counted"])?;
        for _ in 0..ROUNDS {
            keep("exec", self.counted(&["exec", "counted", "/bin/busybox", "true"])?);
            keep("state", self.counted(&["state", "counted"])?);
        }
        self.plain(&["delete", "--force", "counted"])?;
        Ok(fewest)
    }

    fn at(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn command(&self, before: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", ARENA]).arg(&self.group).args(before).arg(&self.runtime);
        command.arg("--root").arg(self.directory.join("state")).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn plain(&self, words: &[&str]) -> Result<()> {
        run_command(&mut self.command(&[], words))
    }

    fn traced(&self, output: &str, words: &[&str]) -> Command {
        self.command(&["strace", "-f", "-c", "-o", output], words)
    }

    fn counted(&self, words: &[&str]) -> Result<Calls> {
        let output = self.at("strace");
        run_command(&mut self.traced(&output, words))?;
        read(&output)
    }

    /// Until the runtime has written it, or has given up.
    fn await_file(&self, file: &str, runtime: &mut Child) -> Result<()> {
        while !Path::new(file).exists() {
            if let Some(status) = runtime.try_wait()? {
                bail!("create has failed: {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn read(output: &str) -> Result<Calls> {
    let calls = table(&std::fs::read_to_string(output).context("strace's table")?);
    if calls.is_empty() {
        bail!("strace has counted nothing");
    }
    Ok(calls)
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A verb may have failed half-way.
        let mut delete = self.command(&[], &["delete", "--force", "counted"]);
        let _ = delete.stderr(Stdio::null()).status();
        let _ = Command::new("find").arg(&self.group).args(["-depth", "-type", "d", "-delete"]).status();
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!("xtask: cannot remove {}: {error}", self.directory.display());
        }
    }
}
