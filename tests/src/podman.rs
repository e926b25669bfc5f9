//! Podman in an [`Enclosure`], above `conex-runtime` or what else `runtime_path` names, with stores in the enclosure's scratch directory.

use crate::{Enclosure, Output, runtime_path};

/// Podman's own default of open files is more than an ordinary machine's root may have.
const SETTINGS: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:2048\", \"nproc=2048:2048\"]\n\
                        [engine]\nevents_logger = \"file\"\n";

impl Enclosure {
    /// Writes its settings: ours, and `more`, which goes on in the section `[engine]`.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn set_up_podman(&self, more: &str) {
        std::fs::write(self.at("containers.conf"), format!("{SETTINGS}{more}")).expect("a file");
    }

    /// A command line of podman's.
    pub fn podman_words(&self, arguments: &[&str]) -> Vec<String> {
        let settings = format!("CONTAINERS_CONF={}", self.at("containers.conf"));
        let [root, run, temporary] = ["root", "run", "tmp"].map(|name| self.at(name));
        let runtime = runtime_path();
        // Or newer ones tell of it each time.
        let quiet = "PODMAN_IGNORE_CGROUPSV1_WARNING=1";
        let mut words = vec!["env", &settings, quiet, "podman", "--root", &root, "--runroot", &run];
        words.extend(["--tmpdir", &temporary, "--storage-driver", "overlay"]);
        words.extend(["--cgroup-manager", "cgroupfs", "--runtime", &runtime]);
        words.extend(arguments);
        words.into_iter().map(str::to_owned).collect()
    }

    /// Runs podman to the end, whatever the end is.
    #[track_caller]
    pub fn podman(&self, arguments: &[&str]) -> Output {
        self.run(&self.podman_words(arguments))
    }

    /// What it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn podman_ok(&self, arguments: &[&str]) -> String {
        let output = self.podman(arguments);
        assert_eq!(output.code, 0, "podman {arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }
}
