//! SIGKILL at any moment of what has to do with volumes: data stay, volumes are whole or not there, and nothing is left that the next
//! command does not clear.

use std::path::{Path, PathBuf};

use conex_tests::{Conex, Killat, Points, alpine, eventually, needs_root, skip};

macro_rules! bed {
    () => {{
        let (conex, alpine) = alpine!();
        let Some(killat) = Killat::new(conex.scratch()) else { skip!("no C compiler") };
        (conex, alpine, killat)
    }};
}

fn directory(conex: &Conex) -> PathBuf {
    conex.root().join("volumes")
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What `volume ls` shows is what is there.
fn settled(conex: &Conex, said: &str) -> Vec<String> {
    let shown: Vec<_> = conex.ok(&["volume", "ls", "-q"]).lines().map(str::to_owned).collect();
    assert_eq!(names(&directory(conex)), shown, "{said}");
    for name in &shown {
        assert_eq!(conex.run(&["volume", "inspect", name]).code, 0, "{said}");
    }
    shown
}

#[test]
fn made_and_removed_whole() {
    let (conex, _, killat) = bed!();
    let points = Points { some: 40, every: 1, kills: 10 };
    killat.each(
        &conex,
        &["volume", "create", "--label", "a=b", "db"],
        points,
        |_| drop(conex.ok(&["volume", "rm", "-f", "db"])),
        |_, said| {
            let there = settled(&conex, said);
            assert!(there.is_empty() || there == ["db"], "{said}");
            if said.contains("ended 0") {
                assert_eq!(there, ["db"], "{said}");
            }
        },
    );
    conex.ok(&["volume", "rm", "-f", "db"]);
    let fill = || {
        conex.ok(&["volume", "create", "db"]);
        let data = directory(&conex).join("db/_data");
        for number in 0..20 {
            std::fs::create_dir_all(data.join(format!("d{number}"))).expect("a directory");
            std::fs::write(data.join(format!("d{number}/f")), "x").expect("a file");
        }
    };
    fill();
    killat.each(
        &conex,
        &["volume", "rm", "db"],
        points,
        |_| fill(),
        |_, said| {
            // All of it, or nothing.
            if settled(&conex, said) == ["db"] {
                let data = directory(&conex).join("db/_data");
                assert_eq!(names(&data).len(), 20, "{said}");
                assert!(names(&data).iter().all(|name| data.join(name).join("f").exists()), "{said}");
            }
        },
    );
}

/// The image's files are all there or none is, and the next container has them all.
#[test]
fn the_first_contents_come_whole() {
    let (conex, alpine, killat) = bed!();
    let words = ["create", "--name", "box", "-v", "etc:/etc", "-v", "/anon", alpine, "true"];
    let whole = {
        conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "true"]);
        names(&directory(&conex).join("etc/_data"))
    };
    let reset = || {
        conex.run(&["rm", "-f", "-v", "box"]);
        conex.ok(&["volume", "rm", "-f", "etc"]);
        conex.ok(&["volume", "prune", "-f"]);
    };
    reset();
    let points = Points { some: 40, every: 7, kills: 10 };
    killat.each(
        &conex,
        &words,
        points,
        |_| reset(),
        |_, said| {
            let is_there = !conex.ok(&["ps", "-aq"]).is_empty();
            let volumes = settled(&conex, said);
            let anonymous = volumes.iter().filter(|name| name.len() == 64).count();
            assert_eq!(anonymous, usize::from(is_there), "{said}: {volumes:?}");
            conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "test", "-f", "/etc/alpine-release"]);
            assert_eq!(names(&directory(&conex).join("etc/_data")), whole, "{said}");
            assert_eq!(names(&directory(&conex).join("etc")), ["_data", "volume.json"], "{said}");
        },
    );
}

/// Each of the ways in which a container goes, cut short: its anonymous volumes go with it, its named one never.
#[test]
fn the_end_of_a_container_takes_what_is_its_own() {
    let (conex, alpine, killat) = bed!();
    let points = Points { some: 30, every: 7, kills: 8 };
    let script = "echo data >/db/file";
    let words = ["run", "--rm", "-v", "db:/db", "-v", "/anon", alpine, "sh", "-c", script];
    let check = |said: &str| {
        eventually("an end", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
        eventually("its volumes' end", || {
            settled(&conex, said).iter().all(|name| name == "db").then_some(())
        });
    };
    killat.each(&conex, &words, points, |_| (), |_, said| check(said));
    let data = directory(&conex).join("db/_data/file");
    assert_eq!(std::fs::read_to_string(&data).expect("the data"), "data\n");
    let make = || drop(conex.ok(&["create", "--name", "box", "-v", "db:/db", "-v", "/anon", alpine, "true"]));
    make();
    killat.each(
        &conex,
        &["rm", "-v", "box"],
        points,
        |_| {
            conex.run(&["rm", "-v", "box"]);
            make();
        },
        |_, said| {
            let is_there = !conex.ok(&["ps", "-aq"]).is_empty();
            let anonymous = settled(&conex, said).iter().filter(|name| *name != "db").count();
            assert_eq!(anonymous, usize::from(is_there), "{said}");
            assert_eq!(std::fs::read_to_string(&data).expect("the data"), "data\n", "{said}");
        },
    );
    // Without -v they stay, however it is cut short.
    conex.run(&["rm", "-v", "box"]);
    make();
    killat.each(
        &conex,
        &["rm", "box"],
        points,
        |_| {
            conex.run(&["rm", "-v", "box"]);
            conex.ok(&["volume", "prune", "-f"]);
            make();
        },
        |_, said| {
            conex.ok(&["ps", "-aq"]);
            assert_eq!(
                settled(&conex, said).len(),
                2,
                "{said}: data of a container that was removed without -v"
            );
        },
    );
}

fn kill_supervisor(conex: &Conex, name: &str) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("a process");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    let parent = parent.and_then(Pid::from_raw).expect("a parent");
    let parent = pidfd_open(parent, PidfdFlags::empty()).expect("a process");
    pidfd_send_signal(parent, Signal::KILL).expect("a kill");
}

