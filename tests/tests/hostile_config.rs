//! Hostile configurations: documents that make no sense or are far too large, environments, and texts that would steer the
//! terminal of whoever looks at them.

use conex_tests::{Conex, Entry, Forge, Outside, contained_or_clear, eventually, needs_root, skip};
use serde_json::{Value, json};

macro_rules! bed {
    () => {{
        needs_root!();
        let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
        (Conex::new(), forge)
    }};
}

#[test]
fn images_for_other_machines_are_refused_or_warned_of() {
    let (conex, forge) = bed!();
    let with = |field: &str, value: &str| {
        let mut document = forge.honest();
        document[field] = json!(value);
        let forge = Forge::with_busybox().expect("it was there before");
        forge.document(document.to_string()).run(&conex, &["--rm"], &["true"])
    };
    let output = with("os", "windows");
    assert_eq!(output.code, 125, "{}", output.stderr);
    assert!(output.stderr.contains("windows"), "{}", output.stderr);
    // The busybox in it is this machine's, so it runs.
    let output = with("architecture", "s390x");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("WARNING") && output.stderr.contains("linux/s390x"), "{}", output.stderr);
}

#[test]
fn absurd_documents_are_refused() {
    let (conex, forge) = bed!();
    let with = |field: &str, value: Value| {
        let mut document = forge.honest();
        match field.split_once('.') {
            Some((outer, inner)) => document[outer][inner] = value,
            None => document[field] = value,
        }
        document.to_string().into_bytes()
    };
    let other = format!("sha256:{}", "0".repeat(64));
    let documents: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no JSON", b"{".to_vec()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a text", b"\"\\u001b[2J\"".to_vec()),
        ("deep", [vec![b'['; 200_000], vec![b']'; 200_000]].concat()),
        (
            "deep in a field",
            with("config.Volumes", json!({"x": null}))
                .iter()
                .flat_map(|byte| {
                    if *byte == b'n' { [&[b'['; 1000][..], &[b']'; 1000]].concat() } else { vec![*byte] }
                })
                .collect(),
        ),
        ("no UTF-8", b"{\"os\":\"\xff\xfe\"}".to_vec()),
        ("12 MiB", with("config.Labels", json!({"x": "y".repeat(12 << 20)}))),
        ("Env is a text", with("config.Env", json!("A=b"))),
        ("Cmd is a number", with("config.Cmd", json!(7))),
        ("Labels is a list", with("config.Labels", json!(["a"]))),
        ("config is a list", with("config", json!([1]))),
        ("rootfs is a text", with("rootfs", json!("layers"))),
        ("a diff_id that is none", with("rootfs.diff_ids", json!(["../../../etc"]))),
        ("another diff_id", with("rootfs.diff_ids", json!([other]))),
        ("too many diff_ids", with("rootfs.diff_ids", json!(vec![&other; 1000]))),
        ("no diff_ids", with("rootfs.diff_ids", json!([]))),
        ("another machine", with("architecture", json!("../../x\u{1b}[31m"))),
        ("another system", with("os", json!("windows"))),
        ("history is a number", with("history", json!(-1))),
        ("a relative working directory", with("config.WorkingDir", json!("../../.."))),
        ("a working directory with a NUL", with("config.WorkingDir", json!("/\u{0}"))),
        ("a user with a line", with("config.User", json!("root\nx"))),
        ("a user beyond all", with("config.User", json!("99999999999999999999"))),
        ("a stop signal that is none", with("config.StopSignal", json!("SIGNONE\u{1b}"))),
        ("an empty command", with("config.Entrypoint", json!([""]))),
        ("a command with a NUL", with("config.Entrypoint", json!(["true\u{0}x"]))),
    ];
    for (what, document) in documents {
        // Some of them no command line overrides.
        let image = forge.clone().document(document);
        let words: &[&str] = if what.contains("command") { &[] } else { &["true"] };
        let output = image.run(&conex, &["--pull", "never"], words);
        contained_or_clear(&output, what);
        // As with Docker, an image without an index says what it likes of its platform.
        assert!(
            output.code != 0 || ["another machine", "another system"].contains(&what),
            "{what}: {output:?}"
        );
        conex.run(&["rmi", "--force", "evil"]);
    }
    let empty = conex.run_with_input(&["load"], b"");
    contained_or_clear(&empty, "no archive");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    conex.ok(&["images"]);
}

