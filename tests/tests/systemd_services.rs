//! Services that `generate systemd` writes, where a systemd runs (`cargo xtask test --vm`).

use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, eventually, eventually_shown, needs_root, skip};

macro_rules! alpine {
    () => {{
        needs_root!();
        if !Path::new("/run/systemd/system").is_dir() {
            skip!("systemd does not run here");
        }
        let conex = Conex::new();
        let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
        (conex, alpine)
    }};
}

fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "systemctl {words:?}: {said}\n{}", status(words));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn status(words: &[&str]) -> String {
    let unit = words.last().copied().unwrap_or_default();
    let output = Command::new("systemctl").args(["status", "--no-pager", "--full", unit]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// A unit file, gone with the test.
struct Service {
    path: PathBuf,
    name: String,
}

impl Service {
    fn new(conex: &Conex, name: &str, words: &[&str]) -> Self {
        let text = conex.ok(&[&["generate", "systemd"], words].concat());
        Self::write(conex, &format!("{name}-{}.service", std::process::id()), &text)
    }

    fn write(conex: &Conex, name: &str, text: &str) -> Self {
        // What the tests' containers are told by the environment, the service's are by the unit.
        let own = format!("Environment=CONEX_NETWORK=none NETCONFPATH={}\n", conex.cni_networks().display());
        let text = text.replacen("[Service]\n", &format!("[Service]\n{own}"), 1);
        let path = Path::new("/run/systemd/system").join(name);
        std::fs::write(&path, text).unwrap();
        systemctl(&["daemon-reload"]);
        Self { path, name: name.to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", &self.name]).status();
        let _ = std::fs::remove_file(&self.path);
        let _ = Command::new("systemctl").arg("daemon-reload").status();
    }
}

fn supervisor(conex: &Conex) -> String {
    let state = std::fs::read(conex.state_file("web")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state["supervisor"].to_string()
}

#[test]
fn a_container_that_is_there_is_a_service() {
    let (conex, alpine) = alpine!();
    let trap = "trap 'exit 9' TERM; trap 'exit 3' USR1; echo run; while :; do sleep 0.1; done";
    conex.ok(&["create", "--name", "web", alpine, "sh", "-c", trap]);
    let service = Service::new(&conex, "conextest-there", &["--name", "--restart-sec", "0", "web"]);
    let unit = service.name.as_str();
    systemctl(&["start", unit]);
    assert_eq!(property(unit, "ActiveState"), "active");
    assert_eq!(property(unit, "MainPID"), supervisor(&conex));
    // A failure of the container's is one of the service's, which systemd starts again.
    conex.ok(&["kill", "-s", "USR1", "web"]);
    eventually("a restart", || (property(unit, "NRestarts") == "1").then_some(()));
    eventually("running", || (property(unit, "ActiveState") == "active").then_some(()));
    eventually("another run", || (conex.ok(&["logs", "web"]) == "run\nrun\n").then_some(()));
    systemctl(&["stop", unit]);
    assert_eq!(
        (property(unit, "ActiveState"), property(unit, "Result")),
        ("inactive".into(), "success".into())
    );
    let state = &conex.inspect("web")["State"];
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &9.into()));
    // A person's `stop` ends the service, and is no failure.
    systemctl(&["start", unit]);
    conex.ok(&["stop", "web"]);
    eventually("the end", || (property(unit, "ActiveState") == "inactive").then_some(()));
    assert_eq!(property(unit, "Result"), "success");
    // A supervisor that is killed is a failure; what it left is settled, and the service runs again.
    systemctl(&["start", unit]);
    let killed = supervisor(&conex);
    assert!(Command::new("kill").args(["-KILL", &killed]).status().unwrap().success());
    eventually("another supervisor", || {
        let main = property(unit, "MainPID");
        (main != killed && main != "0" && property(unit, "ActiveState") == "active").then_some(())
    });
}

#[test]
fn a_container_that_is_made_anew_is_a_service() {
    let (conex, alpine) = alpine!();
    let words = [
        "create",
        "--name",
        "web",
        "-e",
        "WORD=50% of $it; \"so\"",
        alpine,
        "sh",
        "-c",
        "echo \"$WORD\"; exec sleep 1000",
    ];
    conex.ok(&words);
    let service = Service::new(&conex, "conextest-anew", &["--new", "--name", "--time", "0", "web"]);
    let unit = service.name.as_str();
    systemctl(&["start", unit]);
    assert_eq!(property(unit, "MainPID"), supervisor(&conex));
    assert_eq!(conex.inspect("web")["HostConfig"]["AutoRemove"], true);
    eventually("output", || (conex.ok(&["logs", "web"]) == "50% of $it; \"so\"\n").then_some(()));
    let first = conex.inspect("web")["Id"].clone();
    systemctl(&["restart", unit]);
    assert_ne!(conex.inspect("web")["Id"], first);
    systemctl(&["stop", unit]);
    assert_eq!(
        (property(unit, "ActiveState"), property(unit, "Result")),
        ("inactive".into(), "success".into())
    );
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_service_is_ready_when_the_container_is_healthy() {
    let (conex, alpine) = alpine!();
    let flags = ["--sdnotify", "healthy", "--health-cmd", "[ -e /up ]", "--health-interval", "200ms"];
    conex.ok(&[
        &["create", "--name", "web", "--stop-signal", "KILL"],
        &flags[..],
        &[alpine, "sleep", "1000"],
    ]
    .concat());
    let service = Service::new(&conex, "conextest-healthy", &["--name", "web"]);
    let unit = service.name.as_str();
    systemctl(&["start", "--no-block", unit]);
    eventually("the container", || conex.run_root().join("containers").read_dir().ok()?.next().map(drop));
    eventually("a run", || (conex.run(&["exec", "web", "true"]).code == 0).then_some(()));
    assert_eq!(property(unit, "ActiveState"), "activating");
    conex.ok(&["exec", "web", "touch", "/up"]);
    eventually("ready", || (property(unit, "ActiveState") == "active").then_some(()));
}

#[test]
fn a_boot_brings_containers_back() {
    let (conex, alpine) = alpine!();
    for (name, policy) in [("web", "unless-stopped"), ("plain", "no")] {
        conex.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "--restart",
            policy,
            "--stop-signal",
            "KILL",
            alpine,
            "sleep",
            "1000",
        ]);
    }
    let service = Service::new(&conex, "conextest-boot", &["--boot"]);
    let unit = service.name.as_str();
    systemctl(&["start", unit]);
    let running = || conex.ok(&["ps", "--format", "{{.Names}}"]);
    assert_eq!(running(), "plain\nweb\n");
    systemctl(&["stop", unit]);
    assert_eq!(running(), "plain\n");
    systemctl(&["start", unit]);
    assert_eq!(running(), "plain\nweb\n");
    assert_eq!(property(unit, "ActiveState"), "active");
}

#[test]
fn a_pod_is_a_service() {
    let (conex, alpine) = alpine!();
    conex.ok(&["pod", "create", "--name", "shop"]);
    let names = ["front", "back"].map(|name| format!("{name}{}", std::process::id()));
    for name in &names {
        conex.ok(&[
            "create",
            "--pod",
            "shop",
            "--name",
            name,
            "--stop-timeout",
            "1",
            alpine,
            "sleep",
            "1000",
        ]);
    }
    let text = conex.ok(&["generate", "systemd", "--name", "--format", "json", "shop"]);
    let units: serde_json::Value = serde_json::from_str(&text).unwrap();
    // All but the pod's keep their names, by which it calls them.
    let own = format!("pod-shop{}.service", std::process::id());
    let services: Vec<_> = units
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, text)| {
            let name = if name == "pod-shop" { own.clone() } else { format!("{name}.service") };
            Service::write(&conex, &name, &text.as_str().unwrap().replace("pod-shop.service", &own))
        })
        .collect();
    systemctl(&["start", &own]);
    for service in &services {
        eventually("an active service", || {
            (property(&service.name, "ActiveState") == "active").then_some(())
        });
    }
    let states = || names.each_ref().map(|name| conex.inspect(name)["State"]["Status"].clone());
    assert_eq!(states(), ["running", "running"]);
    systemctl(&["stop", &own]);
    for service in &services {
        eventually_shown(&format!("the stop of {}", service.name), || {
            let state = property(&service.name, "ActiveState");
            let stopped = (state == "inactive").then_some(());
            (format!("{state}, {}", property(&service.name, "Result")), stopped)
        });
    }
    assert_eq!(states(), ["exited", "exited"]);
}
