//! `exec`: one more process in a running container.

use conex_tests::{alpine, eventually};

macro_rules! running {
    ($($flag:expr),*) => {{
        let (conex, alpine) = alpine!();
        conex.ok(&["run", "-d", "--name", "web", $($flag,)* alpine, "sleep", "1000"]);
        conex
    }};
}

#[test]
fn exit_codes_and_streams() {
    let conex = running!();
    let output = conex.run(&["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 9"]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (9, "out\n", "err\n"));
    let error = conex.fails(127, &["exec", "web", "no-such-program"]);
    assert!(error.contains("no-such-program"), "{error}");
    conex.fails(126, &["exec", "web", "/etc/passwd"]);
    conex.fails(143, &["exec", "web", "sh", "-c", "kill -TERM $$"]);
    conex.fails(1, &["exec", "nobody", "true"]);
    conex.ok(&["stop", "-t", "0", "web"]);
    let error = conex.fails(1, &["exec", "web", "true"]);
    assert!(error.contains("is not running"), "{error}");
}

#[test]
fn it_is_in_all_the_containers_namespaces_and_groups() {
    let conex = running!("-m", "64m");
    let ours = conex.ok(&[
        "exec",
        "web",
        "sh",
        "-c",
        "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done",
    ]);
    let theirs = conex.ok(&[
        "exec",
        "web",
        "sh",
        "-c",
        "for n in cgroup ipc mnt net pid uts; do readlink /proc/1/ns/$n; done",
    ]);
    assert_eq!(ours, theirs);
    let groups = conex.ok(&["exec", "web", "sh", "-c", "cat /proc/self/cgroup; echo --; cat /proc/1/cgroup"]);
    let (ours, theirs) = groups.split_once("--\n").expect("two parts");
    assert_eq!(ours, theirs);
    assert!(conex.ok(&["exec", "web", "cat", "/proc/self/status"]).contains("Seccomp:\t2"));
}

#[test]
fn environment_user_and_directory() {
    let conex = running!("-e", "A=1", "-e", "B=1", "-w", "/tmp");
    let text = conex.ok(&["exec", "-e", "B=2", "-e", "C=3", "web", "sh", "-c", "echo $A $B $C; pwd; id -u"]);
    assert_eq!(text, "1 2 3\n/tmp\n0\n");
    let text = conex.ok(&["exec", "-u", "nobody", "-w", "/etc", "web", "sh", "-c", "id -un; id -gn; pwd"]);
    assert_eq!(text, "nobody\nnobody\n/etc\n");
    assert_eq!(conex.ok(&["exec", "-u", "12:34", "web", "sh", "-c", "id -u; id -g"]), "12\n34\n");
    let error = conex.run(&["exec", "-u", "stranger", "web", "true"]);
    assert!(error.code != 0 && error.stderr.contains("stranger"), "{}", error.stderr);
}

#[test]
fn privileged_has_all_rights() {
    let conex = running!();
    let rights = |flags: &[&str]| {
        let status = conex.ok(&[&["exec"][..], flags, &["web", "cat", "/proc/self/status"]].concat());
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned());
        (field("CapEff:").unwrap(), field("Seccomp:").unwrap())
    };
    let (plain, privileged) = (rights(&[]), rights(&["--privileged"]));
    assert_eq!((plain.1.as_str(), privileged.1.as_str()), ("2", "0"));
    assert!(u64::from_str_radix(&privileged.0, 16).unwrap() > u64::from_str_radix(&plain.0, 16).unwrap());
}

#[test]
fn input_reaches_it_and_ends() {
    let conex = running!();
    let output = conex.run_with_input(&["exec", "-i", "web", "sh", "-c", "cat; exit 4"], b"through\n");
    assert_eq!((output.code, output.stdout.as_str()), (4, "through\n"), "{}", output.stderr);
    // Without -i it sees the end at once.
    assert_eq!(conex.ok(&["exec", "web", "cat"]), "");
}

#[test]
fn detached_it_goes_on_alone() {
    let conex = running!();
    assert_eq!(conex.ok(&["exec", "-d", "web", "sh", "-c", "echo done >/made; sleep 1000"]), "");
    eventually("its file", || (conex.run(&["exec", "web", "cat", "/made"]).stdout == "done\n").then_some(()));
    conex.fails(127, &["exec", "-d", "web", "no-such-program"]);
}

#[test]
fn the_end_of_the_container_is_its_end() {
    let conex = running!();
    let process = conex.background(&["exec", "web", "sh", "-c", "echo up >/up; sleep 1000"]);
    eventually("it", || (conex.run(&["exec", "web", "cat", "/up"]).stdout == "up\n").then_some(()));
    conex.ok(&["rm", "-f", "web"]);
    assert_eq!(process.finish().code, 137);
}

#[test]
fn many_at_once() {
    let conex = running!();
    let all: Vec<_> =
        (0..16).map(|n| conex.background(&["exec", "web", "sh", "-c", &format!("exit {n}")])).collect();
    for (number, process) in all.into_iter().enumerate() {
        let output = process.finish();
        assert_eq!(output.code, i32::try_from(number).unwrap(), "{}", output.stderr);
    }
}
