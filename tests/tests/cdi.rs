//! Devices by name: a made-up vendor's CDI specification on a real kernel. `--device vendor.com/class=name`, `--gpus`, `cdi ls`.

use std::path::{Path, PathBuf};

use conex_tests::{
    Conex, Enclosure, NetHost, alpine, archive, eventually, lacks, needs_root, skip, user_yard,
};
use serde_json::{Value, json};

/// A vendor's directory of specifications, and the program of its hooks, which writes down what it was told.
struct Vendor {
    conex: Conex,
    alpine: &'static str,
}

macro_rules! vendor {
    () => {{
        let (conex, alpine) = alpine!();
        Vendor::new(conex, alpine)
    }};
}

const HOOK: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
state=$(cat)
bundle=$(echo "$state" | sed 's/.*"bundle":"//; s/".*//')
echo "$1 MARK=$MARK $state" >>LOG
[ "$1" = createContainer ] && ls "$bundle/rootfs/vendor" "$bundle/rootfs/dev/vendor0" "$bundle/config.json" >>LOG 2>&1
[ "$1" = fail ] && echo "it is broken" && exit 3
exit 0
"#;

impl Vendor {
    fn new(conex: Conex, alpine: &'static str) -> Self {
        let vendor = Self { conex, alpine };
        std::fs::create_dir(vendor.directory()).expect("a directory");
        std::fs::create_dir(vendor.data()).expect("a directory");
        std::fs::write(vendor.data().join("lib.so"), "a library\n").expect("a file");
        // Root's alone, as a container in a user namespace has to be able to see it, too.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(vendor.data().join("lib.so"), mode).expect("a mode");
        let hook = HOOK.replace("LOG", vendor.log().to_str().expect("UTF-8"));
        std::fs::write(vendor.hook(), hook).expect("a file");
        std::fs::write(vendor.log(), "").expect("a file");
        for (path, mode) in [(vendor.hook(), 0o755), (vendor.log(), 0o666)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("a mode");
        }
        vendor.conex.configure(&format!("[cdi]\nspec_dirs = [{:?}]\n", vendor.directory()));
        vendor
    }

    fn at(&self, name: &str) -> PathBuf {
        self.conex.scratch().join(name)
    }

    fn directory(&self) -> PathBuf {
        self.at("specs")
    }

    fn data(&self) -> PathBuf {
        self.at("data")
    }

    fn hook(&self) -> PathBuf {
        self.at("hook")
    }

    fn log(&self) -> PathBuf {
        self.at("hook.log")
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).expect("the hooks' log")
    }

    fn write(&self, name: &str, document: &Value) {
        std::fs::write(self.directory().join(name), document.to_string()).expect("a specification");
    }

    fn device(edits: Value) -> Value {
        json!({"cdiVersion": "1.1.0", "kind": "vendor.com/class", "devices": [{"name": "a", "containerEdits": edits}]})
    }

    /// All that a specification can have but network devices.
    fn whole(&self) -> Value {
        let hook = |name: &str| json!({"hookName": name, "path": self.hook(), "args": ["hook", name], "env": ["MARK=1"], "timeout": 10});
        let mut document = Self::device(json!({
            "env": ["VENDOR_VISIBLE=a", "PATH=/vendor:/bin:/usr/bin"],
            "additionalGids": [4242],
            "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/zero", "permissions": "r", "fileMode": 0o640}],
            "mounts": [{"hostPath": self.data(), "containerPath": "/vendor", "options": ["ro", "nosuid", "nodev", "bind"]}],
            "hooks": [
                hook("createRuntime"), hook("createContainer"), hook("poststart"), hook("poststop"),
                {"hookName": "startContainer", "path": "/bin/touch", "args": ["touch", "/tmp/started"]},
            ],
        }));
        document["containerEdits"] = json!({"env": ["VENDOR_ALL=yes"]});
        document
    }

    fn run(&self, flags: &[&str], script: &str) -> String {
        let words = [&["run", "--rm"][..], flags, &[self.alpine, "sh", "-c", script]].concat();
        self.conex.ok(&words)
    }

    fn refused(&self, flags: &[&str]) -> String {
        let words = [&["run", "--rm"][..], flags, &[self.alpine, "true"]].concat();
        let error = self.conex.fails(125, &words);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }
}

