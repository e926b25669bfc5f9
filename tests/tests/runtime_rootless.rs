//! conex-runtime as an ordinary user, and as root of user namespaces.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use conex_tests::{Background, Rootless, Shared, eventually, lacks, needs_root, skip};
use serde_json::{Value, json};

const USER: u32 = Rootless::USER;
const FIRST_SUBUID: u32 = Rootless::FIRST_SUBUID;
const FIRST_SUBGID: u32 = Rootless::FIRST_SUBGID;

static ROOTLESS: Shared<Rootless> = Shared::new();

macro_rules! rootless {
    () => {{
        needs_root!();
        let needed = ["busybox", "newuidmap", "newgidmap", "setpriv", "unshare", "nsenter"];
        if let Some(program) = lacks(&needed) {
            skip!("{program} is not installed");
        }
        let Some(rootless) = ROOTLESS.get(Rootless::new) else { skip!("no namespaces here") };
        rootless
    }};
}

/// Root is the user, and all others are the user's ranges.
fn several_ids(config: &mut Value) {
    config["linux"]["uidMappings"] = json!([
        { "containerID": 0, "hostID": USER, "size": 1 },
        { "containerID": 1, "hostID": FIRST_SUBUID, "size": 65536 },
    ]);
    config["linux"]["gidMappings"] = json!([
        { "containerID": 0, "hostID": USER, "size": 1 },
        { "containerID": 1, "hostID": FIRST_SUBGID, "size": 65536 },
    ]);
}

fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_single_id_needs_no_helper() {
    let rootless = rootless!();
    let script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; stat -c %u:%g /bin; \
                  echo x >/dev/null && head -c 2 /dev/zero | wc -c; ls /sys/kernel >/dev/null && echo sys; exit 7";
    let output = rootless.container("single-id", &["sh", "-c", script], |config| {
        // Nothing to be found, so nothing that helps.
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["root"]["readonly"] = json!(true);
    });
    assert_eq!(output.code, 7, "{}", output.stderr);
    let own = format!("0 {USER} 1");
    assert_eq!(
        squeezed(&output.stdout),
        ["0", "0", &own, &own, "deny", "0:0", "2", "sys"],
        "{}",
        output.stderr
    );
}

#[test]
fn ranges_are_mapped_by_the_helpers() {
    let rootless = rootless!();
    let script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g; id -G";
    let output = rootless.container("ranges", &["sh", "-c", script], |config| {
        several_ids(config);
        config["process"]["user"] = json!({ "uid": 5, "gid": 6, "additionalGids": [7] });
    });
    assert_eq!(output.code, 0, "{}", output.stderr);
    let own = format!("0 {USER} 1");
    let (uids, gids) = (format!("1 {FIRST_SUBUID} 65536"), format!("1 {FIRST_SUBGID} 65536"));
    let wanted = [own.as_str(), &uids, &own, &gids, "allow", "5", "6", "6 7"];
    assert_eq!(squeezed(&output.stdout), wanted, "{}", output.stderr);
    let output =
        rootless.container("owners", &["sh", "-c", "touch /tmp/owned && chown 3:4 /tmp/owned"], |config| {
            several_ids(config);
            config["root"]["readonly"] = json!(false);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_CHOWN"]);
            }
        });
    assert_eq!(output.code, 0, "{}", output.stderr);
    let owned = std::fs::metadata(rootless.enclosure.scratch().join("rootfs/tmp/owned")).expect("the file");
    assert_eq!((owned.uid(), owned.gid()), (FIRST_SUBUID + 2, FIRST_SUBGID + 3));
}

#[test]
fn says_what_the_mapping_lacks() {
    let rootless = rootless!();
    let bundle = rootless.bundle("no-helper", &["true"], several_ids);
    let runtime = rootless.enclosure.at("runtime");
    let words = ["PATH=/nowhere", &runtime, "run", "--bundle", &bundle, "no-helper"];
    let output = rootless.enclosure.run(&rootless.words(&words));
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("newuidmap") && output.stderr.contains("uidmap"), "{}", output.stderr);
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{}", output.stderr);
    rootless.enclosure.assert_nothing_of("no-helper");
    let output = rootless.container("not-ours", &["true"], |config| {
        several_ids(config);
        config["linux"]["uidMappings"][1]["hostID"] = json!(FIRST_SUBUID - 1);
    });
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("/etc/subuid"), "{}", output.stderr);
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{}", output.stderr);
    let output = rootless.container("no-userns", &["true"], |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "user");
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
    });
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("user namespace"), "{}", output.stderr);
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{}", output.stderr);
}

