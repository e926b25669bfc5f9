//! `checkpoint` and `restore`, where there is a criu that works on this kernel (CONEX_TEST_CRIU names one).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use conex_tests::{Runtime, eventually, needs_root, skip};
use serde_json::{Value, json};

/// A criu that can do what it is for, here.
fn criu() -> Option<PathBuf> {
    let named = std::env::var_os("CONEX_TEST_CRIU").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known =
        named.into_iter().chain(std::env::split_paths(&path).map(|directory| directory.join("criu")));
    known.find(|criu| {
        let check = Command::new(criu).arg("check").stdout(Stdio::null()).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    })
}

/// A container that counts in its memory and shows it in a file, which a bind mount brings from outside.
fn counting(runtime: &Runtime) -> (Value, PathBuf) {
    let outside = runtime.scratch().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    let mut config = runtime.config(&[
        "sh",
        "-c",
        "i=0; while :; do i=$((i+1)); echo $i > /outside/new; mv /outside/new /outside/count; sleep 0.01; done",
    ]);
    let mount = json!({"destination": "/outside", "type": "bind", "source": outside, "options": ["rbind"]});
    config["mounts"].as_array_mut().unwrap().push(mount);
    (config, outside.join("count"))
}

fn count(path: &std::path::Path) -> u64 {
    eventually("a count", || std::fs::read_to_string(path).ok()?.trim().parse().ok())
}

#[test]
fn a_container_goes_on_where_it_was() {
    needs_root!();
    let Some(criu) = criu() else { skip!("no criu that works on this kernel (CONEX_TEST_CRIU)") };
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let (config, file) = counting(&runtime);
    runtime.start_config("a", &config);
    eventually("some counting", || (count(&file) > 20).then_some(()));
    let criu = ["--criu", criu.to_str().unwrap()];
    let images = runtime.scratch().join("images");
    let images = ["--image-path", images.to_str().unwrap()];
    runtime.ok(&[&criu[..], &["checkpoint"], &images, &["--leave-running", "a"]].concat());
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    runtime.ok(&[&criu[..], &["checkpoint"], &images, &["a"]].concat());
    assert_eq!(runtime.status("a"), None, "it is gone with its processes");
    assert_eq!(runtime.groups(), Vec::<PathBuf>::new());
    let before = count(&file);
    std::fs::write(&file, "0").unwrap();
    // Under another name, with limits of its own.
    let mut other = config.clone();
    other["linux"]["resources"] = json!({"pids": {"limit": 44}});
    let log = runtime.scratch().join("called");
    other["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {}", log.display())]}]});
    let bundle = runtime.bundle("b", &other);
    let words =
        [&criu[..], &["restore", "--detach", "-b", bundle.to_str().unwrap()], &images, &["b"]].concat();
    let mut command = runtime.command(&words);
    let error = runtime.scratch().join("error");
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&error).unwrap());
    assert!(command.status().unwrap().success(), "{}", std::fs::read_to_string(&error).unwrap());
    eventually("more counting", || (count(&file) > before).then_some(()));
    assert_eq!(runtime.status("b").as_deref(), Some("running"));
    let pids: Vec<u64> = serde_json::from_str(&runtime.ok(&["ps", "-f", "json", "b"])).unwrap();
    assert!(pids.contains(&runtime.state("b")["pid"].as_u64().unwrap()), "{pids:?}");
    let limits =
        runtime.groups().into_iter().filter_map(|group| std::fs::read_to_string(group.join("pids.max")).ok());
    assert!(limits.into_iter().any(|limit| limit.trim() == "44"));
    let state: Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!((&state["id"], &state["status"]), (&"b".into(), &"creating".into()));
    assert_eq!(runtime.ok(&["exec", "b", "hostname"]), "box\n");
    runtime.ok(&["delete", "--force", "b"]);
    assert_eq!(runtime.groups(), Vec::<PathBuf>::new());
    // In the foreground, with its end.
    let again = runtime
        .background(&[&criu[..], &["restore", "-b", bundle.to_str().unwrap()], &images, &["c"]].concat());
    eventually("the third life", || (runtime.status("c").as_deref() == Some("running")).then_some(()));
    runtime.ok(&["kill", "c", "KILL"]);
    assert_eq!(again.finish().code, 128 + 9);
    assert_eq!(runtime.status("c"), None);
}

