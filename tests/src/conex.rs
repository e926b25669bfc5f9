//! One Conex of its own: a private root and run root, removed with all its containers at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::{Background, Output, Pty, finish, images};

/// A private installation.
#[derive(Debug)]
pub struct Conex {
    directory: TempDir,
    /// What the program is started by, if not directly: it enters another namespace.
    prefix: Vec<String>,
    /// Where the program is for who starts it, if not where it was built.
    at: Option<&'static str>,
    layers: Option<&'static str>,
}

impl Conex {
    /// An empty one.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[allow(clippy::new_without_default)] // It touches the disk: too much for a default.
    pub fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("conex-test-").tempdir().expect("a temporary directory");
        for name in ["root", "run", "home"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        Self { directory, prefix: Vec::new(), at: None, layers: None }
    }

    /// With layers in this form, whatever would be chosen here: `erofs`, `directories`.
    #[must_use]
    pub fn with_layers(mut self, form: &'static str) -> Self {
        self.layers = Some(form);
        self
    }

    /// The built binary: `CONEX_BIN`, or the one beside the test's own.
    ///
    /// # Panics
    /// When it has not been built.
    pub fn binary() -> PathBuf {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        BINARY
            .get_or_init(|| {
                if let Some(named) = std::env::var_os("CONEX_BIN") {
                    return named.into();
                }
                let exe = std::env::current_exe().expect("the test's own path");
                let beside = exe.ancestors().skip(1).map(|directory| directory.join("conex"));
                beside
                    .take(3)
                    .find(|path| path.is_file())
                    .unwrap_or_else(|| panic!("conex is not built: run `cargo build -p conex` first"))
            })
            .clone()
    }

    /// Its `--root`.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// Its `--run-root`.
    pub fn run_root(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A directory for the test's own files, removed with the rest.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Where it looks for networks of CNI; nothing is there. The machine's own are not the tests'.
    pub fn cni_networks(&self) -> PathBuf {
        self.directory.path().join("net.d")
    }

    /// Writes the configuration of its user, conex.toml.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, text: &str) {
        let directory = self.directory.path().join("home/.config/conex");
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("conex.toml"), text).expect("conex.toml");
    }

    /// A command line, not yet started, with nothing on standard input and a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program();
        self.prepare(&mut command).args(arguments);
        command
    }

    /// An empty one, whose commands are started by others: `nsenter` and its arguments.
    pub fn through(prefix: Vec<String>) -> Self {
        let mut conex = Self::new();
        conex.prefix = prefix;
        conex
    }

    /// The same, started by these words further on, from another path.
    #[must_use]
    pub fn of(mut self, words: &[String], at: &'static str) -> Self {
        self.prefix.extend_from_slice(words);
        self.at = Some(at);
        self
    }

    /// The binary, to be started where it belongs.
    fn program(&self) -> Command {
        match self.prefix.as_slice() {
            [] => Command::new(Self::binary()),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(self.at.map_or_else(Self::binary, PathBuf::from));
                command
            }
        }
    }

    pub(crate) fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().stdin(Stdio::null());
        for kept in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs(self.layers.map(|form| ("CONEX_LAYERS", form)));
        command
            .env("CONEX_ROOT", self.root())
            .env("CONEX_RUN_ROOT", self.run_root())
            // The host's networks are not the tests' to change: those of networks make a host of their own.
            .env("CONEX_NETWORK", "none")
            .env("NETCONFPATH", self.cni_networks())
            .env("HOME", self.directory.path().join("home"))
            .env("TERM", "xterm")
    }

    /// Runs to the end, whatever the end is.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(&mut self.command(arguments))
    }

    /// Runs with `input` on standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        use std::io::Write;
        let mut child = Background::spawn(self.command(arguments).stdin(Stdio::piped()));
        let mut stdin = child.stdin().expect("a pipe");
        let input = input.to_vec();
        // It may end without reading all; that is for the test to judge, by the output.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.finish();
        let _ = writer.join();
        output
    }

    /// Runs to the end and gives back standard output.
    ///
    /// # Panics
    /// When the exit code is not 0.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.code, 0,
            "conex {arguments:?}\nstdout: {}\nstderr: {}",
            output.stdout, output.stderr
        );
        output.stdout
    }

    /// Runs to the end and gives back standard error.
    ///
    /// # Panics
    /// When the exit code is not `code`, or the error looks like a crash.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let shown = format!("conex {arguments:?}\nstdout: {}\nstderr: {}", output.stdout, output.stderr);
        assert_eq!(output.code, code, "{shown}");
        assert!(!output.stderr.contains("panicked") && !output.stderr.contains("RUST_BACKTRACE"), "{shown}");
        output.stderr
    }

    /// Starts it beside the test.
    pub fn background(&self, arguments: &[&str]) -> Background {
        Background::spawn(&mut self.command(arguments))
    }

    /// Starts it on a terminal of its own.
    pub fn pty(&self, arguments: &[&str]) -> Pty {
        Pty::spawn(self, arguments)
    }

    /// Starts a shell on a terminal of its own; `$CONEX` in the script is the program.
    pub fn pty_shell(&self, script: &str) -> Pty {
        Pty::shell(self, script)
    }

    /// `inspect`, parsed; the first of its list.
    ///
    /// # Panics
    /// When it fails or prints no JSON list.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> serde_json::Value {
        let text = self.ok(&["inspect", name]);
        let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("inspect prints a JSON list");
        list.into_iter().next().expect("inspect prints one element")
    }

    /// Where the state of a container that runs is kept.
    ///
    /// # Panics
    /// When there is no such container.
    #[track_caller]
    pub fn state_file(&self, name: &str) -> PathBuf {
        let id = self.ok(&["inspect", "-f", "{{.Id}}", name]);
        self.run_root().join("containers").join(id.trim()).join("state.json")
    }

    /// The names of its images, as `images` prints them.
    pub fn images(&self) -> Vec<String> {
        let text = self.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Alpine 3.20 under its name; `None` when the fixture is not on this machine.
    pub fn alpine(&self) -> Option<&'static str> {
        images::provide(self, &images::archive("alpine-3.20.oci.tar")?);
        Some("alpine:3.20")
    }

    /// Debian's servers and firewalls ([`crate::Yard::of_servers`]); `None` when nobody has made the image.
    pub fn services(&self) -> Option<&'static str> {
        images::provide_root(self, &images::services()?, "debian-services:1");
        Some("debian-services:1")
    }

    /// Busybox 1.38 under its name; `None` when the fixture is not on this machine.
    pub fn busybox(&self) -> Option<&'static str> {
        images::provide(self, &images::archive("busybox-1.38-musl.oci.tar")?);
        Some("busybox:1.38.0-musl")
    }
}

impl Drop for Conex {
    fn drop(&mut self) {
        // Best effort, and never a second panic: the test has its verdict.
        let mut listed = self.program();
        let output = self.prepare(&mut listed).args(["ps", "--all", "--quiet", "--no-trunc"]).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let ids: Vec<&str> = text.lines().collect();
        if !ids.is_empty() {
            let mut remove = self.program();
            let removed = self.prepare(&mut remove).args(["rm", "--force"]).args(ids).output();
            // A pod's own container goes with its pod alone.
            if !removed.is_ok_and(|removed| removed.status.success()) {
                let mut remove = self.program();
                let all = ["pod", "rm", "--force", "--time", "0", "--all"];
                let _ = self.prepare(&mut remove).args(all).output();
            }
        }
        crate::unmount_below(self.directory.path());
    }
}
