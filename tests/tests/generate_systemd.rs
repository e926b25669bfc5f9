//! `generate systemd`: what the units say. That systemd does with them what is meant is in `services_systemd`.

use conex_tests::{Conex, alpine};
use serde_json::Value;

/// The unit's lines that begin with `key=`, without it.
fn lines<'t>(unit: &'t str, key: &str) -> Vec<&'t str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// What systemd itself says of a unit; nothing when it is not here.
fn verify(conex: &Conex, name: &str, unit: &str) {
    let path = conex.scratch().join(name);
    std::fs::write(&path, unit).unwrap();
    let Ok(output) =
        std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()
    else {
        println!("skipped: systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
    assert!(ours.is_empty(), "{ours:?}\n{unit}");
}

#[test]
fn a_container_that_is_there() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "web", "--stop-timeout", "7", alpine, "sleep", "1000"]);
    let unit = conex.ok(&["generate", "systemd", "--name", "web"]);
    let roots = format!("--root {} --run-root {}", conex.root().display(), conex.run_root().display());
    for (key, command) in
        [("ExecStart", "start --sdnotify=conmon web"), ("ExecStop", "stop --ignore -t 7 web")]
    {
        let line = lines(&unit, key)[0];
        assert!(line.starts_with('/') && line.ends_with(&format!("/conex {roots} {command}")), "{line}");
    }
    assert_eq!(lines(&unit, "TimeoutStopSec"), ["67"]);
    assert_eq!(lines(&unit, "Type"), ["notify"]);
    assert_eq!(lines(&unit, "Restart"), ["on-failure"]);
    assert!(unit.starts_with("# container-web.service\n"), "{unit}");
    verify(&conex, "container-web.service", &unit);
    // By its id without --name, with everything else.
    let id = conex.inspect("web")["Id"].as_str().unwrap().to_owned();
    let unit = conex.ok(&[
        "generate",
        "systemd",
        "web",
        "--no-header",
        "--restart-policy",
        "always",
        "--restart-sec",
        "3",
        "--time",
        "4",
        "--start-timeout",
        "5",
        "--wants",
        "a.service",
        "--after",
        "b.service",
        "--requires",
        "basic.target",
        "-e",
        "A=x y",
        "--env",
        "B=100%$",
    ]);
    assert!(unit.starts_with("[Unit]\n"), "{unit}");
    assert!(lines(&unit, "ExecStart")[0].ends_with(&id), "{unit}");
    assert_eq!(lines(&unit, "RestartSec"), ["3"]);
    assert_eq!(lines(&unit, "TimeoutStartSec"), ["5"]);
    assert_eq!(lines(&unit, "TimeoutStopSec"), ["64"]);
    assert_eq!(lines(&unit, "Wants"), ["network-online.target", "a.service"]);
    assert_eq!(lines(&unit, "After"), ["network-online.target", "b.service"]);
    assert_eq!(lines(&unit, "Requires"), ["basic.target"]);
    assert_eq!(lines(&unit, "Environment")[1..], ["\"A=x y\"", "B=100%%$"]);
    verify(&conex, "x.service", &unit);
}

