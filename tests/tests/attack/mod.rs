//! What the attacks on mounts and on procfs share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Background, Output};
use serde_json::{Value, json};

/// A runtime, the hostile program of `fixtures/attack.c`, and a place of the host's that nobody may touch.
#[macro_export]
macro_rules! bed {
    () => {{
        conex_tests::needs_root!();
        let Some(runtime) = conex_tests::Runtime::new() else { conex_tests::skip!("no busybox image") };
        let Some(attack) = conex_tests::fixture("attack", runtime.scratch()) else {
            conex_tests::skip!("no C compiler")
        };
        let outside = attack::Outside::new(runtime.scratch());
        (runtime, attack, outside)
    }};
}

const SECRET: &str = "the host's secret";

/// A directory of the host's with a file in it.
pub(crate) struct Outside {
    pub(crate) directory: PathBuf,
    mounts: usize,
}

impl Outside {
    pub(crate) fn new(scratch: &Path) -> Self {
        let directory = scratch.join("outside");
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("secret"), SECRET).expect("a file");
        let mounts = Self::mounts(&directory);
        Self { directory, mounts }
    }

    /// How many mounts of the host's stand below it.
    fn mounts(directory: &Path) -> usize {
        let info = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        info.lines().filter(|line| line.contains(text(directory))).count()
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&self, output: &Output, what: &str) {
        let names: Vec<_> = fs::read_dir(&self.directory)
            .expect("it is there")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["secret"], "{what}: something was made outside; {output:?}");
        let content = fs::read_to_string(self.directory.join("secret")).expect("it is there");
        assert_eq!(content, SECRET, "{what}: it was overwritten; {output:?}");
        assert_eq!(Self::mounts(&self.directory), self.mounts, "{what}: something was mounted outside");
        let out = format!("{}{}", output.stdout, output.stderr);
        assert!(!out.contains(SECRET), "{what}: the secret was read; {output:?}");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// It ran as it must, or one line says why not.
#[track_caller]
pub(crate) fn assert_clear(output: &Output, what: &str) {
    let refused = output.code == 1 && output.stdout.is_empty() && output.stderr.lines().count() == 1;
    assert!(refused || output.code == 0, "{what}: {output:?}");
    assert!(!output.stdout.contains("open "), "{what}: {output:?}");
}

/// Exchanges two names in a directory for as long as it lives.
pub(crate) fn swapping(attack: &Path, directory: &Path, a: &str, b: &str) -> Background {
    Background::spawn(Command::new(attack).args(["swap", text(directory), a, b]))
}

pub(crate) fn bind(source: &Path, destination: &str) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]})
}

pub(crate) fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}