#[test]
fn lives_in_the_users_runtime_directory() {
    let rootless = rootless!();
    let script = "trap 'exit 3' TERM; echo ready >/tmp/lives; while :; do sleep 0.05; done";
    let bundle = rootless.bundle("lives", &["sh", "-c", script], |config| {
        config["root"]["readonly"] = json!(false);
    });
    let pid_file = rootless.enclosure.at("user/lives.pid");
    let state = |wanted: &str| {
        let state: Value = serde_json::from_str(&rootless.ok(&["state", "lives"])).expect("JSON");
        (state["status"] == wanted).then_some(())
    };
    let create = ["create", "--bundle", &bundle, "--pid-file", &pid_file, "lives"];
    // Its container keeps the outputs.
    let mut command = rootless
        .enclosure
        .command(&rootless.words(&[&[rootless.enclosure.at("runtime").as_str()], &create[..]].concat()));
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("nsenter");
    assert!(status.success());
    assert!(rootless.enclosure.scratch().join("user/run/conex-runtime/lives").is_dir());
    assert_eq!(state("created"), Some(()));
    rootless.ok(&["start", "lives"]);
    assert_eq!(state("running"), Some(()));
    let ready = rootless.enclosure.scratch().join("rootfs/tmp/lives");
    eventually("its trap", || ready.exists().then_some(()));
    assert!(rootless.ok(&["list"]).contains("lives"));
    let script = "id -u; readlink /proc/self/ns/user; cat /proc/1/comm; exit 5";
    let output = rootless.run(&["exec", "--user", "0:0", "lives", "sh", "-c", script]);
    assert_eq!(output.code, 5, "{}", output.stderr);
    let first = rootless.ok(&["exec", "lives", "readlink", "/proc/1/ns/user"]);
    assert_eq!(output.stdout, format!("0\n{first}sh\n"));
    assert_eq!(rootless.run(&["exec", "lives", "no-such-program"]).code, 255);
    let mut pty = rootless.pty(&["exec", "--tty", "lives", "sh"]);
    pty.expect("# ");
    pty.send("tty; exit 4\r");
    pty.expect("/dev/pts/0");
    assert_eq!(pty.finish().0, 4);
    rootless.ok(&["kill", "lives", "TERM"]);
    eventually("its end", || state("stopped"));
    rootless.ok(&["delete", "lives"]);
    assert!(!rootless.enclosure.scratch().join("user/run/conex-runtime/lives").exists());
    rootless.enclosure.assert_nothing_of("lives");
}

#[test]
fn exec_enters_ranges_too() {
    let rootless = rootless!();
    let bundle = rootless.bundle("exec-ranges", &["sleep", "1000"], several_ids);
    let mut started = rootless.enclosure.background(&rootless.words(&[
        &rootless.enclosure.at("runtime"),
        "run",
        "--bundle",
        &bundle,
        "exec-ranges",
    ]));
    eventually("a running container", || {
        let output = rootless.run(&["exec", "--user", "8:9", "exec-ranges", "sh", "-c", "id -u; id -g"]);
        (output.code == 0 && output.stdout == "8\n9\n").then_some(())
    });
    rootless.ok(&["delete", "--force", "exec-ranges"]);
    rootless.enclosure.assert_nothing_of("exec-ranges");
    started.kill();
}

#[test]
fn a_terminal_for_run() {
    let rootless = rootless!();
    let bundle = rootless.bundle("rootless-tty", &["sh"], |config| {
        config["process"]["terminal"] = json!(true);
    });
    let mut pty = rootless.pty(&["run", "--bundle", &bundle, "rootless-tty"]);
    pty.expect("# ");
    pty.send("tty; stty size; exit 6\r");
    pty.expect("/dev/pts/0");
    pty.expect("24 80");
    assert_eq!(pty.finish().0, 6);
    rootless.enclosure.assert_nothing_of("rootless-tty");
}

