//! `events`: what is noted, who sees it, and what happens when it cannot be noted. The words are held against Docker's in
//! `docker_alike`.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use conex_tests::{Conex, alpine, eventually, skip, user_yard, yard};
use serde_json::Value;

fn seen(conex: &Conex, words: &[&str]) -> Vec<String> {
    let format = "{{.Action}} {{.Name}} {{.Actor.Attributes.exitCode}}";
    let text = conex.ok(&[&["events", "--no-stream", "--format", format][..], words].concat());
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// `events` that writes to a file, and that listens by now.
struct Follower(Child, PathBuf);

impl Follower {
    fn new(conex: &Conex, number: usize, words: &[&str]) -> Self {
        let path = conex.scratch().join(format!("events{number}"));
        let file = std::fs::File::create(&path).expect("a file");
        let mut command = conex.command(&[&["events"][..], words].concat());
        let child = command.stdout(file).spawn().expect("conex");
        eventually("events to listen", || {
            let mut fds = std::fs::read_dir(format!("/proc/{}/fd", child.id())).ok()?.flatten();
            let listens = |path: PathBuf| path.to_string_lossy().contains("inotify").then_some(());
            fds.find_map(|fd| std::fs::read_link(fd.path()).ok().and_then(listens))
        });
        Self(child, path)
    }

    fn seen(&self) -> String {
        std::fs::read_to_string(&self.1).expect("a file")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn chosen_by_filters_and_times() {
    let (conex, alpine) = alpine!();
    conex.run(&["run", "--name", "web", "-l", "tier=front", alpine, "sh", "-c", "exit 3"]);
    conex.ok(&["run", "--name", "db", alpine, "true"]);
    conex.ok(&["tag", alpine, "mine:1"]);
    conex.ok(&["container", "prune", "-f"]);
    let life = ["create", "attach", "start", "die"];
    let of = |filter: &str| seen(&conex, &["--filter", filter]);
    let actions = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(actions(of("container=web")), [&life[..], &["destroy"]].concat());
    assert_eq!(actions(of("label=tier=front")), actions(of("container=web")));
    assert_eq!(seen(&conex, &["--filter", "event=die", "--filter", "container=web"]), ["die web 3"]);
    assert_eq!(seen(&conex, &["-f", "event=die", "-f", "label=tier"]).len(), 1);
    assert!(of("type=image").iter().any(|line| line.starts_with("tag mine:1")));
    assert_eq!(actions(of("event=prune")), ["prune"]);
    assert!(of("image=alpine").len() > 9, "of containers of the image, whatever its tag");
    // A time between two events.
    let text = conex.ok(&["events", "--no-stream", "--format", "{{.TimeNano}}", "-f", "event=die"]);
    let times: Vec<i64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    let between = times[0] + 1;
    let between = format!("{}.{:09}", between / 1_000_000_000, between % 1_000_000_000);
    assert_eq!(seen(&conex, &["-f", "event=die", "--since", &between]), ["die db 0"]);
    assert_eq!(seen(&conex, &["-f", "event=die", "--until", &between]), ["die web 3"]);
    assert_eq!(conex.ok(&["events", "--since", "1h", "--until", "0s", "-f", "event=die"]).lines().count(), 2);
    assert!(conex.fails(1, &["events", "--filter", "nme=x"]).contains("unknown key"));
    let line = conex.ok(&["system", "events", "--no-stream", "-f", "event=die", "-f", "container=web"]);
    assert!(
        line.contains("Z container die ") && line.contains("(execDuration=0, exitCode=3, image=alpine:3.20"),
        "{line}"
    );
}

#[test]
fn followers_see_all_of_it_in_order() {
    let (conex, alpine) = alpine!();
    let words = ["--format", "json", "-f", "type=container"];
    let followers: Vec<_> = (0..2).map(|number| Follower::new(&conex, number, &words)).collect();
    let workers: Vec<_> = (0..4).map(|_| conex.background(&["run", "--rm", alpine, "true"])).collect();
    workers.into_iter().for_each(|worker| assert_eq!(worker.finish().code, 0));
    for follower in &followers {
        // Each of the four is told by its action and, as of old, by its status.
        let text = eventually("the events", || {
            let text = follower.seen();
            (text.matches("\"destroy\"").count() >= 8 && text.ends_with('\n')).then_some(text)
        });
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut lives: std::collections::BTreeMap<String, Vec<String>> = Default::default();
        for event in events {
            let word = |value: &Value| value.as_str().expect("a text").to_owned();
            lives.entry(word(&event["Actor"]["ID"])).or_default().push(word(&event["Action"]));
        }
        assert_eq!(lives.len(), 4, "{lives:?}");
        for life in lives.values() {
            assert_eq!(life, &["create", "attach", "start", "die", "destroy"]);
        }
    }
}

/// A supervisor that is killed tells nobody; who finds that out does.
#[test]
fn a_killed_supervisor_and_memory_that_ran_out() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let path = conex.state_file("web");
    let state: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a state")).expect("JSON");
    // By then it has no file of the journal open.
    let fds = format!("/proc/{}/fd", state["supervisor"]);
    eventually("a supervisor at rest", || {
        let mut open =
            std::fs::read_dir(&fds).ok()?.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        (!open.any(|path| path.ends_with("events.json"))).then_some(())
    });
    let killed = std::process::Command::new("kill").args(["-9", &state["supervisor"].to_string()]).status();
    assert!(killed.expect("kill").success());
    eventually("its end", || conex.ok(&["ps", "-a"]).contains("Exited (137)").then_some(()));
    assert_eq!(seen(&conex, &["-f", "event=die"]), ["die web 137"]);
    conex.run(&["run", "--name", "hog", "--memory", "20m", alpine, "tail", "/dev/zero"]);
    assert_eq!(
        seen(&conex, &["-f", "container=hog", "-f", "event=oom", "-f", "event=die"]),
        ["oom hog <no value>", "die hog 137"]
    );
}

/// The journal has a file system of its own, which is full: the verbs go on, and what is noted afterwards can be read.
#[test]
fn a_full_disk_stops_nobody() {
    let (conex, alpine) = alpine!();
    if !conex_tests::private_mounts() {
        skip!("no mount namespace here");
    }
    let events = conex.root().join("events");
    let _ = std::fs::create_dir(&events);
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&events)
        .status();
    assert!(mounted.expect("mount").success());
    std::fs::write(events.join("filler"), vec![1; 80_000]).expect_err("no room");
    assert_eq!(conex.ok(&["run", "--rm", alpine, "echo", "on"]), "on\n");
    let warned =
        conex.command(&["run", "--rm", alpine, "true"]).env("CONEX_LOG", "warn").output().expect("conex");
    assert!(
        warned.status.success() && String::from_utf8_lossy(&warned.stderr).contains("events are not noted"),
        "{warned:?}"
    );
    std::fs::remove_file(events.join("filler")).expect("the file");
    conex.ok(&["run", "--name", "after", alpine, "true"]);
    assert_eq!(seen(&conex, &["-f", "container=after"]).len(), 4);
    // Read-only is no reason to stop either.
    let remount = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&events).status();
    assert!(remount.expect("mount").success());
    conex.ok(&["rm", "after"]);
    assert!(std::process::Command::new("umount").arg(&events).status().expect("umount").success());
}

