use std::time::Duration;

use clap::Command;
use conex_engine::options::{NetworkMode, PullPolicy, RestartPolicy};

use super::*;
use crate::cli::args::prepare;

fn options(words: &[&str]) -> Result<CreateOptions, String> {
    let matches = prepare(define(Command::new("run").no_binary_name(true)))
        .try_get_matches_from(words)
        .map_err(|error| error.to_string())?;
    read(&Given::new(&matches), &Config::default()).map_err(|error| error.to_string())
}

#[test]
fn nothing_given_is_the_default() {
    // The network is the user's kind's: `network`.
    let options = options(&["--network", "none", "alpine"]).unwrap();
    let default = CreateOptions { image: "alpine".to_owned(), ..CreateOptions::default() };
    assert_eq!(format!("{options:?}"), format!("{default:?}"));
}

#[test]
fn each_subject_is_read() {
    let options = options(&[
        "--name",
        "web",
        "--pull=never",
        "--platform",
        "linux/arm64",
        "--rm",
        "-it",
        "-l",
        "a=1",
        "--annotation",
        "x=y",
        "--entrypoint",
        "",
        "-e",
        "A=1",
        "-w",
        "/w",
        "-u",
        "1:2",
        "--group-add",
        "audio",
        "--init",
        "--ulimit",
        "nofile=1:2",
        "--ulimit",
        "nofile=3:4",
        "--oom-score-adj",
        "-5",
        "-h",
        "box",
        "--net=host",
        "--add-host",
        "a:1.2.3.4",
        "--dns",
        "1.1.1.1",
        "--dns-opt",
        "ndots:1",
        "--pid=host",
        "--timens",
        "private",
        "--sysctl",
        "net.core.somaxconn=5",
        "-v",
        "/a:/b:ro",
        "--mount",
        "type=tmpfs,target=/t",
        "--tmpfs",
        "/u:size=1m",
        "--read-only",
        "--shm-size",
        "1m",
        "--device",
        "/dev/null",
        "-m",
        "64m",
        "--memory-swap",
        "-1",
        "--cpus",
        "1.5",
        "-c",
        "5",
        "--cpu-period",
        "1000",
        "--pids-limit",
        "-1",
        "--cap-add",
        "net_admin",
        "--cap-drop",
        "all",
        "--privileged",
        "--security-opt",
        "no-new-privileges",
        "--stop-signal",
        "INT",
        "--stop-timeout",
        "-1",
        "--log-opt",
        "max-size=1m",
        "img",
        "cmd",
        "-x",
    ])
    .unwrap();
    assert_eq!((options.image.as_str(), options.pull), ("img", PullPolicy::Never));
    assert_eq!(options.name.unwrap().as_str(), "web");
    assert!(options.auto_remove && options.interactive && options.tty && options.process.init);
    assert_eq!(options.labels["a"], "1");
    assert_eq!(options.annotations["x"], "y");
    assert_eq!(options.process.entrypoint.as_deref(), Some(""));
    assert_eq!(options.process.command, ["cmd", "-x"]);
    assert_eq!((options.process.ulimits.len(), options.process.ulimits[0].soft), (1, 3));
    assert_eq!(options.process.oom_score_adj, Some(-5));
    assert_eq!(options.namespaces.network, NetworkMode::Host);
    assert_eq!(options.namespaces.extra_hosts, [("a".to_owned(), "1.2.3.4".to_owned())]);
    assert_eq!(options.namespaces.dns_options, ["ndots:1"]);
    assert!(options.namespaces.time.is_some());
    assert_eq!((options.storage.binds.len(), options.storage.tmpfs.len()), (1, 2));
    assert!(options.storage.binds[0].read_only && options.storage.read_only);
    assert_eq!((options.limits.memory, options.limits.memory_swap), (Some(64 << 20), Some(-1)));
    assert_eq!((options.limits.nano_cpus, options.limits.pids), (Some(1_500_000_000), Some(-1)));
    assert_eq!((options.limits.cpu_shares, options.limits.cpu_period), (Some(5), Some(1000)));
    assert_eq!(options.security.cap_add, ["CAP_NET_ADMIN"]);
    assert!(options.security.privileged && options.security.no_new_privileges);
    assert_eq!(
        (options.supervision.stop_signal, options.supervision.stop_timeout),
        (Some(2), Some(Duration::MAX))
    );
    assert_eq!(options.supervision.log.max_size, Some(1 << 20));
}

#[test]
fn bad_values_are_refused() {
    for (words, expected) in [
        (
            &["--rm", "--restart", "always", "x"][..],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (&["--cpu-shares", "lots", "x"], "\"lots\" for \"--cpu-shares\""),
        (&["--stop-timeout", "-2", "x"], "\"-2\" for \"--stop-timeout\""),
        (&["--detach-keys", "ctrl-1", "x"], "invalid detach keys (ctrl-1) provided"),
        (&["--network", "a", "--network", "none", "x"], "--network none stands alone"),
        (&["--network", "a", "--network", "a", "x"], "the network is given twice"),
        (&["--network", "a", "--network", "b", "--ip", "10.0.0.2", "x"], "are for one network"),
        (&["--network", "host", "--network-alias", "db", "x"], "need a network (--network host)"),
        (&["-p", "80:", "x"], "no port of the container"),
        (&["--name", "a b", "x"], "container name \"a b\" is invalid"),
        (&["--env-file", "/nonexistent", "x"], "/nonexistent"),
        (&["-v", "vol/ume:/x", "x"], "includes invalid characters"),
        (&["--platform", "linux", "x"], "platform \"linux\" is malformed"),
    ] {
        let error = options(words).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn the_last_restart_policy_counts() {
    let options = options(&["--restart", "always", "--restart", "on-failure:2", "x"]).unwrap();
    assert_eq!(options.supervision.restart, RestartPolicy::OnFailure { max_retries: Some(2) });
}