#[test]
fn environments() {
    let (conex, forge) = bed!();
    let odd = json!(["A=one\ntwo", "B=x\u{0}y", "=C", "D", "", "=", "E=\u{1b}[2J", "PATH=/bin", "HOME="]);
    let output = forge.clone().config("Env", odd).run(&conex, &[], &["env"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("A=one\ntwo\n") && !output.stdout.contains("B="), "{output:?}");
    assert!(!output.stdout.lines().any(|line| line.starts_with('=')), "{output:?}");
    // As many as that fit the kernel's limit by number; found by name they take no time.
    let many: Vec<String> = (0..100_000).map(|number| format!("V{number}={number}")).collect();
    let output = forge.clone().config("Env", many).run(&conex, &["-e", "V7=seven"], &["/bin/true"]);
    contained_or_clear(&output, "100,000 variables");
    assert!(matches!(output.code, 0 | 126), "{output:?}");
    let huge = format!("HUGE={}", "x".repeat(1 << 20));
    let output = forge.config("Env", json!([huge])).run(&conex, &[], &["/bin/true"]);
    contained_or_clear(&output, "a variable of 1 MiB");
    assert_eq!(output.code, 126, "{output:?}");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
}

/// Clears the screen, sets the title, C1's CSI, a bell and a carriage return.
const STEER: &str = "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r\u{7f}y";

#[track_caller]
fn assert_harmless(text: &str, what: &str) {
    let bad = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    assert!(bad.is_none() && !text.contains(STEER), "{what}: {text:?}");
}

#[test]
fn tables_do_not_steer_the_terminal() {
    let (conex, forge) = bed!();
    let mut document = forge.clone().config("Labels", json!({STEER: STEER})).config("User", STEER).honest();
    document["author"] = json!(STEER);
    document["created"] = json!(STEER);
    document["history"] = json!([{"created": STEER, "created_by": STEER, "comment": STEER, "author": STEER}]);
    let image = forge.document(document.to_string());
    assert_eq!(image.load(&conex).code, 0);
    let label = format!("{STEER}={STEER}");
    let script = "sleep 1000 & wait";
    conex.ok(&[
        "run", "-d", "--name", "box", "-u", "0", "-l", &label, "-e", &label, "evil", "sh", "-c", script,
        STEER,
    ]);
    let tables: &[&[&str]] = &[
        &["images"],
        &["images", "--digests", "--no-trunc"],
        &["history", "evil"],
        &["history", "--no-trunc", "-H=false", "evil"],
        &["ps", "-a"],
        &[
            "ps",
            "-a",
            "--no-trunc",
            "--format",
            "table {{.Names}}\t{{.Command}}\t{{.Labels}}\t{{.Mounts}}\t{{.Image}}",
        ],
        &["ps", "--format", "table {{.Label \"x\"}}\t{{.Labels}}"],
        &["top", "box"],
        &["info"],
    ];
    for table in tables {
        let text = conex.ok(table);
        assert_harmless(&text, table[0]);
        assert!(!text.contains('\r'), "{table:?}: {text:?}");
    }
    let json = conex.ok(&["inspect", "evil", "box"]);
    assert!(!json.contains(['\u{1b}', '\u{7}', '\r']), "{json:?}");
    // On a terminal nothing of the kind comes through, whatever the format.
    for words in [
        &["inspect", "evil", "box"][..],
        &["inspect", "-f", "{{.Config.Labels}} {{.Config.Env}}", "box"],
        &["ps", "--format", "{{.Labels}} {{.Command}}"],
        &["history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", "evil"],
        &["ps", "-a", "--no-trunc"],
    ] {
        let pty = conex.pty(words);
        let (code, text) = pty.finish();
        assert_eq!(code, 0, "{text}");
        assert_harmless(&text, words[0]);
    }
    conex.ok(&["rm", "-f", "box"]);
    eventually("an empty list", || conex.ok(&["ps", "-aq"]).is_empty().then_some(()));
}

#[test]
fn errors_do_not_steer_the_terminal() {
    let (conex, forge) = bed!();
    let outside = Outside::new(&conex);
    let name = format!("bin/{STEER}");
    let image =
        forge.layer(&[Entry::File(&name, b"no program")]).config("Entrypoint", json!([format!("/{name}")]));
    assert_eq!(image.load(&conex).code, 0);
    for words in [
        &["run", "--rm", "evil"][..],
        &["run", "--rm", "--entrypoint", STEER, "evil"],
        &["run", "--rm", "-w", STEER, "evil"],
        &["run", "--rm", "-u", STEER, "evil"],
        &["run", "--rm", "--name", STEER, "evil"],
        &["run", "--rm", STEER],
        &["inspect", STEER],
        &["load", "-i", STEER],
        &["-H", STEER],
        &[STEER],
        &["images", "--format", STEER],
    ] {
        let output = conex.run(words);
        assert_harmless(&output.stderr, words[0]);
        assert!(output.code != 0 || words[0] == "images", "{words:?}: {output:?}");
    }
    // Names of the archive's own.
    let archive = image.archive();
    let text = b"evil:latest";
    let at = archive.windows(text.len()).position(|window| window == text).expect("the tag");
    let mut archive = archive;
    archive[at..at + 4].copy_from_slice(b"../x");
    let output = conex.run_with_input(&["load"], &archive);
    contained_or_clear(&output, "a tag that is a path");
    assert_eq!(output.code, 1, "{output:?}");
    outside.assert_untouched("names");
}