/// What a start pays for its events: one open and a write each.
#[test]
fn a_handful_of_system_calls() {
    let (conex, alpine) = alpine!();
    if !conex_tests::installed("strace") {
        skip!("strace is not installed");
    }
    let trace = conex.scratch().join("trace");
    let own = conex.command(&[]);
    let mut traced = std::process::Command::new("strace");
    traced.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.args(["-f", "-y", "-o"]).arg(&trace).arg(Conex::binary()).args(["run", "--rm", alpine, "true"]);
    assert!(traced.status().expect("strace").success());
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("/events/events.json")).collect();
    let count = |name: &str| calls.iter().filter(|line| line.contains(name)).count();
    assert_eq!((count(" open"), count(" write(")), (1, 5), "{calls:#?}");
    assert_eq!(count(" fstat"), 1, "{calls:#?}");
}

#[test]
fn the_file_is_for_its_owner_alone_and_ends_at_a_time() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "--rm", alpine, "true"]);
    let file = conex.root().join("events/events.json").metadata().expect("the file");
    assert_eq!(file.mode() & 0o777, 0o600);
    let began = Instant::now();
    // Two seconds from now.
    let later = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time")
        + Duration::from_secs(2);
    conex.ok(&["events", "--until", &later.as_secs().to_string()]);
    assert!(began.elapsed() >= Duration::from_millis(900) && began.elapsed() < Duration::from_secs(30));
}

