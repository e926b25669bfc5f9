//! Specifications in directories: what is read, what is refused, and what a container gets.

use std::path::{Path, PathBuf};

use conex_cdi::{Edits, Nodes, Registry, Specification};
use conex_oci::runtime::{Mount, Process, Spec};

const SMALL: &str = r#"{"cdiVersion":"0.3.0","kind":"vendor.com/class","devices":[{"name":"a","containerEdits":{"env":["A=1"]}}]}"#;

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(name), text).unwrap();
}

fn directories() -> (tempfile::TempDir, Vec<PathBuf>) {
    let scratch = tempfile::tempdir().unwrap();
    let list = vec![scratch.path().join("etc"), scratch.path().join("run")];
    (scratch, list)
}

fn resolve(registry: &Registry, name: &str) -> Result<usize, String> {
    let names = [name.parse().unwrap()];
    registry.resolve(&names).map(|found| found.len()).map_err(|error| error.to_string())
}

#[test]
fn fields_need_their_version() {
    let with = |version: &str, kind: &str, name: &str, edits: &str| {
        let text = format!(
            r#"{{"cdiVersion":"{version}","kind":"vendor.com/{kind}","devices":[{{"name":"{name}","containerEdits":{edits}}}]}}"#
        );
        Specification::parse(&text, false)
    };
    let env = r#"{"env":["A=1"]}"#;
    for (first, kind, name, edits) in [
        ("0.3.0", "class", "a", env),
        ("0.4.0", "class", "a", r#"{"mounts":[{"hostPath":"/a","containerPath":"/b","type":"bind"}]}"#),
        ("0.5.0", "class", "a", r#"{"deviceNodes":[{"path":"/dev/a","hostPath":"/dev/null"}]}"#),
        ("0.5.0", "class", "0", env),
        ("0.6.0", "cl.ass", "a", env),
        ("0.7.0", "class", "a", r#"{"additionalGids":[5]}"#),
        ("0.7.0", "class", "a", r#"{"intelRdt":{"closID":"x"}}"#),
        ("1.1.0", "class", "a", r#"{"intelRdt":{"schemata":["L3:0=f"]}}"#),
        ("1.1.0", "class", "a", r#"{"netDevices":[{"hostInterfaceName":"a0","name":"b0"}]}"#),
    ] {
        for version in ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0", "v1.1.0"] {
            let number = version.trim_start_matches('v');
            let read = with(version, kind, name, edits);
            assert_eq!(read.is_ok(), number >= first, "{version} {edits}: {read:?}");
        }
    }
    for version in ["", "0.2.0", "2.0.0", "1.1", "1.1.0-rc1"] {
        assert!(with(version, "class", "a", env).unwrap_err().contains("cdiVersion"), "{version}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let device = |edits: &str| SMALL.replace(r#"{"env":["A=1"]}"#, edits).replace("0.3.0", "1.1.0");
    let twice =
        r#"{"netDevices":[{"hostInterfaceName":"a","name":"b"},{"hostInterfaceName":"a","name":"c"}]}"#;
    for (text, words) in [
        ("{", "line 1"),
        (&SMALL.replace("kind", "kin"), "unknown field `kin`"),
        (&SMALL.replace("vendor.com/class", "vendor"), "invalid kind \"vendor\""),
        (&SMALL.replace("\"a\"", "\"-\""), "does not begin"),
        (r#"{"cdiVersion":"0.3.0","kind":"vendor.com/class","devices":[]}"#, "no devices"),
        (&device("{}"), "no containerEdits"),
        (&device(r#"{"env":["A"]}"#), "is not NAME=value"),
        (&device(r#"{"env":["=A"]}"#), "is not NAME=value"),
        (&device(r#"{"mounts":[{"hostPath":"","containerPath":"/x"}]}"#), "no hostPath"),
        (&device(r#"{"mounts":[{"hostPath":"/x","containerPath":"x"}]}"#), "not absolute"),
        (&device(r#"{"hooks":[{"hookName":"late","path":"/x"}]}"#), "unknown variant `late`"),
        (&device(r#"{"hooks":[{"hookName":"poststop","path":"x"}]}"#), "not absolute"),
        (&device(r#"{"hooks":[{"hookName":"poststop","path":"/x","timeout":0}]}"#), "not above 0"),
        (&device(r#"{"deviceNodes":[{"path":"dev/x"}]}"#), "not absolute"),
        (&device(r#"{"deviceNodes":[{"path":"/dev/x","type":"z"}]}"#), "type \"z\""),
        (&device(r#"{"deviceNodes":[{"path":"/dev/x","permissions":"rx"}]}"#), "permissions \"rx\""),
        (&device(twice), "twice"),
    ] {
        let error = Specification::parse(text, false).unwrap_err();
        assert!(error.contains(words) && error.lines().count() == 1, "{text}: {error}");
    }
}

#[test]
fn directories_have_an_order_and_files_of_one_do_not() {
    let (_scratch, list) = directories();
    write(&list[0], "a.json", SMALL);
    write(&list[0], "other.json", SMALL.replace("\"a\"", "\"b\""));
    write(&list[0], "notes.txt", "not read");
    write(&list[0], "broken.yaml", "kind: [");
    std::fs::create_dir(list[0].join("directory.json")).unwrap();
    let registry = Registry::read(&list);
    let names: Vec<_> = registry.devices().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["vendor.com/class=a", "vendor.com/class=b"]);
    assert_eq!(registry.faults().len(), 1, "{:?}", registry.faults());
    // Edits of the file, which are none, and of the device.
    assert_eq!(resolve(&registry, "vendor.com/class=a"), Ok(2));
    let error = resolve(&registry, "vendor.com/class=c").unwrap_err();
    assert!(error.contains("there are a, b; not usable:") && error.contains("broken.yaml: "), "{error}");
    let error = resolve(&registry, "other.com/class=c").unwrap_err();
    assert!(error.contains("no specification of other.com/class is in"), "{error}");
    // The later directory's wins.
    let yaml =
        "cdiVersion: 0.3.0\nkind: vendor.com/class\ndevices:\n- name: a\n  containerEdits:\n    env: [A=2]\n";
    write(&list[1], "b.yaml", yaml);
    let registry = Registry::read(&list);
    let (_, found) = registry.devices().next().unwrap();
    assert_eq!((found.edits.env[0].as_str(), found.path), ("A=2", list[1].join("b.yaml").as_path()));
    // Two of one directory exclude each other, and only in what they share.
    write(&list[1], "c.json", SMALL);
    let registry = Registry::read(&list);
    let error = resolve(&registry, "vendor.com/class=a").unwrap_err();
    assert!(error.contains("both ") && error.contains("b.yaml") && error.contains("c.json"), "{error}");
    assert_eq!(resolve(&registry, "vendor.com/class=b"), Ok(2));
}

#[test]
fn hostile_files_are_told_of() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (_scratch, list) = directories();
    write(&list[0], "huge.json", " ".repeat(2 << 20));
    write(&list[0], "nul.json", "\0\0");
    write(&list[0], "latin.yaml", b"kind: \xff");
    write(&list[0], "deep.json", "[".repeat(100_000));
    mknodat(CWD, list[0].join("fifo.json"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", list[0].join("link.json")).unwrap();
    let registry = Registry::read(&list);
    assert_eq!(registry.faults().len(), 6, "{:?}", registry.faults());
    for fault in registry.faults() {
        assert!(fault.to_string().len() < 400 && !fault.to_string().contains('\n'), "{fault}");
    }
}

const WHOLE: &str = r#"
cdiVersion: 1.1.0
kind: vendor.com/class
containerEdits:
  env: [ALL=yes]
devices:
- name: 0
  annotations: {who: me}
  containerEdits:
    env: [PATH=/vendor, A=1]
    additionalGids: [0, 44, 44]
    deviceNodes:
    - {path: /dev/vendor0, hostPath: /dev/null, permissions: rw, fileMode: 0640}
    - {path: /dev/made, type: c, major: 10, minor: 200, permissions: none, uid: 7}
    mounts:
    - {hostPath: /usr/lib, containerPath: /vendor/lib/deep, options: [ro, bind]}
    - {hostPath: tmpfs, containerPath: /vendor, type: tmpfs}
    hooks:
    - {hookName: createContainer, path: /bin/hook, args: [hook, x], env: [B=2], timeout: 5}
    netDevices:
    - {hostInterfaceName: eth7, name: eth0}
"#;

#[test]
fn edits_are_made_in_a_spec() {
    let (_scratch, list) = directories();
    write(&list[1], "vendor.yaml", WHOLE);
    let registry = Registry::read(&list);
    assert_eq!(registry.faults(), []);
    let names = ["vendor.com/class=0".parse().unwrap()];
    let found = registry.resolve(&names).unwrap();
    let spec = || {
        let mut process = Process { env: vec!["PATH=/bin".to_owned()], ..Process::default() };
        process.user.gid = 9;
        let mount = Mount { destination: "/vendor/lib".into(), ..Mount::default() };
        Spec { process: Some(process), mounts: vec![mount], ..Spec::default() }
    };
    let mut made = spec();
    Edits::apply(&found, &mut made, Nodes::Made).unwrap();
    let process = made.process.as_ref().unwrap();
    assert_eq!(process.env, ["PATH=/vendor", "ALL=yes", "A=1"]);
    assert_eq!(process.user.additional_gids, [44]);
    let linux = made.linux.as_ref().unwrap();
    let nodes: Vec<_> = linux
        .devices
        .iter()
        .map(|node| (node.path.to_str().unwrap(), node.major, node.minor, node.file_mode, node.uid, node.gid))
        .collect();
    assert_eq!(
        nodes,
        [
            ("/dev/vendor0", 1, 3, Some(0o640), Some(0), Some(9)),
            ("/dev/made", 10, 200, None, Some(7), Some(9))
        ]
    );
    let rules = &linux.resources.as_ref().unwrap().devices;
    let access: Vec<_> = rules.iter().map(|rule| rule.access.as_deref()).collect();
    assert_eq!(access, [Some("rw"), Some("")]);
    assert_eq!(linux.net_devices["eth7"].name.as_deref(), Some("eth0"));
    let places: Vec<_> = made.mounts.iter().map(|mount| mount.destination.to_str().unwrap()).collect();
    assert_eq!(places, ["/vendor", "/vendor/lib", "/vendor/lib/deep"]);
    let hook = &made.hooks.as_ref().unwrap().create_container[0];
    assert_eq!((hook.args.as_slice(), hook.timeout), (&["hook".to_owned(), "x".to_owned()][..], Some(5)));
    // Bound, what is not on the host cannot be.
    let error = Edits::apply(&found, &mut spec(), Nodes::Bound).unwrap_err().to_string();
    assert!(error.contains("/dev/made") && error.contains("vendor.yaml"), "{error}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let (_scratch, list) = directories();
    let with = |edits: &str| {
        write(&list[0], "a.json", SMALL.replace(r#"{"env":["A=1"]}"#, edits).replace("0.3.0", "1.1.0"));
        let registry = Registry::read(&list);
        let names = ["vendor.com/class=a".parse().unwrap()];
        let found = registry.resolve(&names).unwrap();
        Edits::apply(&found, &mut Spec::default(), Nodes::Made).unwrap_err().to_string()
    };
    for (edits, words) in [
        (r#"{"intelRdt":{"closID":"x"}}"#, "intelRdt"),
        (r#"{"deviceNodes":[{"path":"/dev/none"}]}"#, "/dev/none: No such file"),
        (r#"{"deviceNodes":[{"path":"/etc/passwd"}]}"#, "not a device node"),
        (r#"{"deviceNodes":[{"path":"/dev/null","type":"b"}]}"#, "is of type c, not b"),
    ] {
        let error = with(edits);
        assert!(error.contains(words) && error.contains("a.json") && error.lines().count() == 1, "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "(cdiVersion: 0.3.0\n)?(kind: a/b\n)?(devices:\n)?([- a-z:{}\\[\\]\"]{0,20}\n){0,6}") {
        let _ = Specification::parse(&text, true);
        let _ = Specification::parse(&text, false);
    }

    #[test]
    fn a_damaged_file_never_panics(at in 0..WHOLE.len(), cut in 0..9_usize, piece in "[-\\[\\]{}:&*,'\"#|>!%@? \n\t0-9a-z]{0,4}") {
        let end = (at + cut).min(WHOLE.len());
        let text = format!("{}{piece}{}", &WHOLE[..at], &WHOLE[end..]);
        for is_yaml in [true, false] {
            if let Err(error) = Specification::parse(&text, is_yaml) {
                proptest::prop_assert!(!error.contains('\n'), "{}", error);
            }
        }
    }
}
