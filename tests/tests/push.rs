//! `conex push` and `conex artifact`, to Debian's `docker-registry`; skopeo reads what is pushed, with the same digests.

#![allow(missing_docs)]

use std::fs;
use std::process::Command;

use conex_tests::{Conex, Registry, archive, finish, needs_root, skip};

macro_rules! beds {
    () => {{
        needs_root!();
        let Some(alpine) = archive("alpine-3.20.oci.tar") else {
            skip!("no alpine image (CONEX_TEST_IMAGES)")
        };
        let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
        registry.fill(&alpine, "some/alpine:3.20");
        (Conex::new(), registry)
    }};
}

/// The digest that a registry has under a name, by skopeo.
fn digest(name: &str) -> String {
    let raw = finish(
        Command::new("sh")
            .arg("-c")
            .arg(format!("skopeo inspect --raw --tls-verify=false docker://{name} | sha256sum")),
    );
    assert_eq!(raw.code, 0, "{}", raw.stderr);
    format!("sha256:{}", raw.stdout.split(' ').next().expect("a digest"))
}

fn config_digest(name: &str) -> String {
    let shown = finish(
        Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", "--raw", "--config"])
            .arg(format!("docker://{name}")),
    );
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    shown.stdout
}

#[test]
fn one_platform_of_what_was_pulled() {
    let (conex, registry) = beds!();
    let name = |rest: &str| format!("{}/{rest}", registry.address());
    conex.ok(&["pull", "-q", &name("some/alpine:3.20")]);
    conex.ok(&["tag", &name("some/alpine:3.20"), &name("other/alpine:latest")]);
    let pushed = conex.run(&["push", &name("other/alpine")]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let lines: Vec<&str> = pushed.stdout.lines().collect();
    assert_eq!(lines[0], "Using default tag: latest");
    assert_eq!(lines[1], format!("The push refers to repository [{}]", name("other/alpine")));
    assert!(lines[2..].iter().any(|line| line.ends_with(": Mounted from some/alpine")), "{lines:?}");
    let there = digest(&name("other/alpine:latest"));
    let last = lines.last().expect("a line");
    assert!(last.starts_with(&format!("latest: digest: {there} size: ")), "{last}");
    assert!(
        pushed.stderr.contains("only the available single-platform image was pushed"),
        "{}",
        pushed.stderr
    );
    assert!(pushed.stderr.contains(&format!("{} -> {there}", digest(&name("some/alpine:3.20")))));
    assert!(config_digest(&name("other/alpine:latest")).contains("amd64"));

    // Again: all is there.
    let again = conex.ok(&["push", &name("other/alpine:latest")]);
    assert!(again.contains(": Layer already exists\n") && !again.contains("Pushed"), "{again}");
    assert_eq!(
        conex.ok(&["push", "--quiet", &name("other/alpine")]),
        format!("{}\n", name("other/alpine:latest"))
    );
    // To where the rest of the index is, the index itself goes.
    let before = digest(&name("some/alpine:3.20"));
    let home = conex.run(&["push", &name("some/alpine:3.20")]);
    assert!(
        home.stdout.contains(&format!("3.20: digest: {before} size: ")),
        "{} {}",
        home.stdout,
        home.stderr
    );
    assert_eq!(home.stderr, "");
}

#[test]
fn a_whole_index_keeps_its_digest() {
    let (conex, registry) = beds!();
    let name = |rest: &str| format!("{}/{rest}", registry.address());
    for platform in ["linux/amd64", "linux/arm64"] {
        conex.ok(&["pull", "-q", "--platform", platform, &name("some/alpine:3.20")]);
    }
    for tag in ["1", "2"] {
        conex.ok(&["tag", &name("some/alpine:3.20"), &name(&format!("whole/alpine:{tag}"))]);
    }
    let pushed = conex.ok(&["push", "--all-tags", &name("whole/alpine")]);
    let digest_there = digest(&name("some/alpine:3.20"));
    for tag in ["1", "2"] {
        assert!(pushed.contains(&format!("{tag}: digest: {digest_there} size: ")), "{pushed}");
        assert_eq!(digest(&name(&format!("whole/alpine:{tag}"))), digest_there);
    }
    // One platform of it.
    conex.ok(&["tag", &name("some/alpine:3.20"), &name("arm/alpine:1")]);
    conex.ok(&["push", "--platform", "linux/arm64", &name("arm/alpine:1")]);
    assert!(config_digest(&name("arm/alpine:1")).contains("arm64"));
    let error = conex.fails(1, &["push", "--platform", "linux/s390x", &name("arm/alpine:1")]);
    assert!(error.contains("its image for linux/s390x is not here"), "{error}");

    // And back, by skopeo, into a layout that conex loads: the same image.
    let layout = conex.scratch().join("layout");
    let copied = conex_tests::skopeo_copy(
        &["--all", "--src-tls-verify=false"],
        &format!("docker://{}", name("whole/alpine:2")),
        &format!("oci:{}:x", layout.display()),
    );
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let other = Conex::new();
    other.ok(&["load", "-q", "-i", layout.to_str().expect("UTF-8")]);
    assert_eq!(
        other.ok(&["images", "-q", "--no-trunc"]),
        conex.ok(&["images", "-q", "--no-trunc", &name("arm/alpine:1")])
    );
}

#[test]
fn what_cannot_be_pushed() {
    let (conex, registry) = beds!();
    let name = format!("{}/nothing", registry.address());
    let error = conex.fails(1, &["push", &name]);
    assert!(error.contains("nothing:latest"), "{error}");
    let error = conex.fails(1, &["push", "-a", &name]);
    assert!(error.contains("does not exist locally"), "{error}");
    let error = conex.fails(1, &["push", "-a", &format!("{name}:x")]);
    assert!(error.contains("tag can't be used with --all-tags/-a"), "{error}");
}

#[test]
fn files_and_what_is_attached() {
    let (conex, registry) = beds!();
    let name = |rest: &str| format!("{}/{rest}", registry.address());
    let here = conex.scratch().join("files");
    fs::create_dir_all(here.join("sub")).expect("a directory");
    fs::write(here.join("sub/a.txt"), "a file\n").expect("a file");
    let artifact = name("some/alpine:notes");
    let pushed = finish(
        conex
            .command(&[
                "artifact",
                "push",
                "--artifact-type",
                "application/vnd.example.notes",
                &artifact,
                "sub/a.txt:text/plain",
            ])
            .current_dir(&here),
    );
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert!(pushed.stdout.contains(&format!("Digest: {}", digest(&artifact))), "{}", pushed.stdout);
    let out = conex.scratch().join("out");
    let pulled = conex.ok(&["artifact", "pull", "-o", out.to_str().expect("UTF-8"), &artifact]);
    assert!(pulled.contains(&format!("Pulled {artifact}\n")), "{pulled}");
    assert_eq!(fs::read_to_string(out.join("sub/a.txt")).expect("the file"), "a file\n");

    let subject = name("some/alpine:3.20");
    let attached = [
        "artifact",
        "push",
        "-q",
        "--subject",
        &subject,
        "--artifact-type",
        "application/vnd.example.signature",
    ];
    let signed =
        finish(conex.command(&attached).arg(name("some/alpine")).arg("sub/a.txt").current_dir(&here));
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let listed = conex.ok(&["artifact", "ls", "--format", "{{.Digest}} {{.ArtifactType}}", &subject]);
    assert_eq!(listed, format!("{} application/vnd.example.signature\n", signed.stdout.trim()));
    assert_eq!(
        conex.ok(&[
            "artifact",
            "ls",
            "--artifact-type",
            "application/x",
            "--format",
            "{{.Digest}}",
            &subject
        ]),
        ""
    );
    // It is no image.
    let error = conex.fails(1, &["pull", &artifact]);
    assert!(
        error.contains("not") && error.lines().last().is_some_and(|line| line.starts_with("conex: ")),
        "{error}"
    );
}
