//! conex-runtime as an ordinary user, and as root of user namespaces.
//!
//! The user is one of a private /etc: with ranges in /etc/subuid, which this machine's own users need not have.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use conex_tests::{
    Background, Enclosure, Output, Pty, Shared, eventually, lacks, needs_root, runtime_path, skip,
};
use serde_json::{Value, json};

/// Of nobody on an ordinary machine.
const USER: u32 = 54321;
const FIRST_SUBUID: u32 = 600_000;
const FIRST_SUBGID: u32 = 700_000;

/// A machine's worth of files for the user.
struct Rootless {
    enclosure: Enclosure,
}

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

/// Makes the users, the root filesystem, and what the user may write to.
const PREPARE: &str = r#"
set -e
cd "$SCRATCH"
cp -a /etc etc
echo "tester:x:$USER_ID:$USER_ID::$SCRATCH/user:/bin/sh" >>etc/passwd
echo "tester:x:$USER_ID:" >>etc/group
echo "tester:$FIRST_UID:65536" >etc/subuid
echo "tester:$FIRST_GID:65536" >etc/subgid
mount --bind etc /etc
cp "$RUNTIME" runtime
mkdir -p user/run rootfs/bin rootfs/tmp rootfs/proc rootfs/sys rootfs/dev rootfs/etc
cp "$(command -v busybox)" rootfs/bin/busybox
for name in sh id cat sleep echo readlink grep stat chown touch tty stty ls kill mount head wc; do
    ln -s busybox rootfs/bin/$name
done
echo 'root:x:0:0::/:/bin/sh' >rootfs/etc/passwd
chmod 755 . runtime
chmod 777 rootfs/tmp
chown -R "$USER_ID:$USER_ID" user rootfs
"#;

impl Rootless {
    fn new() -> Option<Self> {
        let enclosure = Enclosure::new("rootless")?;
        let mut command = enclosure.command(&["sh", "-c", PREPARE]);
        command.env("SCRATCH", enclosure.scratch()).env("RUNTIME", runtime_path());
        command.env("USER_ID", USER.to_string());
        command.env("FIRST_UID", FIRST_SUBUID.to_string()).env("FIRST_GID", FIRST_SUBGID.to_string());
        let prepared = Background::spawn(&mut command).finish();
        assert_eq!(prepared.code, 0, "{}", prepared.stderr);
        Some(Self { enclosure })
    }

    /// A command of the user's.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let user = USER.to_string();
        let runtime_directory = format!("XDG_RUNTIME_DIR={}", self.enclosure.at("user/run"));
        let home = format!("HOME={}", self.enclosure.at("user"));
        let start =
            ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all", "env"];
        let all = [&start[..], &[&runtime_directory, &home, "USER=tester"], words].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    /// The runtime, run by the user.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.enclosure.run(&self.words(&[&[self.enclosure.at("runtime").as_str()], arguments].concat()))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(&[&[self.enclosure.at("runtime").as_str()], arguments].concat()))
    }

    /// A bundle of the user's: what `spec --rootless` writes, changed.
    #[track_caller]
    fn bundle(&self, name: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> String {
        let bundle = self.enclosure.at(&format!("user/{name}"));
        let made = self.enclosure.run(&self.words(&["mkdir", &bundle]));
        assert_eq!(made.code, 0, "{}", made.stderr);
        self.ok(&["spec", "--rootless", "--bundle", &bundle]);
        let path = format!("{bundle}/config.json");
        let text = std::fs::read_to_string(&path).expect("config.json");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["root"]["path"] = json!(self.enclosure.at("rootfs"));
        config["process"]["args"] = json!(command);
        config["process"]["terminal"] = json!(false);
        change(&mut config);
        std::fs::write(&path, config.to_string()).expect("config.json");
        bundle
    }

    /// Runs a command in a container to its end.
    #[track_caller]
    fn container(&self, name: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> Output {
        let bundle = self.bundle(name, command, change);
        let output = self.run(&["run", "--bundle", &bundle, name]);
        self.enclosure.assert_nothing_of(name);
        output
    }
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
        for controller in $(cat "$root$GROUP/cgroup.controllers"); do
            echo "+$controller" >"$root$GROUP/cgroup.subtree_control" 2>/dev/null
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