#[test]
fn networks() {
    let yard = yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "lan"]);
    conex.ok(&["run", "-d", "--name", "web", yard.image, "sleep", "1000"]);
    conex.ok(&["network", "connect", "lan", "web"]);
    conex.ok(&["network", "disconnect", "lan", "web"]);
    conex.ok(&["stop", "-t", "0", "web"]);
    conex.ok(&["network", "rm", "lan"]);
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "web"]);
    let format = "{{.Action}} {{.Name}} {{.Actor.Attributes.type}} {{.Actor.Attributes.container}}";
    let text = conex.ok(&["events", "--no-stream", "-f", "type=network", "--format", format]);
    let lines: Vec<String> = text.lines().map(|line| line.replace(id.trim(), "web")).collect();
    assert_eq!(
        lines,
        [
            "create lan bridge <no value>",
            "connect bridge bridge web",
            "connect lan bridge web",
            "disconnect lan bridge web",
            "disconnect bridge bridge web",
            "destroy lan bridge <no value>"
        ]
    );
    assert_eq!(conex.ok(&["events", "--no-stream", "-f", "network=lan"]).lines().count(), 4);
}

/// An ordinary user has a journal of his own, and copies as one.
#[test]
fn an_ordinary_users() {
    let yard = user_yard!();
    let conex = &yard.conex;
    conex.ok(&["run", "-d", "--name", "box", "--network", "none", yard.image, "sleep", "1000"]);
    conex.ok(&["create", "--name", "rests", "--network", "none", yard.image, "true"]);
    for name in ["box", "rests"] {
        conex.ok(&["cp", "/etc/hostname", &format!("{name}:/root/new")]);
        let tar = conex.ok(&["cp", &format!("{name}:/root/new"), "-"]);
        assert!(tar.contains("new\0") && tar.contains("ustar"), "{name}: {tar:?}");
    }
    assert_eq!(conex.ok(&["exec", "box", "stat", "-c", "%u:%g", "/root/new"]), "0:0\n");
    let format = "{{.Action}} {{.Name}}";
    let text = conex.ok(&["events", "--no-stream", "-f", "event=extract-to-dir", "--format", format]);
    assert_eq!(text, "extract-to-dir box\nextract-to-dir rests\n");
}

/// What Docker's daemon says of images that lose a name, of volumes that are mounted, and of who looks at processes.
#[test]
fn what_there_is_to_know() {
    let (conex, alpine) = alpine!();
    let events = |words: &[&str]| -> Vec<Value> {
        let text = conex.ok(&[&["events", "--no-stream", "--format", "json"][..], words].concat());
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let id = conex.ok(&["inspect", "--type", "image", "-f", "{{.Id}}", alpine]);
    conex.ok(&["create", alpine]);
    conex.ok(&["run", "--name", "other", alpine, "touch", "/other"]);
    conex.ok(&["commit", "other", "evt:2"]);
    conex.ok(&["tag", alpine, "evt:1"]);
    let other = conex.ok(&["inspect", "--type", "image", "-f", "{{.Id}}", "evt:2"]);
    conex.ok(&["rmi", "evt:1"]);
    conex.ok(&["image", "prune", "-a", "-f"]);
    let of = |event: &Value| {
        let actor = &event["Actor"];
        [&event["Action"], &actor["Attributes"]["name"], &actor["ID"]]
            .map(|word| word.as_str().unwrap_or("").to_owned())
    };
    let told: Vec<_> = events(&["-f", "event=tag", "-f", "event=untag"]).iter().map(of).collect();
    let (id, other) = (id.trim(), other.trim());
    assert_eq!(told, [["tag", "evt:1", id], ["untag", "evt:1", id], ["untag", "evt:2", other]]);
    conex.ok(&["run", "-d", "--name", "web", "-v", "one:/a", "-v", "two:/b:ro", alpine, "sleep", "1000"]);
    let mounts: Vec<Value> =
        events(&["-f", "event=mount"]).iter().map(|event| event["Actor"]["Attributes"].clone()).collect();
    let web = conex.ok(&["inspect", "-f", "{{.Id}}", "web"]);
    let mount = |destination: &str, writable: &str| {
        serde_json::json!({
            "container": web.trim(), "destination": destination, "driver": "local", "propagation": "", "read/write": writable
        })
    };
    assert_eq!(mounts, [mount("/a", "true"), mount("/b", "false")]);
    conex.ok(&["top", "web"]);
    assert_eq!(seen(&conex, &["-f", "event=top"]), ["top web <no value>"]);
    conex.fails(1, &["top", "web", "--no-such-option"]);
    assert_eq!(seen(&conex, &["-f", "event=top"]).len(), 1);
}
