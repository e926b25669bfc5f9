//! SIGKILL at any moment: what the next command says is true, and what it does leaves nothing behind.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use conex_tests::{Conex, alpine, eventually, skip};

fn kill(pid: u32) {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    // It may have ended by itself.
    if let Ok(process) = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) {
        let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
    }
    eventually("the death of a killed process", || dead(&pid.to_string()).then_some(()));
}

/// Whether it has ended; who reaps an orphan may take his time.
fn dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("Z", |(_, fields)| &fields[..1]);
    matches!(state, "Z" | "X")
}

/// The parent of a container's first process.
fn supervisor(conex: &Conex, name: &str) -> u32 {
    let pid = conex.inspect(name)["State"]["Pid"].as_u64().expect("a pid");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process's status");
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok()).expect("a parent")
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

fn left(conex: &Conex) -> Vec<String> {
    let directories = ["root/containers", "root/names", "root/userns", "run/containers"];
    let left = directories.iter().filter(|name| count(&conex.scratch().join(name)) > 0);
    left.map(|name| (*name).to_owned()).collect()
}

/// Once the supervisors have ended, which clear up after they have told.
fn assert_nothing_left(conex: &Conex) {
    eventually("empty directories", || left(conex).is_empty().then_some(()));
}

/// The children of every control group of that name, in every hierarchy.
fn groups(name: &str) -> usize {
    fn walk(directory: &Path, name: &str, depth: u32) -> usize {
        let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
        let mut found = 0;
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.file_name() == name {
                // The parent stays when its last container goes; an empty one is of no use to anybody after the test.
                let _ = std::fs::remove_dir(entry.path());
                let children = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
                found += children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())).count();
            } else if depth > 0 {
                found += walk(&entry.path(), name, depth - 1);
            }
        }
        found
    }
    walk(Path::new("/sys/fs/cgroup"), name, 6)
}

#[test]
fn killing_the_command_ends_nothing() {
    let (conex, alpine) = alpine!();
    let mut command = conex.background(&["run", "--name", "web", alpine, "sh", "-c", "echo up; sleep 1000"]);
    eventually("output", || conex.run(&["logs", "web"]).stdout.contains("up").then_some(()));
    command.kill();
    drop(command);
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    assert_eq!(conex.ok(&["exec", "web", "echo", "alive"]), "alive\n");
    conex.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(conex.inspect("web")["State"]["ExitCode"], 137);
}

