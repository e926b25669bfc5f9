//! Waiting for conditions, and what this machine has.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far more than it needs, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `condition` until it gives a value; panics with `what` when patience ends.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The same of something that changes meanwhile: `condition` gives it as a text, too, which is printed whenever it is another.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn eventually_shown<T>(what: &str, mut condition: impl FnMut() -> (String, Option<T>)) -> T {
    let mut last = String::new();
    eventually(what, || {
        let (now, value) = condition();
        if now != last {
            println!("{what}: {now}");
            last = now;
        }
        value
    })
}

/// How many processes have such a command line: its words, each with a NUL behind it.
///
/// # Panics
/// When there is no /proc.
pub fn processes(is_meant: impl Fn(&str) -> bool) -> usize {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let words = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    words.filter(|words| is_meant(&String::from_utf8_lossy(words))).count()
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a program of that name stands in PATH.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