const DEVICE: [&str; 2] = ["--device", "vendor.com/class=a"];

#[test]
fn a_container_gets_all_that_the_vendor_says() {
    let vendor = vendor!();
    vendor.write("vendor.json", &vendor.whole());
    let script = "echo $VENDOR_ALL $VENDOR_VISIBLE $PATH; cat /vendor/lib.so; stat -c '%u:%g' /vendor/lib.so; touch /vendor/x 2>&1 | grep -o Read-only; \
        stat -c '%t:%T %a' /dev/vendor0; head -c 1 /dev/vendor0 | od -An -tx1; ls /tmp/started; id -G | grep -wo 4242";
    let output = vendor.run(&DEVICE, script);
    let expected =
        "yes a /vendor:/bin:/usr/bin\na library\n0:0\nRead-only\n1:5 640\n 00\n/tmp/started\n4242\n";
    assert_eq!(output, expected);
    eventually("the last hook", || vendor.logged().contains("poststop").then_some(()));
    let logged = vendor.logged();
    let lines: Vec<_> = logged.lines().filter(|line| line.contains("MARK=1")).collect();
    for (line, (name, status)) in lines.iter().zip([
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ]) {
        let (_, state) = line.split_once(" MARK=1 ").expect("a state");
        let state: Value = serde_json::from_str(state).expect("JSON");
        assert!(line.starts_with(name) && state["status"] == status, "{line}");
    }
    assert_eq!(lines.len(), 4, "{logged}");
    // A vendor's createContainer hook finds the root filesystem by the bundle, with what is mounted in it.
    assert!(
        logged.contains("lib.so") && logged.contains("dev/vendor0") && !logged.contains("No such file"),
        "{logged}"
    );
}

#[test]
fn exec_inspect_and_info_know_of_it() {
    let vendor = vendor!();
    let conex = &vendor.conex;
    vendor.write("vendor.json", &vendor.whole());
    let words = ["run", "-d", "--name", "box", DEVICE[0], DEVICE[1], vendor.alpine, "sleep", "600"];
    conex.ok(&words);
    let output =
        conex.ok(&["exec", "box", "sh", "-c", "echo $VENDOR_VISIBLE; head -c 1 /dev/vendor0 | wc -c"]);
    assert_eq!(output, "a\n1\n");
    let inspected = conex.inspect("box");
    let request = &inspected["HostConfig"]["DeviceRequests"][0];
    assert_eq!((&request["Driver"], &request["DeviceIDs"]), (&json!("cdi"), &json!(["vendor.com/class=a"])));
    let template = "{{range .DiscoveredDevices}}{{.Source}} {{.ID}}{{end}} {{index .CDISpecDirs 0}}";
    let expected = format!("cdi vendor.com/class=a {}\n", vendor.directory().display());
    assert_eq!(conex.ok(&["info", "--format", template]), expected);
    // Its own end, and the hooks that are owed, when its supervisor is killed.
    let pid: i32 = conex.ok(&["inspect", "-f", "{{.State.Pid}}", "box"]).trim().parse().expect("a pid");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok());
    let parent = rustix::process::Pid::from_raw(parent.expect("a parent")).expect("a pid");
    let fd = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).expect("a process");
    rustix::process::pidfd_send_signal(&fd, rustix::process::Signal::KILL).expect("a signal");
    eventually("the hooks of a container whose supervisor was killed", || {
        conex.ok(&["ps", "-a"]);
        vendor.logged().contains("poststop").then_some(())
    });
    conex.ok(&["rm", "-f", "box"]);
    assert_eq!(vendor.logged().matches("poststop MARK").count(), 1);
}

