//! `commit`: the image.

use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, alpine, eventually, finish, installed, needs_root, skip};

use super::{LOOK, changed};

#[test]
fn a_committed_image_is_the_container() {
    needs_root!();
    let conex = Conex::new();
    if changed(&conex).is_none() {
        skip!("no alpine image");
    }
    // What the container saw, through its own eyes.
    conex.ok(&["start", "box"]);
    conex.ok(&["wait", "box"]);
    let diff = conex.ok(&["diff", "box"]);
    let id = conex.ok(&["commit", "box", "copy:1"]);
    let copy = conex.ok(&["run", "--rm", "--entrypoint", "", "copy:1", "sh", "-c", LOOK]);
    let export = conex.scratch().join("box.tar");
    conex.ok(&["export", "-o", export.to_str().expect("text"), "box"]);
    let flat = conex.ok(&["import", export.to_str().expect("text"), "flat:1"]);
    assert_ne!(flat, id);
    assert_eq!(conex.ok(&["run", "--rm", "flat:1", "sh", "-c", LOOK]), copy);
    assert!(copy.contains("/work/deep directory 4755 1000:2000"), "{copy}");
    assert!(copy.contains("/work/null character special file 644 0:0 1:3"), "{copy}");
    assert!(!copy.contains("/media") && copy.contains("/opt/only"), "{copy}");
    assert_eq!(
        conex.ok(&["run", "--rm", "copy:1", "stat", "-c", "%h %i", "/work/file"]).split(' ').next(),
        Some("2")
    );
    // The layer holds the changes and nothing else: a container of it has none.
    conex.ok(&["run", "--name", "second", "copy:1", "true"]);
    assert_eq!(conex.ok(&["diff", "second"]), "");
    // And a container of the base that is committed again is of the same layers.
    let layers = |name: &str| conex.inspect(name)["RootFS"]["Layers"].clone();
    conex.ok(&["commit", "box", "copy:2"]);
    assert_eq!(layers("copy:1"), layers("copy:2"), "the same files give the same layer");
    assert_eq!(conex.ok(&["diff", "box"]), diff);
}

#[test]
fn what_docker_keeps_of_a_container() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "run",
        "--name",
        "box",
        "-e",
        "FROM_RUN=1",
        "-l",
        "of=run",
        "-w",
        "/srv",
        "-u",
        "1000",
        "--stop-signal",
        "QUIT",
        alpine,
        "sh",
        "-c",
        "id -u",
    ]);
    let id = conex.ok(&[
        "commit",
        "-a",
        "Somebody <a@example.com>",
        "-m",
        "a remark",
        "-c",
        "ENV ADDED=\"two words\"",
        "--change",
        "EXPOSE 80 53/udp",
        "-c",
        "LABEL of=commit more=1",
        "-c",
        "VOLUME /data",
        "-c",
        "ONBUILD RUN make",
        "-c",
        "HEALTHCHECK --interval=5s CMD true",
        "box",
        "copy",
    ]);
    let image = conex.inspect("copy");
    assert_eq!(image["Id"], id.trim());
    assert_eq!(
        (&image["Author"], &image["Comment"]),
        (&"Somebody <a@example.com>".into(), &"a remark".into())
    );
    let config = &image["Config"];
    let env: Vec<&str> =
        config["Env"].as_array().expect("a list").iter().filter_map(|v| v.as_str()).collect();
    assert!(env.contains(&"FROM_RUN=1") && env.contains(&"ADDED=two words"), "{env:?}");
    assert!(!env.iter().any(|entry| entry.starts_with("HOSTNAME=")), "{env:?}");
    assert_eq!(config["Cmd"], serde_json::json!(["sh", "-c", "id -u"]));
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["User"], "1000");
    assert_eq!(config["StopSignal"], "SIGQUIT");
    assert_eq!(config["Labels"], serde_json::json!({"of": "commit", "more": "1"}));
    assert_eq!(config["ExposedPorts"], serde_json::json!({"80/tcp": {}, "53/udp": {}}));
    assert_eq!(config["Volumes"], serde_json::json!({"/data": {}}));
    assert_eq!(config["OnBuild"], serde_json::json!(["RUN make"]));
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD-SHELL", "true"]));
    assert_eq!(conex.ok(&["run", "--rm", "copy"]), "1000\n");
    let newest = conex.ok(&["history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}", "copy"]);
    assert!(newest.starts_with(&format!("{} sh -c id -u 0B a remark\n", &id[7..19])), "{newest}");
    // Nothing was written: the step is in the history, and there is no layer.
    assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
    // Without a name; and by a command in another form.
    let unnamed = conex.ok(&["container", "commit", "--change", "CMD echo $ADDED", "box"]);
    assert!(conex.ok(&["images", "-q", "--no-trunc", "--filter", "dangling=true"]).contains(unnamed.trim()));
    conex.ok(&["commit", "-c", "ENTRYPOINT [\"echo\", \"hi\"]", "box", "copy"]);
    assert_eq!(conex.ok(&["run", "--rm", "copy"]), "hi\n");
}