#[test]
fn a_killed_supervisor_is_noticed_and_cleaned_up() {
    let (conex, alpine) = alpine!();
    let speaks = "while :; do echo here; sleep 0.1; done";
    conex.ok(&["run", "-d", "--name", "web", "--restart", "always", alpine, "sh", "-c", speaks]);
    let pid = conex.inspect("web")["State"]["Pid"].to_string();
    let waiting = conex.background(&["wait", "web"]);
    let mut attached = conex.command(&["attach", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    attached.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    kill(supervisor(&conex, "web"));
    assert!(conex.ok(&["ps", "-a"]).contains("Exited (137)"));
    let document = conex.inspect("web");
    assert_eq!(document["State"]["Status"], "exited");
    assert_eq!(document["State"]["ExitCode"], 137);
    assert!(document["State"]["Error"].as_str().unwrap().contains("supervisor"));
    assert!(dead(&pid), "the container outlived its supervisor");
    assert_eq!(count(&conex.run_root().join("containers")), 0);
    assert_eq!(waiting.finish().stdout, "137\n");
    assert_eq!(attached.wait().unwrap().code(), Some(137));
    // It is as good as new.
    conex.ok(&["start", "web"]);
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    kill(supervisor(&conex, "web"));
    // Whatever command comes next.
    conex.fails(1, &["exec", "web", "true"]);
    conex.ok(&["restart", "web"]);
    kill(supervisor(&conex, "web"));
    conex.ok(&["rm", "web"]);
    assert_nothing_left(&conex);
}

#[test]
fn a_brief_container_goes_with_its_supervisor() {
    let (conex, alpine) = alpine!();
    let parent = format!("conex-crash-{}", std::process::id());
    conex.ok(&["run", "-d", "--rm", "--name", "web", "--cgroup-parent", &parent, alpine, "sleep", "1000"]);
    assert!(groups(&parent) > 0, "the test looks in the wrong place");
    kill(supervisor(&conex, "web"));
    // Its name is free for the next.
    conex.ok(&["run", "--rm", "--name", "web", "--cgroup-parent", &parent, alpine, "true"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    assert_nothing_left(&conex);
    assert_eq!(groups(&parent), 0);
}

/// Kills the command, and its supervisor if it has one yet, after every so many microseconds of a run.
#[test]
fn killed_at_any_moment_nothing_is_left() {
    let (conex, alpine) = alpine!();
    let parent = format!("conex-moment-{}", std::process::id());
    for step in 0..60u64 {
        let mut command =
            conex.background(&["run", "--rm", "--name", "web", "--cgroup-parent", &parent, alpine, "true"]);
        std::thread::sleep(Duration::from_micros(step * 700));
        let cli = command.id();
        let children =
            std::fs::read_to_string(format!("/proc/{cli}/task/{cli}/children")).unwrap_or_default();
        if step % 3 != 0 {
            command.kill();
        }
        if step % 3 != 1 {
            children.split_whitespace().filter_map(|pid| pid.parse().ok()).for_each(kill);
        }
        drop(command.finish());
        // A supervisor that was spared finishes by itself.
        eventually("an empty list", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
        assert_nothing_left(&conex);
        assert_eq!(groups(&parent), 0, "step {step}");
    }
}

/// The same for a container that lasts: it is there and whole, or not at all.
#[test]
fn killed_while_creating_it_is_all_or_nothing() {
    let (conex, alpine) = alpine!();
    let mut whole = 0;
    for step in 0..40u64 {
        let mut command = conex.background(&["create", "--name", "web", alpine, "echo", "hi"]);
        std::thread::sleep(Duration::from_micros(step * 500));
        command.kill();
        drop(command.finish());
        let listed = conex.ok(&["ps", "-aq"]);
        if listed.is_empty() {
            assert_nothing_left(&conex);
        } else {
            whole += 1;
            assert_eq!(conex.inspect("web")["State"]["Status"], "created");
            assert_eq!(conex.ok(&["start", "-a", "web"]), "hi\n");
            conex.ok(&["rm", "web"]);
            assert_nothing_left(&conex);
        }
    }
    println!("{whole} of 40 were whole");
}

/// The child of a moment that an idmapped mount's user namespace needs: it goes too, and with it the output that it holds open.
#[test]
fn killed_beside_its_helper_it_leaves_none() {
    let (conex, alpine) = alpine!();
    let mut met = 0;
    for _ in 0..30 {
        let mut command = conex.background(&["create", alpine, "true"]);
        let children = format!("/proc/{0}/task/{0}/children", command.id());
        while !command.has_ended() {
            let Ok(found) = std::fs::read_to_string(&children) else {
                skip!("this kernel lists no children of a process (CONFIG_PROC_CHILDREN)");
            };
            if !found.is_empty() {
                met += 1;
                command.kill();
                break;
            }
        }
        // Panics when somebody else has its output open.
        drop(command.finish());
    }
    if met == 0 {
        skip!("no user namespace is made here");
    }
    println!("{met} of 30 were killed with a child");
}

/// What only looks at a `--rm` container that has not run, or changes it, is not its end.
#[test]
fn killed_at_a_brief_container_that_has_not_run_it_stays() {
    let (conex, alpine) = alpine!();
    std::fs::write(conex.scratch().join("file"), "x").expect("a file");
    let file = conex.scratch().join("file").display().to_string();
    conex.ok(&["create", "--rm", "--name", "web", alpine, "true"]);
    for step in 0..60u64 {
        for words in [&["update", "--memory", "100m", "web"][..], &["cp", &file, "web:/tmp/"]] {
            let mut command = conex.background(words);
            std::thread::sleep(Duration::from_micros(step * 100));
            command.kill();
            drop(command.finish());
            assert_eq!(
                conex.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]),
                "web created\n",
                "{words:?}"
            );
        }
    }
    assert_eq!(conex.run(&["start", "-a", "web"]).code, 0);
    assert_nothing_left(&conex);
}

#[test]
fn a_supervisor_that_hangs_can_be_removed() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let pid = i32::try_from(supervisor(&conex, "web")).ok().and_then(rustix::process::Pid::from_raw);
    let flags = rustix::process::PidfdFlags::empty();
    let process = rustix::process::pidfd_open(pid.expect("a pid"), flags).expect("its process");
    rustix::process::pidfd_send_signal(process, rustix::process::Signal::STOP).expect("stopped");
    conex.ok(&["rm", "-f", "web"]);
    assert_nothing_left(&conex);
}

#[test]
fn killed_while_removing_the_next_one_finishes() {
    let (conex, alpine) = alpine!();
    for step in 0..30u64 {
        conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
        let mut command = conex.background(&["rm", "-f", "web"]);
        std::thread::sleep(Duration::from_micros(step * 500));
        command.kill();
        drop(command.finish());
        let listed = conex.ok(&["ps", "-aq"]);
        if !listed.is_empty() {
            conex.ok(&["rm", "-f", "web"]);
        }
        assert_nothing_left(&conex);
    }
}

#[test]
fn what_a_power_cut_leaves_is_told_as_it_is() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--name", "db", alpine, "true"]);
    // As after a boot: no process, no run directory, and a record that it was started.
    let id = conex.inspect("web")["Id"].as_str().unwrap().to_owned();
    let exit = conex.root().join("containers").join(&id).join("exit");
    let started = std::fs::read_to_string(&exit).expect("a durable container's start is on record");
    conex.ok(&["kill", "web"]);
    std::fs::write(&exit, started).unwrap();
    let _ = std::fs::remove_dir_all(conex.run_root());
    let document = conex.inspect("web");
    assert_eq!(
        (document["State"]["Status"].as_str(), document["State"]["ExitCode"].as_i64()),
        (Some("exited"), Some(255))
    );
    assert_eq!(conex.inspect("db")["State"]["Status"], "created");
    conex.ok(&["start", "web"]);
    conex.ok(&["rm", "-f", "web", "db"]);
    assert_nothing_left(&conex);
}