#[test]
fn nodes_in_a_user_namespace() {
    let vendor = vendor!();
    let mut document = vendor.whole();
    let edits = &mut document["devices"][0]["containerEdits"];
    edits["hooks"].as_array_mut().expect("hooks").retain(|hook| hook["hookName"] != "createContainer");
    vendor.write("vendor.json", &document);
    let flags = [DEVICE[0], DEVICE[1], "--userns", "private"];
    let script = "cat /proc/self/uid_map | awk '{print $2 != 0}'; head -c 1 /dev/vendor0 | od -An -tx1; cat /vendor/lib.so";
    let output = vendor.run(&flags, script);
    assert_eq!(output, "1\n 00\na library\n");
    // One that is not on the host is made there as anywhere.
    let node = json!({"deviceNodes": [{"path": "/dev/made", "type": "c", "major": 1, "minor": 5}]});
    vendor.write("vendor.json", &Vendor::device(node));
    for flags in [&DEVICE[..], &flags] {
        assert_eq!(vendor.run(flags, "head -c 1 /dev/made | wc -c"), "1\n");
    }
}

#[test]
fn each_start_looks_anew() {
    let vendor = vendor!();
    let conex = &vendor.conex;
    let with =
        |value: &str| vendor.write("vendor.json", &Vendor::device(json!({"env": [format!("V={value}")]})));
    // What cannot be is told at create.
    let create = ["create", "--name", "box", DEVICE[0], DEVICE[1], vendor.alpine, "sh", "-c", "echo $V"];
    let error = conex.fails(125, &create);
    assert!(error.contains("unresolvable CDI device vendor.com/class=a: no specification"), "{error}");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    with("1");
    conex.ok(&create);
    assert_eq!(conex.ok(&["start", "-a", "box"]), "1\n");
    with("2");
    assert_eq!(conex.ok(&["start", "-a", "box"]), "2\n");
    std::fs::remove_file(vendor.directory().join("vendor.json")).expect("gone");
    let error = conex.run(&["start", "-a", "box"]);
    assert!(error.code != 0 && error.stderr.contains("unresolvable"), "{}", error.stderr);
    with("3");
    assert_eq!(conex.ok(&["start", "-a", "box"]), "3\n");
    conex.ok(&["rm", "box"]);
}