#[test]
fn bad_words_are_refused_before_anything_is_made() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "box", alpine, "true"]);
    let blobs = || std::fs::read_dir(conex.root().join("blobs/sha256")).expect("blobs").count();
    let before = blobs();
    for (words, expected) in [
        (&["commit", "-c", "RUN make", "box"][..], "invalid change \"RUN\""),
        (&["commit", "-c", "EXPOSE http", "box"], "port"),
        (&["commit", "box", "Upper"], "lowercase"),
        (
            &["commit", "box", "x@sha256:0000000000000000000000000000000000000000000000000000000000000000"],
            "digest",
        ),
        (&["commit", "nosuch"], "No such container"),
        (&["commit"], "requires at least 1 and at most 2 arguments"),
        (&["import", "/nonexistent"], "/nonexistent"),
        (&["import", "/dev/null"], "empty"),
        (&["import", "https://example.com/rootfs.tar"], "curl"),
        (&["import", "-c", "FROM x", "/dev/null"], "invalid change"),
    ] {
        let error = conex.fails(1, words);
        assert!(error.contains(expected) && error.lines().count() == 1, "{words:?}: {error}");
    }
    let garbage = conex.scratch().join("garbage");
    std::fs::write(&garbage, vec![b'x'; 4096]).expect("a file");
    let error = conex.fails(1, &["import", garbage.to_str().expect("text")]);
    assert!(error.contains("not a tar header") && error.contains("garbage"), "{error}");
    assert_eq!(blobs(), before, "something is left of what was refused");
    assert_eq!(conex.images(), ["alpine:3.20"]);
}

#[test]
fn a_container_stands_still_while_it_is_copied_and_never_for_longer() {
    let (conex, alpine) = alpine!();
    let script =
        "head -c 100000000 /dev/urandom > /big; touch /ready; while :; do date > /tick; sleep 0.1; done";
    conex.ok(&["run", "-d", "--name", "web", alpine, "sh", "-c", script]);
    let status = || conex.inspect("web")["State"]["Status"].as_str().unwrap_or_default().to_owned();
    eventually("the big file", || conex.ok(&["diff", "web"]).contains("/ready\n").then_some(()));
    // Killed in the middle of it.
    let mut commit = conex.background(&["commit", "web", "copy"]);
    eventually("the container's standstill", || (status() == "paused").then_some(()));
    commit.kill();
    assert_eq!(commit.finish().code, 137);
    eventually("the container's going on", || (status() == "running").then_some(()));
    assert_eq!(conex.images(), ["alpine:3.20"]);
    // Somebody who thaws it meanwhile is obeyed, and the commit goes on.
    let commit = conex.background(&["commit", "web", "copy"]);
    eventually("the container's standstill", || (status() == "paused").then_some(()));
    conex.ok(&["unpause", "web"]);
    assert_eq!(status(), "running");
    conex.ok(&["pause", "web"]);
    assert_eq!(commit.finish().code, 0);
    assert_eq!(status(), "paused", "a person's pause is not undone");
    // A paused one is copied as it is and stays so; without pausing one runs on.
    conex.ok(&["commit", "web", "copy"]);
    assert_eq!(status(), "paused");
    conex.ok(&["unpause", "web"]);
    let commit = conex.background(&["commit", "--pause=false", "web", "copy"]);
    let mut seen = Vec::new();
    while conex.ok(&["images", "-q", "copy"]) == conex.ok(&["images", "-q", "copy:latest"]) && seen.len() < 5
    {
        seen.push(status());
    }
    assert_eq!(commit.finish().code, 0);
    assert!(seen.iter().all(|status| status == "running"), "{seen:?}");
}

