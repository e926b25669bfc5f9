//! Pods: what their containers share, how they begin and end, and what a kill leaves.

use conex_tests::{Conex, Killat, Points, alpine, eventually, skip, yard};
use serde_json::Value;

fn pod(conex: &Conex, name: &str) -> Value {
    let text = conex.ok(&["pod", "inspect", "--format", "json", name]);
    serde_json::from_str(&text).expect("JSON")
}

/// Names and states of a pod's containers.
fn states(conex: &Conex, name: &str) -> String {
    conex.ok(&["pod", "inspect", "-f", "{{.State}}:{{range .Containers}} {{.Name}}={{.State}}{{end}}", name])
}

/// The namespace that a process of the container is in.
fn space(conex: &Conex, container: &str, kind: &str) -> String {
    conex.ok(&["exec", container, "readlink", &format!("/proc/self/ns/{kind}")])
}

#[test]
fn what_is_shared() {
    let (conex, alpine) = alpine!();
    for (share, shared) in [
        (&[][..], &["net", "ipc", "uts", "user"][..]),
        (&["--share", "net"], &["net", "user"]),
        (&["--share", "+pid"], &["net", "ipc", "uts", "pid", "user"]),
        (&["--share", "none"], &[]),
    ] {
        conex.ok(&[&["pod", "create", "web"], share].concat());
        for name in ["one", "two"] {
            conex.ok(&["run", "-d", "--pod", "web", "--name", name, alpine, "sleep", "1000"]);
        }
        for kind in ["net", "ipc", "uts", "pid", "user", "mnt", "cgroup"] {
            let same = space(&conex, "one", kind) == space(&conex, "two", kind);
            assert_eq!(same, shared.contains(&kind), "{share:?} {kind}");
        }
        let hostname = conex.ok(&["exec", "one", "hostname"]);
        // It goes with the network, as Docker's does.
        assert_eq!(hostname == "web\n", shared.contains(&"net"), "{share:?} {hostname}");
        if shared.contains(&"ipc") {
            conex.ok(&["exec", "one", "sh", "-c", "echo shared >/dev/shm/file"]);
            assert_eq!(conex.ok(&["exec", "two", "cat", "/dev/shm/file"]), "shared\n");
        }
        if shared.contains(&"pid") {
            // Its own process is the first, and reaps what the others leave.
            assert_eq!(conex.ok(&["exec", "two", "cat", "/proc/1/comm"]), "pause\n");
            conex.ok(&["exec", "one", "sh", "-c", "(sleep 0.1 &) ; exit 0"]);
            eventually("no zombies", || {
                let list = conex.ok(&["exec", "one", "ps", "-o", "stat,comm"]);
                (!list.contains('Z')).then_some(())
            });
        }
        conex.ok(&["pod", "rm", "-f", "-t", "0", "web"]);
    }
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_life() {
    let (conex, alpine) = alpine!();
    let id = conex.ok(&["pod", "create", "--name", "web", "--label", "stage=test"]).trim().to_owned();
    assert_eq!(states(&conex, "web"), "Created: web=created\n");
    conex.ok(&["create", "--pod", "web", "--name", "one", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--pod", "web", "--name", "two", alpine, "sleep", "1000"]);
    assert_eq!(states(&conex, "web"), "Created: web=created one=created two=created\n");
    // One of its containers brings it along.
    conex.ok(&["start", "one"]);
    assert_eq!(states(&conex, "web"), "Degraded: web=running one=running two=created\n");
    assert_eq!(conex.ok(&["pod", "start", "web"]).trim(), id);
    assert_eq!(states(&conex, &id[..12]), "Running: web=running one=running two=running\n");
    conex.ok(&["pod", "pause", "web"]);
    assert_eq!(states(&conex, "web"), "Paused: web=paused one=paused two=paused\n");
    conex.ok(&["pod", "unpause", "web"]);
    let top = conex.ok(&["pod", "top", "web"]);
    assert!(top.contains("/pause") && top.matches("sleep 1000").count() == 2, "{top}");
    let stats = conex.ok(&["pod", "stats", "--no-stream", "--format", "{{.Pod}} {{.Name}} {{.PIDs}}", "web"]);
    let json = conex.ok(&["pod", "stats", "--no-stream", "--format", "json", "web"]);
    assert_eq!(json.matches(&format!("\"Pod\":\"{}\"", &id[..12])).count(), 3, "{json}");
    let mut rows: Vec<&str> = stats.lines().collect();
    rows.sort_unstable();
    let short = &id[..12];
    assert_eq!(
        rows,
        [format!("{short} one 1"), format!("{short} two 1"), format!("{short} web 1")],
        "{stats}"
    );
    let document = pod(&conex, "web");
    assert_eq!(document["NumContainers"], 3);
    assert_eq!(document["Labels"], serde_json::json!({"stage": "test"}));
    assert_eq!(document["SharedNamespaces"], serde_json::json!(["ipc", "net", "uts"]));

    let row = conex.ok(&[
        "pod",
        "ps",
        "--filter",
        "label=stage=test",
        "--format",
        "{{.Name}} {{.Status}} {{.NumberOfContainers}}",
    ]);
    assert_eq!(row, "web Running 3\n");
    assert_eq!(
        conex.ok(&["ps", "--filter", "pod=web", "--filter", "name=two", "--format", "{{.Pod}} {{.PodName}}"]),
        format!("{} web\n", &id[..12])
    );
    let table = conex.ok(&["ps", "--pod"]);
    assert!(
        table.lines().next().is_some_and(|line| line.contains("POD ID") && line.contains("PODNAME")),
        "{table}"
    );
    assert_eq!(conex.ok(&["ps", "-q", "--filter", "pod=none"]), "");
    assert_eq!(conex.ok(&["pod", "ps", "-q", "--filter", "ctr-names=two"]).trim(), &id[..12]);
    assert_eq!(conex.ok(&["pod", "ps", "-q", "--filter", "status=exited"]), "");
    let pods: Value = serde_json::from_str(&conex.ok(&["pod", "ps", "--format", "json"])).unwrap();
    assert_eq!((&pods[0]["Name"], &pods[0]["Id"]), (&"web".into(), &id.as_str().into()));
    assert_eq!(pods[0]["Containers"][1]["Names"], "one");
    conex.fails(1, &["pod", "ps", "--filter", "nmae=web"]);

    // Not by halves.
    let refused = conex.fails(1, &["rm", "-f", "web"]);
    assert!(refused.contains("pod rm web"), "{refused}");
    let refused = conex.fails(1, &["pod", "rm", "web"]);
    assert!(refused.contains("--force") && refused.lines().count() == 1, "{refused}");
    conex.ok(&["pod", "stop", "-t", "0", "web"]);
    assert_eq!(states(&conex, "web"), "Exited: web=exited one=exited two=exited\n");
    conex.ok(&["container", "prune", "-f", "--filter", "label=stage=test"]);
    assert_eq!(states(&conex, "web"), "Exited: web=exited one=exited two=exited\n");
    conex.ok(&["pod", "restart", "web"]);
    assert_eq!(states(&conex, "web"), "Running: web=running one=running two=running\n");
    // Something runs in it, if only the process that waits.
    conex.ok(&["kill", "one", "two"]);
    assert_eq!(conex.ok(&["pod", "prune", "-f"]), "");
    conex.ok(&["pod", "kill", "web"]);
    assert_eq!(states(&conex, "web"), "Exited: web=exited one=exited two=exited\n");
    conex.ok(&["pod", "exists", "web"]);
    conex.ok(&["pod", "prune", "-f"]);
    conex.fails(1, &["pod", "exists", "web"]);
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    assert!(conex.fails(1, &["pod", "rm", "web"]).contains("no such pod: web"));
    assert_eq!(conex.ok(&["pod", "rm", "--ignore", "web"]), "");
}

#[test]
fn what_goes_with_it() {
    let (conex, alpine) = alpine!();
    // It ends with its last container when it is told to.
    conex.ok(&["pod", "create", "--exit-policy", "stop", "job"]);
    conex.ok(&["create", "--pod", "job", "--name", "long", alpine, "sleep", "1000"]);
    conex.ok(&["start", "long"]);
    conex.ok(&["run", "--pod", "job", "--rm", alpine, "true"]);
    assert!(states(&conex, "job").starts_with("Running"), "{}", states(&conex, "job"));
    conex.ok(&["stop", "-t", "0", "long"]);
    eventually("the pod's end", || {
        (states(&conex, "job") == "Exited: job=exited long=exited\n").then_some(())
    });
    // And not otherwise.
    conex.ok(&["pod", "create", "stays"]);
    conex.ok(&["run", "--pod", "stays", alpine, "true"]);
    assert!(states(&conex, "stays").starts_with("Degraded: stays=running"), "{}", states(&conex, "stays"));
    // A container that comes to nothing takes the pod that was made for it along.
    conex.fails(127, &["run", "--rm", "--pod", "new:brief", alpine, "no-such-program"]);
    conex.fails(125, &["run", "--rm", "--pod", "new:brief2", "--memory", "1", alpine, "true"]);
    conex.fails(1, &["pod", "exists", "brief2"]);
    // What is shared cannot be chosen.
    for flags in
        [&["--network", "none"][..], &["--ipc", "host"], &["--uts", "host"], &["-p", "80:80"], &["-h", "x"]]
    {
        let words = [&["run", "--rm", "--pod", "stays"], flags, &[alpine, "true"]].concat();
        let refused = conex.fails(125, &words);
        assert_eq!(refused.lines().count(), 1, "{flags:?}: {refused}");
    }
    conex.fails(125, &["run", "--rm", "--pod", "none", alpine, "true"]);
    conex.fails(125, &["run", "--rm", "--pod", "long", alpine, "true"]);
    assert!(conex.fails(125, &["pod", "create", "--memory", "1g", "x"]).contains("not supported"));
    assert!(conex.fails(125, &["pod", "create", "stays"]).contains("already in use"));
    // Its restart policy is that of those that go into it and say nothing else.
    conex.ok(&["pod", "create", "--restart", "on-failure:2", "again"]);
    conex.ok(&["create", "--pod", "again", "--name", "as-it", alpine]);
    conex.ok(&["create", "--pod", "again", "--name", "other", "--restart", "no", alpine]);
    let policy = |name| conex.inspect(name)["HostConfig"]["RestartPolicy"]["Name"].clone();
    assert_eq!([policy("as-it"), policy("other")], ["on-failure", "no"]);
    // Files that all of them see.
    let data = conex.scratch().join("data");
    std::fs::create_dir(&data).expect("a directory");
    conex.ok(&["pod", "create", "-v", &format!("{}:/data", data.display()), "files"]);
    conex.ok(&["run", "--rm", "--pod", "files", alpine, "touch", "/data/one"]);
    assert_eq!(conex.ok(&["run", "--rm", "--pod", "files", alpine, "ls", "/data"]), "one\n");
}

#[test]
fn ports_are_the_pods() {
    let yard = yard!();
    yard.conex.ok(&["pod", "create", "-p", "8080:80", "web"]);
    let serve = [
        "run",
        "-d",
        "--pod",
        "web",
        yard.image,
        "sh",
        "-c",
        "mkdir /www; echo web >/www/index.html; exec busybox httpd -f -h /www",
    ];
    yard.conex.ok(&serve);
    let by = |url: &str| eventually("an answer", || yard.host.world_gets(url));
    assert_eq!(by("http://192.0.2.1:8080/"), "web\n");
    // Its containers are neighbours on one loopback device.
    let near = ["run", "--rm", "--pod", "web", yard.image, "busybox", "wget", "-qO-", "http://127.0.0.1/"];
    assert_eq!(yard.conex.ok(&near), "web\n");
    assert!(yard.conex.ok(&["port", "web"]).contains("80/tcp -> 0.0.0.0:8080"));
    yard.conex.ok(&["pod", "rm", "-f", "-t", "0", "web"]);
    let new = ["run", "-d", "--pod", "new:two", "-p", "8081:80"];
    yard.conex.ok(&[&new[..], &serve[4..]].concat());
    assert_eq!(by("http://192.0.2.1:8081/"), "web\n");
    yard.conex.ok(&["pod", "rm", "-f", "-t", "0", "two"]);
    assert_eq!(yard.inspect("bridge")["Containers"], serde_json::json!({}));
}

#[test]
fn a_kill_leaves_a_pod_or_none() {
    let (conex, alpine) = alpine!();
    let Some(killat) = Killat::new(conex.scratch()) else { skip!("no strace") };
    let clear = |at: &str| {
        // Whatever there is can be told, and removed; then the name is free.
        let list = conex.ok(&["pod", "ps", "--format", "{{.Name}}"]);
        assert!(list.lines().all(|name| name == "web") && list.lines().count() <= 1, "{at}: {list}");
        conex.ok(&["pod", "rm", "-f", "-t", "0", "--all"]);
        eventually("nothing left", || (conex.ok(&["ps", "-aq"]).is_empty()).then_some(()));
        for rest in ["root/containers", "root/names", "root/userns", "run/containers"] {
            let path = conex.scratch().join(rest);
            eventually(rest, || (std::fs::read_dir(&path).map_or(0, Iterator::count) == 0).then_some(()));
        }
    };
    conex.ok(&["pod", "create", "first"]);
    conex.ok(&["pod", "rm", "first"]);
    let points = Points { some: 25, every: 5, kills: 10 };
    killat.each(&conex, &["pod", "create", "web"], points, |_| {}, |_, at| clear(at));
    // It ends with its container, so that the run comes to an end.
    let create = || drop(conex.ok(&["pod", "create", "--exit-policy", "stop", "web"]));
    create();
    let run = ["run", "--rm", "--pod", "web", alpine, "true"];
    killat.each(&conex, &run, points, |_| create(), |_, at| clear(at));
    create();
    killat.each(&conex, &["pod", "rm", "web"], points, |_| create(), |_, at| clear(at));
}