#[test]
fn a_hook_that_fails_fails_the_start_and_leaves_nothing() {
    let vendor = vendor!();
    for name in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let hook = json!({"hookName": name, "path": vendor.hook(), "args": ["hook", "fail"]});
        let after = json!({"hookName": "poststop", "path": vendor.hook(), "args": ["hook", "poststop"]});
        vendor.write("vendor.json", &Vendor::device(json!({"hooks": [hook, after]})));
        let error = vendor.refused(&DEVICE);
        assert!(error.contains(name) && error.contains("it is broken"), "{error}");
        assert_eq!(vendor.conex.ok(&["ps", "-aq"]), "");
    }
    assert_eq!(vendor.logged().matches("poststop MARK").count(), 4, "{}", vendor.logged());
    let slow =
        json!({"hookName": "createRuntime", "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1});
    vendor.write("vendor.json", &Vendor::device(json!({"hooks": [slow]})));
    let error = vendor.refused(&DEVICE);
    assert!(error.contains("timeout"), "{error}");
}

#[test]
fn what_is_wrong_with_files_is_told() {
    let vendor = vendor!();
    let conex = &vendor.conex;
    vendor.write("vendor.json", &Vendor::device(json!({"env": ["A=1"]})));
    std::fs::write(vendor.directory().join("broken.yaml"), "cdiVersion: 1.0.0\nkind: x.com/y\ndevcies: []\n")
        .expect("a file");
    // It does not keep others from being used.
    assert_eq!(vendor.run(&DEVICE, "echo $A"), "1\n");
    let error = vendor.refused(&["--device", "x.com/y=z"]);
    assert!(error.contains("broken.yaml: line 1: unknown field `devcies`"), "{error}");
    let listed = conex.run(&["cdi", "ls"]);
    assert_eq!(listed.code, 1);
    let path = vendor.directory().join("vendor.json");
    assert!(listed.stdout.contains(&format!("vendor.com/class=a   {}", path.display())), "{}", listed.stdout);
    assert!(
        listed.stderr.starts_with("WARNING: not usable: ") && listed.stderr.contains("broken.yaml"),
        "{}",
        listed.stderr
    );
    std::fs::remove_file(vendor.directory().join("broken.yaml")).expect("gone");
    let listed: Value = serde_json::from_str(&conex.ok(&["cdi", "list", "--format", "json"])).expect("JSON");
    assert_eq!(listed["Name"], "vendor.com/class=a");
    assert_eq!(listed["ContainerEdits"]["env"], json!(["A=1"]));
    vendor.write("twice.json", &Vendor::device(json!({"env": ["A=2"]})));
    assert!(vendor.refused(&DEVICE).contains("both "));
    for (name, words) in
        [("vendor.com/class", "absolute"), ("vendor.com=a", "kind"), ("v_/c=a", "does not end")]
    {
        assert!(vendor.refused(&["--device", name]).contains(words), "{name}");
    }
    vendor.write("twice.json", &json!({}));
    vendor.write("vendor.json", &Vendor::device(json!({"intelRdt": {"closID": "x"}})));
    assert!(vendor.refused(&DEVICE).contains("intelRdt"));
}

#[test]
fn gpus_are_devices_of_cdi() {
    let vendor = vendor!();
    let error = vendor.refused(&["--gpus", "all"]);
    let place = vendor.directory();
    let words = format!(
        "--gpus: no CDI specification of nvidia.com/gpu or amd.com/gpu is in {0}; the vendor's toolkit makes one: \
         nvidia-ctk cdi generate --output={0}/nvidia.yaml",
        place.display()
    );
    assert!(error.contains(&words), "{error}");
    let gpus = |kind: &str, names: &[&str]| {
        let device = |name: &&str| json!({"name": name, "containerEdits": {"env": [format!("GPU_{}=1", name.replace('-', "_"))]}});
        json!({"cdiVersion": "0.5.0", "kind": kind, "devices": names.iter().map(device).collect::<Vec<_>>()})
    };
    let seen = |flag: &str| vendor.run(&["--gpus", flag], "env | grep ^GPU_ | sort | tr '\\n' ' '");
    vendor.write("amd.json", &gpus("amd.com/gpu", &["0", "1"]));
    assert_eq!(seen("all"), "GPU_0=1 GPU_1=1 ");
    vendor.write("nvidia.json", &gpus("nvidia.com/gpu", &["0", "1", "2", "GPU-f00", "all"]));
    assert_eq!(seen("all"), "GPU_all=1 ");
    assert_eq!(seen("2"), "GPU_0=1 GPU_1=1 ");
    assert_eq!(seen("\"device=2,GPU-f00\""), "GPU_2=1 GPU_GPU_f00=1 ");
    assert_eq!(seen("driver=amd,count=1"), "GPU_0=1 ");
    assert_eq!(seen("driver=cdi,device=amd.com/gpu=1"), "GPU_1=1 ");
    assert_eq!(seen("device=0,\"capabilities=compute,utility\""), "GPU_0=1 ");
    let words = ["run", "--rm", "--gpus", "device=0,\"capabilities=compute\"", vendor.alpine, "true"];
    let warned = vendor.conex.run(&words);
    assert!(
        warned.code == 0 && warned.stderr.starts_with("WARNING: --gpus: capabilities"),
        "{}",
        warned.stderr
    );
    assert!(
        vendor.refused(&["--gpus", "4"]).contains("4 were asked for, and nvidia.com/gpu has 3 by number")
    );
    assert!(
        vendor.refused(&["--gpus", "device=7"]).contains("of nvidia.com/gpu there are 0, 1, 2, GPU-f00, all")
    );
    let name = ["create", "--name", "box", "--gpus", "all", vendor.alpine, "true"];
    vendor.conex.ok(&name);
    let request = &vendor.conex.inspect("box")["HostConfig"]["DeviceRequests"][0];
    assert_eq!((&request["Count"], &request["Capabilities"]), (&json!(-1), &json!([["gpu"]])));
}

#[test]
fn network_devices_are_moved() {
    needs_root!();
    let Some(host) = NetHost::new() else { return };
    let conex = host.conex();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    host.sh("ip link add vendor0 type veth peer name vendor1");
    let vendor = Vendor::new(conex, alpine);
    let devices = json!({"netDevices": [{"hostInterfaceName": "vendor0", "name": "fast0"}]});
    vendor.write("vendor.json", &Vendor::device(devices));
    let output = vendor.run(&[DEVICE[0], DEVICE[1], "--network", "none"], "ls /sys/class/net");
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["fast0", "lo"]);
}

