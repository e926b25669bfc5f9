//! The image that comes with the program, and what it tells of limits and rights: the first thing that anybody runs.

use conex_tests::{Conex, needs_root};
use serde_json::Value;

/// What `hello --json` prints in a container made with these flags.
#[track_caller]
fn hello(conex: &Conex, flags: &[&str]) -> Value {
    let arguments = [&["run", "--rm"], flags, &["hello", "--json"]].concat();
    serde_json::from_str(&conex.ok(&arguments)).expect("hello --json prints JSON")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn it_needs_nothing_and_fits_a_terminal() {
    needs_root!();
    let conex = Conex::new();
    let output = conex.run(&["run", "--rm", "hello"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "no pull is spoken of");
    assert!(output.stdout.starts_with("Hello from inside a container.\n"), "{}", output.stdout);
    for line in output.stdout.lines() {
        assert!(line.chars().count() < 80, "{line}");
    }
    assert!(!output.stdout.contains('\x1b'), "no colours on a pipe");
    for section in ["PROCESS", "NAMESPACES", "CGROUP", "RIGHTS", "FILESYSTEM", "NETWORK"] {
        assert!(output.stdout.contains(section), "{section}");
    }
    assert_eq!(conex.images(), ["hello:latest"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn it_has_colours_on_a_terminal_only() {
    needs_root!();
    let conex = Conex::new();
    let (code, text) = conex.pty(&["run", "--rm", "-t", "hello"]).finish();
    assert!(code == 0 && text.contains("\x1b[1mHello from inside a container."), "{text}");
    let (code, text) = conex.pty(&["run", "--rm", "-t", "-e", "NO_COLOR=1", "hello"]).finish();
    assert!(code == 0 && text.contains("Hello from inside") && !text.contains('\x1b'), "{text}");
}

#[test]
fn it_is_no_pull_and_no_other_image() {
    needs_root!();
    let conex = Conex::new();
    conex.ok(&["run", "--rm", "--pull", "never", "hello", "--version"]);
    conex.ok(&["rmi", "hello"]);
    conex.ok(&["run", "--rm", "docker.io/library/hello:latest", "--version"]);
    conex.fails(125, &["run", "--rm", "--pull", "never", "hello:other"]);
    // One that is there under the name is taken.
    conex.ok(&["tag", "hello", "kept"]);
    if let Some(busybox) = conex.busybox() {
        conex.ok(&["tag", busybox, "hello"]);
        assert_eq!(conex.ok(&["run", "--rm", "hello", "echo", "mine"]), "mine\n");
    }
}

#[test]
fn its_arguments() {
    needs_root!();
    let conex = Conex::new();
    assert!(conex.ok(&["run", "--rm", "hello", "--help"]).contains("Usage: hello [--json]"));
    let error = conex.fails(2, &["run", "--rm", "hello", "--jason"]);
    assert_eq!(error, "hello: unknown argument \"--jason\"; see hello --help\n");
}

#[test]
fn a_container_has_a_world_of_its_own() {
    needs_root!();
    let conex = Conex::new();
    let told = hello(&conex, &["--hostname", "box"]);
    assert_eq!(told["process"]["pid"], 1);
    assert_eq!(told["process"]["program"], "/hello");
    assert_eq!(told["hostname"], "box");
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        let inside = format!("{name}:[{}]", told["namespaces"][name]);
        assert_ne!(host.to_str(), Some(inside.as_str()), "{name}");
    }
    assert_eq!(told["filesystem"]["root"]["type"], "overlay");
    assert_eq!(told["filesystem"]["root"]["read_only"], false);
    assert_eq!(told["filesystem"]["root"]["layers"].as_array().map(Vec::len), Some(1));
    let interfaces: Vec<_> = told["network"].as_array().expect("a list").iter().map(|i| &i["name"]).collect();
    assert_eq!(interfaces, ["lo"]);
}

#[test]
fn limits_are_seen_from_inside() {
    needs_root!();
    let conex = Conex::new();
    let free = hello(&conex, &[]);
    for limit in ["memory_bytes", "cpus", "pids"] {
        assert_eq!(free["cgroup"]["limits"].get(limit), Some(&Value::Null), "{limit}: {}", free["cgroup"]);
    }
    let bound = hello(&conex, &["--memory", "50m", "--cpus", "0.5", "--pids-limit", "20"]);
    let limits = &bound["cgroup"]["limits"];
    assert_eq!(limits["memory_bytes"], 52428800, "{limits}");
    assert_eq!(limits["cpus"], 0.5, "{limits}");
    assert_eq!(limits["pids"], 20, "{limits}");
    let page = conex.ok(&["run", "--rm", "--memory", "50m", "hello"]);
    assert!(page.contains("memory       at most 50 MiB (52428800 bytes)"), "{page}");
}

#[test]
fn rights_are_the_default_ones() {
    needs_root!();
    let conex = Conex::new();
    let told = hello(&conex, &[]);
    assert_eq!(told["security"]["seccomp"], "filter");
    assert_eq!(told["security"]["no_new_privs"], false);
    let effective = names(&told["capabilities"]["effective"]);
    assert!(effective.contains(&"CAP_CHOWN") && !effective.contains(&"CAP_SYS_ADMIN"), "{effective:?}");
    assert_eq!(names(&told["capabilities"]["ambient"]), [""; 0]);
    assert!(names(&told["filesystem"]["read_only_paths"]).contains(&"/proc/sys"));
    assert!(names(&told["filesystem"]["masked_paths"]).contains(&"/sys/firmware"));
}

#[test]
fn rights_follow_the_flags() {
    needs_root!();
    let conex = Conex::new();
    let flags =
        ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--user", "65534:65534"];
    let told = hello(&conex, &flags);
    assert_eq!(names(&told["capabilities"]["bounding"]), [""; 0]);
    assert_eq!(told["security"]["no_new_privs"], true);
    assert_eq!(told["security"]["seccomp"], "filter");
    assert_eq!(told["filesystem"]["root"]["read_only"], true);
    assert_eq!(told["process"]["uid"], 65534);
    let told = hello(&conex, &["--security-opt", "seccomp=unconfined"]);
    assert_eq!(told["security"]["seccomp"], "disabled");
    let told = hello(&conex, &["--privileged"]);
    assert!(names(&told["capabilities"]["effective"]).contains(&"CAP_SYS_ADMIN"));
    assert_eq!(told["security"]["seccomp"], "disabled");
    assert_eq!(names(&told["filesystem"]["masked_paths"]), [""; 0]);
}