#[test]
fn a_container_that_is_made_anew() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "run",
        "-d",
        "-it",
        "--restart",
        "always",
        "--name=web",
        "-v",
        "/srv:/srv:ro",
        "-e",
        "GREETING=50% of $it",
        "-l",
        "a=b",
        "--rm=false",
        alpine,
        "sh",
        "-c",
        "echo \"$GREETING\"; sleep 1000",
        "-d",
    ]);
    let unit = conex.ok(&["generate", "systemd", "--new", "-n", "web"]);
    let start = lines(&unit, "ExecStart")[0];
    let after = start.split_once(" run ").expect("run").1;
    assert!(
        after.starts_with("--cidfile=%t/%n.ctr-id --rm --detach --replace --sdnotify=conmon --name=web "),
        "{start}"
    );
    for flag in
        ["--interactive", "--tty", "--volume=/srv:/srv:ro", "\"--env=GREETING=50%% of $$it\"", "--label=a=b"]
    {
        assert!(after.split_once(" sh -c ").unwrap().0.contains(flag), "{flag}: {start}");
    }
    assert!(!after.contains("--restart"), "{start}");
    assert!(after.ends_with(r#" sh -c "echo \"$$GREETING\"; sleep 1000" -d"#), "{start}");
    assert!(lines(&unit, "ExecStop")[0].ends_with("stop --ignore -t 10 --cidfile=%t/%n.ctr-id"), "{unit}");
    assert!(
        lines(&unit, "ExecStopPost")[0].ends_with("rm --force --ignore -t 10 --cidfile=%t/%n.ctr-id"),
        "{unit}"
    );
    verify(&conex, "new.service", &unit);
    let unit = conex.ok(&["generate", "systemd", "--new", "--template", "-n", "web"]);
    assert!(unit.starts_with("# container-web@.service\n"), "{unit}");
    assert!(lines(&unit, "ExecStart")[0].contains(" --name=web-%i "), "{unit}");
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn files_json_and_names() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "web", alpine]);
    let json: Value = serde_json::from_str(&conex.ok(&[
        "generate",
        "systemd",
        "-n",
        "--format",
        "json",
        "--container-prefix",
        "c",
        "--separator",
        "_",
        "web",
    ]))
    .unwrap();
    assert!(json["c_web"].as_str().unwrap().contains("[Service]"), "{json}");
    let mut command =
        conex.command(&["generate", "systemd", "-n", "--files", "--container-prefix", "", "web"]);
    let output = command.current_dir(conex.scratch()).output().unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    assert!(path.trim_end().ends_with("/web.service"), "{path}");
    assert!(std::fs::read_to_string(path.trim_end()).unwrap().contains("start --sdnotify=conmon web"));
    let boot = conex.ok(&["generate", "systemd", "--boot"]);
    assert!(
        lines(&boot, "ExecStart")[0].ends_with("start --all --filter should-start-on-boot=true"),
        "{boot}"
    );
    verify(&conex, "conex-restart.service", &boot);
}

/// With the pod's own container all of them stop, and by it they are started.
#[test]
fn a_pod_is_several() {
    let (conex, alpine) = alpine!();
    conex.ok(&["pod", "create", "--name", "shop"]);
    conex.ok(&["create", "--pod", "shop", "--name", "front", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--pod", "shop", "--name", "back", alpine, "sleep", "1000"]);
    let text = conex.ok(&["generate", "systemd", "--name", "--format", "json", "shop"]);
    let units: Value = serde_json::from_str(&text).unwrap();
    let unit = |name: &str| units[name].as_str().unwrap_or_else(|| panic!("no {name}: {text}"));
    let members = ["container-front.service", "container-back.service"];
    for key in ["Wants", "Before"] {
        let lines = lines(unit("pod-shop"), key);
        assert!(members.iter().all(|member| lines.contains(member)), "{lines:?}");
    }
    assert!(lines(unit("pod-shop"), "ExecStart")[0].ends_with("start --sdnotify=conmon shop"));
    for name in ["container-front", "container-back"] {
        assert_eq!(lines(unit(name), "BindsTo"), ["pod-shop.service"]);
        assert!(lines(unit(name), "After").contains(&"pod-shop.service"));
    }
    let prefixed = conex.ok(&["generate", "systemd", "--name", "--pod-prefix", "p", "shop"]);
    assert!(prefixed.starts_with("# p-shop.service\n") && prefixed.contains("BindsTo=p-shop.service"));
    let error = conex.fails(125, &["generate", "systemd", "--new", "shop"]);
    assert!(error.contains("pod create"), "{error}");
}

#[test]
fn what_makes_no_service() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "job", "--rm", alpine]);
    conex.ok(&["create", "--name", "web", alpine]);
    for (words, why) in [
        (&["job"][..], "--new"),
        (&["nosuch"], "No such container"),
        (&[], "requires exactly 1 argument"),
        (&["--boot", "web"], "name none"),
        (&["--template", "web"], "--template needs --new"),
        (&["--restart-policy", "unless-stopped", "web"], "on-failure"),
        (&["--time", "x", "web"], "expected seconds"),
        (&["--format", "yaml", "web"], "expected json"),
        (&["--separator", "/", "-n", "web"], "no slash"),
    ] {
        let output = conex.run(&[&["generate", "systemd"], words].concat());
        assert_ne!(output.code, 0, "{words:?}");
        assert!(output.stderr.contains(why), "{words:?}: {}", output.stderr);
    }
}