/// The container of a killed `run --rm` is settled by who removes its volume, which goes with it.
#[test]
fn a_dead_one_s_volume_can_be_removed() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--rm", "--name", "box", "-v", "/anon", "-v", "db:/db", alpine, "sleep", "1000"]);
    let shown = conex.ok(&["volume", "ls", "-q"]);
    let anonymous = shown.lines().find(|name| name.len() == 64).expect("an anonymous one").to_owned();
    kill_supervisor(&conex, "box");
    // Its end is noticed some time after the kill.
    eventually("its removal", || (conex.run(&["volume", "rm", &anonymous]).code == 0).then_some(()));
    assert_eq!(settled(&conex, "after the removal"), ["db"]);
    conex.ok(&["volume", "rm", "db"]);
}

/// A volume in memory is mounted for as long as somebody runs with it; a supervisor that is killed is nobody.
#[test]
fn a_killed_supervisor_s_mount_goes() {
    let (conex, alpine) = alpine!();
    conex.ok(&["volume", "create", "--opt", "type=tmpfs", "memory"]);
    conex.ok(&["volume", "create", "db"]);
    let script = "echo x >/m/file; echo data >/db/file; sleep 1000";
    conex.ok(&["run", "-d", "--name", "box", "-v", "memory:/m", "-v", "db:/db", alpine, "sh", "-c", script]);
    let data = directory(&conex).join("memory/_data");
    let kept = directory(&conex).join("db/_data/file");
    eventually("the files", || (data.join("file").exists() && kept.exists()).then_some(()));
    kill_supervisor(&conex, "box");
    eventually("the end", || conex.ok(&["ps", "-a"]).contains("Exited (137)").then_some(()));
    assert!(!data.join("file").exists(), "it is still mounted");
    assert_eq!(std::fs::read_to_string(&kept).expect("the data"), "data\n");
    conex.ok(&["start", "box"]);
    eventually("the file", || data.join("file").exists().then_some(()));
    conex.ok(&["rm", "-f", "box"]);
    conex.ok(&["volume", "rm", "memory", "db"]);
}

/// Many that make and remove one volume at once: it is there or not, and nothing else is.
#[test]
fn one_of_many_makes_it() {
    needs_root!();
    let conex = Conex::new();
    for _ in 0..5 {
        let making: Vec<_> = (0..8).map(|_| conex.background(&["volume", "create", "db"])).collect();
        for output in making.into_iter().map(conex_tests::Background::finish) {
            assert_eq!((output.code, &*output.stdout), (0, "db\n"), "{}", output.stderr);
        }
        assert_eq!(settled(&conex, "after all have made it"), ["db"]);
        let removing: Vec<_> = (0..4).map(|_| conex.background(&["volume", "rm", "db"])).collect();
        let codes: Vec<_> = removing.into_iter().map(|child| child.finish().code).collect();
        assert!(codes.contains(&0) && codes.iter().all(|code| matches!(code, 0 | 1)), "{codes:?}");
        assert!(settled(&conex, "after all have removed it").is_empty());
    }
}

/// Two commands that want opposite things of one volume: one of them wins, and no container has a volume that is not there.
#[test]
fn removal_and_use_exclude_each_other() {
    let (conex, alpine) = alpine!();
    let (mut removed, mut refused) = (0, 0);
    for round in 0..20 {
        conex.ok(&["volume", "create", "db"]);
        let name = format!("box{round}");
        let using = conex.background(&["create", "--name", &name, "-v", "db:/etc", alpine, "true"]);
        let removal = conex.run(&["volume", "rm", "db"]);
        let created = using.finish();
        assert_eq!(created.code, 0, "{}", created.stderr);
        match removal.code {
            0 => removed += 1,
            _ => {
                assert!(removal.stderr.contains("in use"), "{}", removal.stderr);
                refused += 1;
            }
        }
        // It was made anew, if it had gone.
        conex.ok(&["start", "-a", &name]);
        assert!(directory(&conex).join("db/_data/alpine-release").exists());
        conex.ok(&["rm", &name]);
        conex.ok(&["volume", "rm", "db"]);
    }
    assert_eq!(removed + refused, 20);
}