#[test]
fn what_cannot_be_is_said() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let (config, _) = counting(&runtime);
    let bundle = runtime.bundle("b", &config);
    runtime.create_config("a", &config);
    let refused = runtime.fails(&["checkpoint", "a"]);
    assert!(refused.contains("Container cannot be checkpointed in created state"), "{refused}");
    runtime.ok(&["start", "a"]);
    let images = runtime.scratch().join("images");
    let images = images.to_str().unwrap();
    for (words, expected) in [
        (
            &["--criu", "/none/criu", "checkpoint", "--image-path", images, "a"][..],
            "cannot run /none/criu: there is no such program; install CRIU",
        ),
        (
            &["checkpoint", "--image-path", images, "--page-server", "nowhere", "a"],
            "Use --page-server ADDRESS:PORT",
        ),
        (
            &["checkpoint", "--image-path", images, "--manage-cgroups-mode", "x", "a"],
            "Invalid manage cgroups mode",
        ),
        (
            &["checkpoint", "--image-path", images, "--empty-ns", "pid", "a"],
            "namespace \\\"pid\\\" is not supported",
        ),
        (
            &["checkpoint", "--image-path", images, "--parent-path", "/x", "a"],
            "--parent-path must be relative",
        ),
        (&["checkpoint", "--image-path", images, "--parent-path", "none", "a"], "no such file or directory"),
        (
            &["restore", "--image-path", "/none", "-b", bundle.to_str().unwrap(), "b"],
            "cannot find the images in /none",
        ),
        (&["restore", "--no-pivot", "--image-path", images, "b"], "--no-pivot"),
        (&["restore", "--console-socket", "/x", "--image-path", images, "b"], "--console-socket"),
    ] {
        let installed = Command::new("criu").arg("--version").output().is_ok();
        if !installed && !words.contains(&"/none/criu") && words.contains(&"checkpoint") {
            continue;
        }
        let refused = runtime.fails(words);
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
    // A criu that fails says why, and nothing has changed.
    let failing = runtime.scratch().join("criu");
    let script = "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --images-dir ] && cd \"$2\"; shift; done\n\
                  echo '(00.001) Error (criu/x.c:1): the kernel lacks it' > dump.log; cp dump.log restore.log; exit 1\n";
    std::fs::write(&failing, script).unwrap();
    std::fs::set_permissions(&failing, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let failing = failing.to_str().unwrap();
    let refused = runtime.fails(&["--criu", failing, "checkpoint", "--image-path", images, "a"]);
    assert!(
        refused.contains("criu dump failed (exit status 1; see ")
            && refused.contains("): the kernel lacks it"),
        "{refused}"
    );
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    let refused = runtime.fails(&[
        "--criu",
        failing,
        "restore",
        "--image-path",
        images,
        "-b",
        bundle.to_str().unwrap(),
        "b",
    ]);
    assert!(
        refused.contains("criu restore failed (exit status 1; see ")
            && refused.contains("): the kernel lacks it"),
        "{refused}"
    );
    assert_eq!(runtime.status("b"), None);
    // It is told what the flags say.
    let listing = runtime.scratch().join("listing");
    let args = runtime.scratch().join("args");
    std::fs::write(&listing, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", args.display())).unwrap();
    std::fs::set_permissions(&listing, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let flags = [
        "--tcp-established",
        "--tcp-skip-in-flight",
        "--link-remap",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--lazy-pages",
        "--status-fd",
        "1",
        "--page-server",
        "[::1]:99",
        "--pre-dump",
        "--empty-ns",
        "network",
    ];
    let words =
        [&["--criu", listing.to_str().unwrap(), "checkpoint", "--image-path", images][..], &flags, &["a"]]
            .concat();
    runtime.ok(&words);
    let text = std::fs::read_to_string(&args).unwrap();
    for flag in [
        "pre-dump",
        "--tcp-established",
        "--skip-in-flight",
        "--link-remap",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--lazy-pages",
        "--status-fd\n1",
        "--page-server",
        "--address\n::1",
        "--port\n99",
        "--track-mem",
        "--empty-ns\nnet",
        "--manage-cgroups=soft",
    ] {
        assert!(text.contains(flag), "{flag}: {text}");
    }
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
}