#[test]
fn binds_what_the_user_reaches() {
    let rootless = rootless!();
    let secret = rootless.enclosure.scratch().join("secret");
    std::fs::create_dir(&secret).expect("a directory");
    std::fs::write(secret.join("file"), "of root alone").expect("a file");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    let mount = |source: &Path| json!({ "destination": "/tmp/bound", "type": "bind", "source": source, "options": ["rbind", "ro"] });
    let shared = rootless.enclosure.scratch().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::fs::write(shared.join("file"), "for all\n").expect("a file");
    let script = ["sh", "-c", "cat /tmp/bound/file; touch /tmp/bound/x 2>/dev/null || echo ro"];
    let output = rootless.container("binds", &script, |config| {
        config["root"]["readonly"] = json!(false);
        config["mounts"].as_array_mut().expect("a list").push(mount(&shared));
    });
    assert_eq!((output.code, output.stdout.as_str()), (0, "for all\nro\n"), "{}", output.stderr);
    let output = rootless.container("binds-no", &script, |config| {
        config["mounts"].as_array_mut().expect("a list").push(mount(&secret.join("file")));
    });
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stderr.contains("secret/file") && !output.stderr.contains("root alone"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_limit_without_delegation_is_an_error() {
    let rootless = rootless!();
    let output = rootless.container("undelegated", &["true"], |config| {
        config["linux"]["resources"] = json!({ "pids": { "limit": 20 } });
    });
    assert_eq!(output.code, 1, "{}", output.stdout);
    let error = output.stderr.to_lowercase();
    assert!(error.contains("cgroup") && error.contains("ermission"), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
}

/// Gives a cgroup to the user in every hierarchy, and puts the shell there.
const DELEGATE: &str = r#"
for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -f "$root/cgroup.procs" ] && [ -d "$root$GROUP" ] || continue
    if [ -f "$root/cgroup.subtree_control" ]; then
        above=$root
        for part in $(echo "$GROUP" | tr / ' ') ''; do
            for controller in $(cat "$above/cgroup.controllers"); do
                echo "+$controller" >"$above/cgroup.subtree_control" 2>/dev/null
            done
            above=$above/$part
        done
    fi
    mkdir -p "$root$GROUP/delegated/own"
    for file in cpuset.cpus cpuset.mems; do
        for group in "$GROUP" "$GROUP/delegated" "$GROUP/delegated/own"; do
            [ -f "$root$group/$file" ] && cat "$root$group/../$file" >"$root$group/$file"
        done
    done
    chown -R "$USER_ID:$USER_ID" "$root$GROUP/delegated"
    echo $$ >"$root$GROUP/delegated/own/cgroup.procs"
done
exec "$@"
"#;

#[test]
fn a_limit_is_in_force_where_cgroups_are_delegated() {
    let rootless = rootless!();
    let script = "read -r line </proc/self/cgroup; cat /sys/fs/cgroup/pids.max 2>/dev/null || cat \
                  /sys/fs/cgroup/pids/pids.max";
    let bundle = rootless.bundle("delegated", &["sh", "-c", script], |config| {
        config["linux"]["resources"] = json!({ "pids": { "limit": 23 } });
        config["linux"]["cgroupsPath"] = json!(format!("{}/delegated/deep-box", rootless.enclosure.cgroup()));
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "ro"] }));
    });
    let words = rootless.words(&[&rootless.enclosure.at("runtime"), "run", "--bundle", &bundle, "delegated"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = [&["sh", "-c", DELEGATE, "sh"], &words[..]].concat();
    let mut command = rootless.enclosure.command(&words);
    command.env("GROUP", rootless.enclosure.cgroup()).env("USER_ID", USER.to_string());
    let output = Background::spawn(&mut command).finish();
    assert_eq!((output.code, output.stdout.as_str()), (0, "23\n"), "{}", output.stderr);
    rootless.enclosure.assert_nothing_of("deep-box");
}

#[test]
fn root_maps_ids_as_it_likes() {
    let rootless = rootless!();
    let bundle = rootless.bundle("rootful", &["sleep", "1000"], |config| {
        config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 300_000, "size": 65536 }]);
        config["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 400_000, "size": 65536 }]);
        config["linux"]["cgroupsPath"] = json!(format!("{}/rootful", rootless.enclosure.cgroup()));
        config["process"]["oomScoreAdj"] = json!(100);
    });
    let runtime = rootless.enclosure.at("runtime");
    let mut container = rootless.enclosure.background(&[&runtime, "run", "--bundle", &bundle, "rootful"]);
    let script = "cat /proc/self/uid_map /proc/self/gid_map /proc/1/oom_score_adj; id -u; id -g; id -G";
    let exec =
        [runtime.as_str(), "exec", "--user", "5:6", "--additional-gids", "7", "rootful", "sh", "-c", script];
    let output = eventually("a running container", || {
        let output = rootless.enclosure.run(&exec);
        (output.code == 0).then_some(output)
    });
    let wanted = ["0 300000 65536", "0 400000 65536", "100", "5", "6", "6 7"];
    assert_eq!(squeezed(&output.stdout), wanted);
    let deleted = rootless.enclosure.run(&[&runtime, "delete", "--force", "rootful"]);
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    rootless.enclosure.assert_nothing_of("rootful");
    container.kill();
}