/// Nodes are bound, and hooks run as root of his namespaces.
#[test]
fn an_ordinary_user_has_devices_too() {
    let yard = user_yard!();
    let (conex, image) = (&yard.conex, yard.image);
    let directory = conex.scratch().join("specs");
    std::fs::create_dir(&directory).expect("a directory");
    let hook = |name: &str| json!({"hookName": name, "path": "/bin/true", "args": ["true"]});
    let edits = json!({
        "env": ["A=1"],
        "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/zero"}],
        "mounts": [{"hostPath": directory, "containerPath": "/vendor", "options": ["ro", "bind"]}],
        "hooks": [hook("createRuntime"), hook("createContainer"), hook("poststop")],
    });
    std::fs::write(directory.join("vendor.json"), Vendor::device(edits).to_string())
        .expect("a specification");
    let config = conex.scratch().join("conex.toml");
    std::fs::write(&config, format!("[cdi]\nspec_dirs = [{directory:?}]\n")).expect("a file");
    let script = "echo $A; head -c 1 /dev/vendor0 | od -An -tx1; ls /vendor";
    let words = ["run", "--rm", "--network", "none", DEVICE[0], DEVICE[1], image, "sh", "-c", script];
    let mut command = conex.command(&words);
    let output = conex_tests::finish(command.env("CONEX_CONFIG", &config));
    assert_eq!(output.stdout, "1\n 00\nvendor.json\n", "{}", output.stderr);
}

/// The same specification in a container of podman's gives the same.
#[test]
fn podman_gives_the_same() {
    let vendor = vendor!();
    if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter"]) {
        skip!("{program} is not installed");
    }
    let Some(image) = archive("alpine-3.20.oci.tar") else { skip!("no alpine image") };
    let Some(enclosure) = Enclosure::new("cdi") else { skip!("no namespaces here") };
    enclosure.set_up_podman("");
    // Podman 4.3 knows versions up to 0.5, and each start of the hooks' program is told in the log.
    let mut document = vendor.whole();
    document["cdiVersion"] = json!("0.5.0");
    let edits = document["devices"][0]["containerEdits"].as_object_mut().expect("edits");
    edits.remove("additionalGids");
    vendor.write("vendor.json", &document);
    let theirs = enclosure.inside("/run/cdi");
    std::fs::create_dir(&theirs).expect("a directory");
    std::fs::write(Path::new(&theirs).join("vendor.json"), document.to_string()).expect("a specification");
    let podman = |arguments: &[&str]| enclosure.podman_ok(arguments);
    podman(&["load", "--quiet", "--input", image.to_str().expect("text")]);
    let script = "echo $VENDOR_ALL $VENDOR_VISIBLE $PATH; grep -o ' /vendor [^ ]* ro,nosuid,nodev' /proc/mounts; \
        stat -c '%t:%T %a %u:%g' /dev/vendor0; ls /vendor; ls /tmp/started";
    let run = ["run", "--rm", "--network", "none", "--cgroup-parent", enclosure.cgroup()];
    let theirs = podman(&[&run[..], &DEVICE, &["alpine:3.20", "sh", "-c", script]].concat());
    let order = |logged: &str| -> Vec<String> {
        let words = logged.lines().filter(|line| line.contains("MARK=1"));
        words.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let logged = order(&vendor.logged());
    std::fs::write(vendor.log(), "").expect("a file");
    let ours = vendor.run(&DEVICE, script);
    assert_eq!(ours, theirs);
    assert!(ours.contains(" /vendor ") && ours.lines().count() == 5, "{ours}");
    eventually("the last hook", || vendor.logged().contains("poststop").then_some(()));
    assert_eq!(order(&vendor.logged()), logged);
    assert_eq!(logged.len(), 4, "{logged:?}");
}
