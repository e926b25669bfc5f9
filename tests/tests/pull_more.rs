//! `conex pull` beyond one image: all tags, all platforms, progress for programs, zstd, a broken network, a killed pull.

#![allow(missing_docs)]

use std::process::Command;

use conex_tests::{Conex, Flaky, Registry, archive, eventually, finish, needs_root, skip, skopeo_copy};
use serde_json::Value;

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

#[test]
fn all_tags() {
    let (conex, registry) = beds!();
    let Some(busybox) = archive("busybox-1.38-musl.oci.tar") else {
        skip!("no busybox image (CONEX_TEST_IMAGES)")
    };
    registry.fill(&busybox, "some/alpine:other");
    let name = format!("{}/some/alpine", registry.address());
    let pulled = conex.run(&["pull", "--all-tags", &name]);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    assert_eq!(pulled.stdout.matches("Digest: sha256:").count(), 2, "{}", pulled.stdout);
    assert!(
        pulled.stdout.ends_with(&format!("Status: Downloaded newer image for {name}\n{name}\n")),
        "{}",
        pulled.stdout
    );
    let mut images = conex.images();
    images.sort();
    assert_eq!(images, [format!("{name}:3.20"), format!("{name}:other")]);
    assert!(conex.ok(&["pull", "-a", &name]).contains("Status: Image is up to date for "));
    let error = conex.fails(1, &["pull", "-a", &format!("{name}:3.20")]);
    assert!(error.contains("tag can't be used with --all-tags/-a"), "{error}");
}

#[test]
fn all_platforms_can_be_pushed_whole() {
    let (conex, registry) = beds!();
    let name = |rest: &str| format!("{}/{rest}", registry.address());
    conex.ok(&["pull", "--all-platforms", "-q", &name("some/alpine:3.20")]);
    conex.ok(&["tag", &name("some/alpine:3.20"), &name("copy/alpine:1")]);
    let pushed = conex.run(&["push", &name("copy/alpine:1")]);
    assert_eq!((pushed.code, pushed.stderr.as_str()), (0, ""), "{}", pushed.stdout);
    let raw = |name: &str| {
        let raw = finish(
            Command::new("skopeo")
                .args(["inspect", "--raw", "--tls-verify=false"])
                .arg(format!("docker://{name}")),
        );
        assert_eq!(raw.code, 0, "{}", raw.stderr);
        raw.stdout
    };
    assert_eq!(raw(&name("copy/alpine:1")), raw(&name("some/alpine:3.20")));
    // Here it runs as what the host is.
    assert_eq!(conex.ok(&["inspect", "--format", "{{.Os}}", &name("copy/alpine:1")]), "linux\n");
    conex.fails(125, &["pull", "--all-platforms", "--platform", "linux/arm64", &name("some/alpine:3.20")]);
}

#[test]
fn lines_for_programs() {
    let (conex, registry) = beds!();
    let name = format!("{}/some/alpine:3.20", registry.address());
    let pulled = conex.run(&["pull", "--format", "json", &name]);
    assert_eq!((pulled.code, pulled.stderr.as_str()), (0, ""));
    let lines: Vec<Value> =
        pulled.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let status = |value: &Value| value["status"].as_str().expect("a status").to_owned();
    assert_eq!(
        (lines[0]["id"].as_str(), status(&lines[0])),
        (Some("3.20"), "Pulling from some/alpine".to_owned())
    );
    let layer: Vec<&Value> =
        lines.iter().filter(|line| line["id"].as_str().is_some_and(|id| id.len() == 12)).collect();
    assert!(
        layer.iter().any(|line| status(line) == "Downloading" && line["progressDetail"]["total"].is_u64())
    );
    assert_eq!(status(layer.last().expect("a layer")), "Pull complete");
    assert_eq!(status(lines.last().expect("a line")), format!("Status: Downloaded newer image for {name}"));

    let failed = conex.run(&["pull", "--format", "json", &format!("{}/nothing:x", registry.address())]);
    assert_eq!(failed.code, 1);
    let last: Value = serde_json::from_str(failed.stdout.lines().last().expect("a line")).expect("JSON");
    assert!(last["error"].as_str().is_some_and(|error| error.contains("not found")), "{last}");
    assert_eq!(last["errorDetail"]["message"], last["error"]);
    conex.fails(125, &["pull", "--format", "yaml", &name]);
}

#[test]
fn bars_on_a_terminal() {
    let (conex, registry) = beds!();
    let (code, seen) = conex.pty(&["pull", &format!("{}/some/alpine:3.20", registry.address())]).finish();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Pull complete") && seen.contains("Status: Downloaded newer image"), "{seen}");
}

#[test]
fn zstd_layers() {
    let (conex, registry) = beds!();
    // By way of uncompressed layers: it keeps the compression that it finds.
    let plain = format!("dir:{}", conex.scratch().join("plain").display());
    let source = format!("docker://{}", format_args!("{}/some/alpine:3.20", registry.address()));
    let copied = skopeo_copy(&["--src-tls-verify=false", "--dest-decompress"], &source, &plain);
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    // To another registry: skopeo takes a gzip layer that is there for one of its own.
    let Some(other) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    let zstd = format!("{}/zstd/alpine:1", other.address());
    let options = ["--dest-tls-verify=false", "--format", "oci", "--dest-compress-format", "zstd"];
    let copied = skopeo_copy(&options, &plain, &format!("docker://{zstd}"));
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let manifest = finish(
        Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false"])
            .arg(format!("docker://{zstd}")),
    );
    assert!(manifest.stdout.contains("tar+zstd"), "{}", manifest.stdout);
    conex.ok(&["pull", "-q", &zstd]);
    let output = conex.ok(&["run", "--rm", &zstd, "cat", "/etc/alpine-release"]);
    assert_eq!(output, "3.20.3\n");
}

#[test]
fn a_network_that_breaks_is_outlasted() {
    let (conex, registry) = beds!();
    let flaky = Flaky::down(&registry.address(), [60_000, 1_000_000, 500_000]);
    let name = format!("{}/some/alpine:3.20", flaky.address());
    conex.ok(&["pull", "-q", &name]);
    assert_eq!(flaky.cuts(), 3);
}

#[test]
fn a_killed_pull_is_gone_on_with() {
    let (conex, registry) = beds!();
    // Nothing comes after this much, until somebody has had enough.
    let name = format!("{}/some/alpine:3.20", registry.address());
    for _ in 0..20 {
        let mut pull = conex.background(&["pull", "-q", &name]);
        let tmp = conex.root().join("tmp");
        let half = || {
            let entries = std::fs::read_dir(&tmp).ok()?;
            entries
                .flatten()
                .any(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 100_000))
                .then_some(())
        };
        let began = std::time::Instant::now();
        while half().is_none() && began.elapsed().as_millis() < 300 {
            std::thread::yield_now();
        }
        pull.kill();
        pull.finish();
    }
    conex.ok(&["pull", "-q", &name]);
    eventually("tmp to be empty", || {
        (std::fs::read_dir(conex.root().join("tmp")).ok()?.count() == 0).then_some(())
    });
    assert_eq!(conex.ok(&["run", "--rm", &name, "cat", "/etc/alpine-release"]), "3.20.3\n");
}