#[test]
fn capabilities_and_user_namespaces() {
    let (conex, alpine) = alpine!();
    let upper = |name: &str| -> PathBuf {
        let id = conex.inspect(name)["Id"].as_str().expect("an id").to_owned();
        conex.root().join("containers").join(id).join("upper")
    };
    // cap_net_raw+ep, as setcap writes it (revision 2).
    let mut capability = 0x0200_0001_u32.to_le_bytes().to_vec();
    capability.extend(0x2000_u32.to_le_bytes());
    capability.extend([0; 12]);
    let set = |path: &Path, value: &[u8]| {
        rustix::fs::setxattr(path, "security.capability", value, rustix::fs::XattrFlags::empty())
    };
    conex.ok(&["run", "--name", "box", alpine, "sh", "-c", "cp /bin/busybox /ping; cp /ping /plain"]);
    set(&upper("box").join("ping"), &capability).expect("a capability");
    conex.ok(&["commit", "box", "capable"]);
    conex.ok(&[
        "run",
        "--name",
        "after",
        "--userns",
        "host",
        "capable",
        "sh",
        "-c",
        "mv /ping /pong; touch /plain",
    ]);
    let mut found = [0; 32];
    let length = rustix::fs::getxattr(upper("after").join("pong"), "security.capability", &mut found[..]);
    assert_eq!(length.map(|length| found[..length].to_vec()), Ok(capability.clone()));
    // Taking only the capability away is a change.
    conex.ok(&[
        "run",
        "--name",
        "taken",
        "capable",
        "sh",
        "-c",
        "touch -r /ping /ref; chown 0 /ping; touch -r /ref /ping; rm /ref",
    ]);
    assert_eq!(conex.ok(&["diff", "taken"]), "C /ping\n");
    let made = conex.run(&[
        "run",
        "--name",
        "mapped",
        "--userns",
        "private",
        alpine,
        "sh",
        "-c",
        "mkdir /w; echo 1 > /w/a; chown 1000:2000 /w/a; cp /bin/busybox /w/ping",
    ]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(conex.ok(&["diff", "mapped"]), "A /w\nA /w/a\nA /w/ping\n");
    // As setcap writes it in there: revision 3, with the namespace's root.
    let base = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(upper("mapped")).expect("the layer"));
    let mut mapped = capability.clone();
    mapped[3] = 3;
    mapped.extend(base.to_le_bytes());
    set(&upper("mapped").join("w/ping"), &mapped).expect("a capability");
    conex.ok(&["commit", "mapped", "unmapped"]);
    conex.ok(&["run", "--name", "back", "--userns", "host", "unmapped", "mv", "/w/ping", "/w/pong"]);
    let length = rustix::fs::getxattr(upper("back").join("w/pong"), "security.capability", &mut found[..]);
    assert_eq!(length.map(|length| found[..length].to_vec()), Ok(capability));
    let look = conex.ok(&["run", "--rm", "unmapped", "stat", "-c", "%n %u:%g", "/w", "/w/a"]);
    assert_eq!(look, "/w 0:0\n/w/a 1000:2000\n");
}

#[test]
fn others_read_what_is_committed() {
    needs_root!();
    let conex = Conex::new();
    if changed(&conex).is_none() {
        skip!("no alpine image");
    }
    conex.ok(&["commit", "box", "copy:1"]);
    for tool in ["skopeo", "umoci"] {
        if !installed(tool) {
            skip!("{tool} is not installed");
        }
    }
    let scratch = conex.scratch();
    let ours = format!("oci:{}:docker.io/library/copy:1", conex.root().display());
    let theirs = format!("oci:{}:x", scratch.join("theirs").display());
    let copied = finish(Command::new("skopeo").args(["copy", "--insecure-policy", "-q", &ours, &theirs]));
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let inspected = finish(Command::new("skopeo").args(["inspect", "--config", &theirs]));
    assert!(inspected.stdout.contains("\"history\""), "{}", inspected.stdout);
    let bundle = scratch.join("bundle");
    let image = format!("{}:x", scratch.join("theirs").display());
    let unpacked = finish(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle));
    assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
    // What umoci makes of it is what the container sees: GNU tar compares.
    let tar = scratch.join("box.tar");
    conex.ok(&["export", "-o", tar.to_str().expect("text"), "box"]);
    let excluded = ["dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname"];
    let mut compare = Command::new("tar");
    compare.arg("--compare").arg("-f").arg(&tar).arg("-C").arg(bundle.join("rootfs"));
    compare.args(excluded.map(|path| format!("--exclude={path}")));
    let compared = finish(&mut compare);
    // umoci gives the directories that it makes things in the time of that.
    let told: Vec<&str> = compared.stdout.lines().filter(|line| !line.contains("Mod time differs")).collect();
    assert!(told.is_empty(), "{told:?} {}", compared.stderr);
    let rootfs = bundle.join("rootfs");
    for gone in ["etc/motd", "media", "var/cache/apk"] {
        assert!(!rootfs.join(gone).exists(), "{gone}");
    }
}
