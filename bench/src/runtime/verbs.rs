//! One runtime, spoken to as `runc`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::measure::Contestant;
use crate::scene::output;

/// A runtime, with a state directory of its own.
pub(crate) struct Runtime {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) program: PathBuf,
    /// The yard's: bundles and state directories.
    pub(crate) directory: PathBuf,
}

impl Runtime {
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(Path::new("/run").join(&self.name)).arg(verb);
        command
    }

    fn id(&self, what: &str) -> String {
        format!("bench-{}-{}-{what}", std::process::id(), self.name)
    }

    /// `run` of the bundle that ends at once.
    pub(crate) fn run(&self) -> Command {
        let mut command = self.command("run");
        command.arg("--bundle").arg(self.directory.join("bundle")).arg(self.id("run"));
        command
    }

    fn create(&self, what: &str) -> Command {
        let mut command = self.command("create");
        command.arg("--pid-file").arg(self.pid_file());
        command.arg("--bundle").arg(self.directory.join("bundle")).arg(self.id(what));
        command
    }

    fn on(&self, verb: &str, what: &str) -> Command {
        let mut command = self.command(verb);
        command.arg(self.id(what));
        command
    }

    /// Starts the bundle that stays, with the standard streams leading nowhere.
    pub(crate) fn start_sleeping(&self) -> Result<()> {
        let mut command = self.command("run");
        command.args(["--detach", "--bundle"]).arg(self.directory.join("bundle-sleep")).arg(self.id("sleep"));
        quiet(&mut command)
    }

    /// The first process of a container.
    pub(crate) fn pid(&self, what: &str) -> Result<String> {
        let said = output(&mut self.on("state", what))?;
        let state: Value = serde_json::from_str(&said).map_err(|error| format!("state: {error}"))?;
        Ok(state["pid"].to_string())
    }

    /// Removes a container, whatever it is doing; there may be none.
    pub(crate) fn delete(&self, what: &str) {
        let _ = quiet(self.command("delete").arg("--force").arg(self.id(what)));
    }

    /// The verb, timed; what it needs is done before, untimed.
    pub(crate) fn contestant(&self, verb: &'static str) -> Contestant<'_> {
        let before = move || {
            if !matches!(verb, "run" | "exec") {
                self.delete(verb);
            }
            // What fails here fails again when it is timed.
            if matches!(verb, "start" | "delete") {
                let _ = quiet(&mut self.create(verb));
            }
            if verb == "delete" {
                let _ = quiet(&mut self.on("start", verb));
                self.await_end();
            }
        };
        let command = move || match verb {
            "run" => self.run(),
            "create" => self.create(verb),
            "exec" => {
                let mut command = self.on("exec", "sleep");
                command.arg("/bin/true");
                command
            }
            _ => self.on(verb, verb),
        };
        Contestant::with_before(&self.name, &self.version, before, command)
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join(format!("{}.pid", self.name))
    }

    /// Until the container's process is no more, or at least has ended.
    fn await_end(&self) {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
        for _ in 0..1000 {
            if !alive() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs with streams that lead nowhere: a container keeps those of its runtime.
fn quiet(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
