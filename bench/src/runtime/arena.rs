//! Where runtimes meet on equal terms: a mount namespace of its own, in which `/sys/fs/cgroup` is cgroup v2 and this
//! process's group its root. crun refuses a host that mounts both versions, and each runtime manages groups as it does by
//! default. Their state is on a tmpfs, as /run is on every host but for some test machines. The machine's own mounts and groups stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::machine::unified;
use crate::options::ALL;
use crate::scene::run;

/// Set for the program inside.
const INSIDE: &str = "CONEX_BENCH_ARENA";

/// Stands beside each result.
pub(crate) const ABOUT: &str =
    "cgroup v2 in a namespace, state on a tmpfs, each runtime's own cgroupfs driver";

/// Joins the group, makes the namespaces, mounts, goes on as the program that is named.
const ENTER: &str = r#"echo $$ >"$0/cgroup.procs" && exec unshare --mount --cgroup sh -c '
    mount -t tmpfs tmpfs /run && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/own &&
    echo $$ >/sys/fs/cgroup/own/cgroup.procs && exec "$0" "$@"' "$@""#;

/// Whether this process is in it.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again, inside, with the same arguments; other comparisons than the runtimes' run outside.
pub(crate) fn enter() -> Result<()> {
    let unified = unified().ok_or("no cgroup v2 on this machine: runtimes cannot be compared")?;
    let group = unified.join(format!("conex-bench-{}", std::process::id()));
    fs::create_dir(&group).map_err(|error| format!("cannot make {}: {error} (root?)", group.display()))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("sh");
    command.args(["-c", ENTER]).arg(&group).arg(program).arg("runtime");
    command.args(std::env::args().skip(1).filter(|argument| !ALL.contains(&argument.as_str())));
    let status = command.env(INSIDE, "1").status();
    remove(&group);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the comparison of runtimes: {status}")),
        Err(error) => Err(format!("cannot start the comparison of runtimes: {error}")),
    }
}

/// With what a runtime has left in it; the kernel may still be freeing the last process.
fn remove(group: &Path) {
    for _ in 0..50 {
        for child in fs::read_dir(group).into_iter().flatten().flatten() {
            if child.path().is_dir() {
                let _ = run(Command::new("find").arg(child.path()).args(["-depth", "-type", "d", "-delete"]));
            }
        }
        if fs::remove_dir(group).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("bench: cannot remove {}", group.display());
}