#[test]
fn podman_runs_rootless_on_it() {
    let rootless = rootless!();
    if let Some(program) = lacks(&["podman", "conmon"]) {
        skip!("{program} is not installed");
    }
    let Some(image) = conex_tests::archive("busybox-1.38-musl.oci.tar") else { skip!("no busybox image") };
    let settings = rootless.enclosure.scratch().join("containers.conf");
    let mut file = std::fs::File::create(&settings).expect("a file");
    let text = "[containers]\ndefault_ulimits = [\"nofile=1024:2048\", \"nproc=2048:2048\"]\n[engine]\nevents_logger = \"file\"\n";
    file.write_all(text.as_bytes()).expect("a file");
    let copy = rootless.enclosure.scratch().join("image.tar");
    std::fs::copy(image, &copy).expect("the image");
    let (settings, copy) = (format!("CONTAINERS_CONF={}", settings.display()), copy.display().to_string());
    let runtime = rootless.enclosure.at("runtime");
    let podman = |arguments: &[&str]| {
        let start = [&settings, "podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"];
        let words = rootless.words(&[&start[..], &["--runtime", &runtime], arguments].concat());
        rootless.enclosure.run(&words)
    };
    let loaded = podman(&["load", "--quiet", "--input", &copy]);
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    let image = "localhost/busybox:1.38.0-musl";
    let script = "id -u; cat /proc/self/uid_map; exit 7";
    let output = podman(&["run", "--rm", "--network", "none", image, "sh", "-c", script]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    let wanted = ["0".to_owned(), format!("0 {USER} 1"), format!("1 {FIRST_SUBUID} 65536")];
    assert_eq!(squeezed(&output.stdout), wanted, "{}", output.stderr);
    let started =
        podman(&["run", "--detach", "--name", "background", "--network", "none", image, "sleep", "1000"]);
    assert_eq!(started.code, 0, "{}", started.stderr);
    let output =
        podman(&["exec", "--user", "5", "background", "sh", "-c", "id -u; cat /proc/1/comm; exit 8"]);
    assert_eq!((output.code, output.stdout.as_str()), (8, "5\nsleep\n"), "{}", output.stderr);
    let removed = podman(&["rm", "--force", "--time", "0", "background"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    rootless.enclosure.assert_nothing_of(started.stdout.trim());
}

#[test]
fn a_second_container_joins_the_first_ones_namespaces() {
    let rootless = rootless!();
    let bundle = rootless.bundle("pod-first", &["sleep", "1000"], several_ids);
    let pid_file = rootless.enclosure.at("user/pod.pid");
    let runtime = rootless.enclosure.at("runtime");
    let run = ["run", "--bundle", &bundle, "--pid-file", &pid_file, "pod-first"];
    let mut first = rootless.enclosure.background(&rootless.words(&[&[runtime.as_str()], &run[..]].concat()));
    let pid = eventually("its process id", || {
        std::fs::read_to_string(&pid_file).ok().filter(|text| !text.is_empty())
    });
    let script = "id -u; for name in user net ipc uts; do readlink /proc/self/ns/$name; done";
    let names = eventually("a running container", || {
        let output = rootless.run(&["exec", "pod-first", "sh", "-c", script]);
        (output.code == 0).then_some(output.stdout)
    });
    let output = rootless.container("pod-second", &["sh", "-c", script], |config| {
        for (kind, name) in [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.retain(|namespace| namespace["type"] != kind);
            let path = format!("/proc/{}/ns/{name}", pid.trim());
            namespaces.push(json!({ "type": kind, "path": path }));
        }
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
        config.as_object_mut().expect("an object").remove("hostname");
    });
    assert_eq!((output.code, output.stdout), (0, names), "{}", output.stderr);
    rootless.ok(&["delete", "--force", "pod-first"]);
    rootless.enclosure.assert_nothing_of("pod-first");
    first.kill();
}

#[test]
fn what_root_of_a_user_namespace_may_set() {
    let rootless = rootless!();
    let script = "cat /proc/sys/net/ipv4/ping_group_range /proc/self/timens_offsets; grep Seccomp: /proc/self/status; \
                  head -c 3 /dev/zero | wc -c; ls /hooked; cat /proc/self/oom_score_adj";
    let hook = rootless.enclosure.at("rootfs/hooked");
    let output = rootless.container("settings", &["sh", "-c", script], |config| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "network" }));
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "time" }));
        config["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 1000, "nanosecs": 0 } });
        config["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "0 0" });
        config["linux"]["devices"] = json!([{ "path": "/dev/zero", "type": "c", "major": 1, "minor": 5 }]);
        config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["swapon"], "action": "SCMP_ACT_ERRNO" }] });
        config["process"]["oomScoreAdj"] = json!(500);
        config["hooks"] =
            json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", format!("cat >{hook}")] }] });
    });
    assert_eq!(output.code, 0, "{} {}", output.stdout, output.stderr);
    let lines = squeezed(&output.stdout);
    let wanted = ["0 0", "monotonic 1000 0", "boottime 0 0", "Seccomp: 2", "3", "/hooked", "500"];
    assert_eq!(lines, wanted, "{}", output.stderr);
}
