//! `diff`, `commit`, `export`, `import`: what a container has written, as a list, an image, an archive.

use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, Outside, contained_or_clear, eventually, finish, installed, needs_root, skip};

/// Every kind of change that a layer can hold.
const SCRIPT: &str = r#"
set -e
mkdir -p /work/deep/er
echo hello > /work/file
ln /work/file /work/hard
ln -s /etc/shadow /work/link
mkfifo /work/fifo
mknod /work/null c 1 3
mknod /work/disk b 7 200
chmod 4755 /work/deep; chown 1000:2000 /work/deep
touch -d '2001-02-03 04:05:06' /work/deep/er
echo more >> /etc/passwd
rm /etc/motd
rm -rf /media
rm -rf /opt; mkdir /opt; echo new > /opt/only
rm -rf /var/cache; mkdir /var/cache
mv /etc/issue /etc/issue.old
chmod 600 /etc/shells; chmod 644 /etc/shells
chmod 700 /srv
n=$(printf '%0120d' 7); mkdir -p "/work/$n/$n"; echo long > "/work/$n/$n/$n"
"#;

/// What names, types, modes, owners, times, links and contents a container sees, one line a file.
const LOOK: &str = "for d in /bin /etc /media /opt /srv /usr /var /work; do [ -e $d ] && find $d -xdev -exec stat -c \
     '%n %F %a %u:%g %t:%T %h %Y %s' {} \\; ; done | grep -v -e /etc/resolv.conf -e /etc/hostname -e /etc/hosts \
     | sed 's/ [0-9]* \\([0-9]*\\) \\([0-9]*\\)$/ \\1 \\2/' | sort; find /bin /etc /opt /work -type f 2>/dev/null | sort | \
     grep -v -e /etc/resolv.conf -e /etc/hostname -e /etc/hosts | xargs md5sum; find /work -type l -exec readlink {} \\; 2>/dev/null; true";

fn changed(conex: &Conex) -> Option<&'static str> {
    let alpine = conex.alpine()?;
    conex.ok(&["run", "--name", "box", alpine, "sh", "-c", SCRIPT]);
    Some(alpine)
}

#[test]
fn diff_lists_by_dockers_rules() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = changed(&conex) else { skip!("no alpine image") };
    let diff = conex.ok(&["diff", "box"]);
    let long = format!("{:0120}", 7);
    let expected = format!(
        "C /etc\nD /etc/issue\nA /etc/issue.old\nD /etc/motd\nC /etc/passwd\nD /media\nC /opt\nA /opt/only\nC /srv\n\
         C /var\nC /var/cache\nD /var/cache/apk\nD /var/cache/misc\nA /work\nA /work/{long}\nA /work/{long}/{long}\n\
         A /work/{long}/{long}/{long}\nA /work/deep\nA /work/deep/er\nA /work/disk\nA /work/fifo\nA /work/file\n\
         A /work/hard\nA /work/link\nA /work/null\n"
    );
    // /opt was empty and its attributes are the same: its new file tells of it. /etc/shells is as it was.
    assert_eq!(diff, expected);
    assert_eq!(conex.ok(&["container", "diff", "box"]), diff);
    // Nothing is left of the look at the image.
    assert_eq!(std::fs::read_dir(conex.root().join("views")).map_or(0, Iterator::count), 0);
    // What the engine itself makes is no change; nor is a container that did nothing.
    conex.ok(&["run", "--name", "idle", alpine, "true"]);
    assert_eq!(conex.ok(&["diff", "idle"]), "");
    conex.ok(&["run", "--name", "scratch", "hello"]);
    assert_eq!(conex.ok(&["diff", "scratch"]), "");
    conex.fails(1, &["diff", "nosuch"]);
}

#[test]
fn a_running_containers_changes_are_there_at_once() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    assert_eq!(conex.ok(&["diff", "web"]), "");
    conex.ok(&["exec", "web", "sh", "-c", "echo a > /a; rm /etc/motd"]);
    assert_eq!(conex.ok(&["diff", "web"]), "A /a\nC /etc\nD /etc/motd\n");
    conex.ok(&["exec", "web", "rm", "/a"]);
    assert_eq!(conex.ok(&["diff", "web"]), "C /etc\nD /etc/motd\n");
    let before = conex.ok(&["exec", "web", "sh", "-c", LOOK]);
    let id = conex.ok(&["commit", "web", "live"]);
    assert!(id.starts_with("sha256:") && id.len() == 72, "{id}");
    assert_eq!(conex.ok(&["run", "--rm", "live", "sh", "-c", LOOK]), before);
    // It goes on.
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    conex.ok(&["exec", "web", "true"]);
}

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
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
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
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
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
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
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
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
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
    conex.ok(&["run", "--name", "after", "capable", "sh", "-c", "mv /ping /pong; touch /plain"]);
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
    conex.ok(&["run", "--name", "back", "unmapped", "mv", "/w/ping", "/w/pong"]);
    let length = rustix::fs::getxattr(upper("back").join("w/pong"), "security.capability", &mut found[..]);
    assert_eq!(length.map(|length| found[..length].to_vec()), Ok(capability));
    let look = conex.ok(&["run", "--rm", "unmapped", "stat", "-c", "%n %u:%g", "/w", "/w/a"]);
    assert_eq!(look, "/w 0:0\n/w/a 1000:2000\n");
}

#[test]
fn export_is_a_tar_of_what_the_container_sees() {
    needs_root!();
    let conex = Conex::new();
    if changed(&conex).is_none() {
        skip!("no alpine image");
    }
    let tar = conex.scratch().join("box.tar");
    let path = tar.to_str().expect("text");
    conex.ok(&["export", "--output", path, "box"]);
    let streamed = conex.command(&["export", "box"]).output().expect("conex").stdout;
    assert!(streamed == std::fs::read(&tar).expect("the file"), "the file and the stream differ");
    let list = finish(Command::new("tar").args(["-tf", path]));
    assert_eq!(list.code, 0, "{}", list.stderr);
    let names: Vec<&str> = list.stdout.lines().collect();
    for there in ["bin/busybox", "opt/only", "work/hard", "work/link", "dev/", "proc/", "etc/issue.old"] {
        assert!(names.contains(&there), "{there} is missing");
    }
    for gone in ["etc/motd", "etc/issue", "media/", "media/cdrom/", "var/cache/apk/"] {
        assert!(!names.contains(&gone), "{gone} is there");
    }
    let verbose = finish(Command::new("tar").args(["-tvf", path, "work/hard", "work/null", "work/link"]));
    assert!(
        verbose.stdout.contains("link to work/file") && verbose.stdout.contains("1,3"),
        "{}",
        verbose.stdout
    );
    let (code, shown) = conex.pty(&["export", "box"]).finish();
    assert!(code == 1 && shown.contains("cowardly refusing"), "{code} {shown}");
    conex.fails(1, &["export", "-o", "/nonexistent/x.tar", "box"]);
    // A reader that goes away is no error of ours.
    let head = format!("{} export box | head -c 10 | wc -c", Conex::binary().display());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &head])
        .env("CONEX_ROOT", conex.root())
        .env("CONEX_RUN_ROOT", conex.scratch().join("run"));
    let output = finish(&mut shell);
    assert_eq!((output.stdout.trim(), output.stderr.as_str()), ("10", ""));
}

#[test]
fn import_takes_what_tar_writes() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    conex.ok(&["create", "--name", "box", alpine, "true"]);
    let plain = conex.command(&["export", "box"]).output().expect("conex").stdout;
    let id = conex.run_with_input(
        &["import", "-m", "by hand", "-c", "CMD [\"cat\", \"/etc/alpine-release\"]", "-", "flat"],
        &plain,
    );
    assert_eq!(id.code, 0, "{}", id.stderr);
    assert!(conex.ok(&["run", "--rm", "flat"]).starts_with("3.20"));
    assert_eq!(conex.inspect("flat")["Id"], id.stdout.trim());
    assert_eq!(conex.ok(&["history", "--format", "{{.CreatedBy}}|{{.Comment}}", "flat"]), "|by hand\n");
    assert_eq!(conex.inspect("flat")["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
    for (tool, ending) in [("gzip", "gz"), ("zstd", "zst")] {
        if !installed(tool) {
            println!("{tool} is not installed");
            continue;
        }
        let file = conex.scratch().join(format!("x.tar.{ending}"));
        let tar = conex.scratch().join("x.tar");
        std::fs::write(&tar, &plain).expect("a file");
        let packed = format!("{tool} -c < {} > {}", tar.display(), file.display());
        assert_eq!(finish(Command::new("sh").args(["-c", &packed])).code, 0);
        let name = format!("from-{tool}");
        conex.ok(&["image", "import", file.to_str().expect("text"), &name]);
        // The same tar, the same layer.
        assert_eq!(conex.inspect(&name)["RootFS"], conex.inspect("flat")["RootFS"], "{tool}");
        assert_eq!(conex.inspect(&name)["Comment"], format!("Imported from {}", file.display()));
    }
    conex.run_with_input(&["import", "--platform", "linux/arm64", "-", "other"], &plain);
    assert_eq!(conex.inspect("other")["Architecture"], "arm64");
    let (code, shown) = conex.pty(&["import", "-"]).finish();
    assert!(code == 1 && shown.contains("stdin is a terminal"), "{code} {shown}");
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

#[test]
fn hostile_names_and_files() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    let outside = Outside::new(&conex);
    let secret = outside.at("secret");
    let steal = format!(
        "ln -s {secret} /link; ln -s {} /dir; ln -s / /root-link; mkdir /a; ln -s {} /a/up; nc -lU /a/sock & sleep 0.3; \
         touch \"$(printf '/x\\033[2J\\ny')\"; kill $!; rm -rf /srv; ln -s {} /srv",
        outside.at("empty"),
        outside.up("secret"),
        outside.at("empty"),
    );
    conex.ok(&["run", "--name", "box", alpine, "sh", "-c", &steal]);
    let diff = conex.ok(&["diff", "box"]);
    assert!(diff.contains("A /x\\u001b[2J\\u000ay\n") && diff.contains("C /srv\n"), "{diff}");
    for words in [&["commit", "box", "copy"][..], &["export", "-o", "/dev/null", "box"]] {
        contained_or_clear(&conex.run(words), &format!("{words:?}"));
    }
    let tar = conex.command(&["export", "box"]).output().expect("conex").stdout;
    assert!(!tar.windows(17).any(|bytes| bytes == b"the host's secret"), "a link was followed");
    // Names that a layer cannot hold, or that mean something else in it.
    conex.ok(&["run", "--name", "wh", alpine, "touch", "/.wh.etc"]);
    assert_eq!(conex.ok(&["diff", "wh"]), "A /.wh.etc\n");
    let error = conex.fails(1, &["commit", "wh", "bad"]);
    assert!(error.contains("/.wh.etc") && error.lines().count() == 1, "{error}");
    // Deeper than any path: refused in one line, and the container can still be removed.
    let deep = "d=$(printf '%0250d' 1); i=0; while [ $i -lt 15 ]; do mkdir $d && cd $d; i=$((i+1)); done; mv /bin/ls .; \
                cd /; mkdir /up; mv 0* /up/; for n in 1 2 3; do mkdir -p /n/$d/$d; mv /up /n/$d/$d/up; mv /n /up; done";
    conex.ok(&["run", "--name", "deep", alpine, "sh", "-c", deep]);
    for words in [&["diff", "deep"][..], &["commit", "deep", "bad"], &["export", "-o", "/dev/null", "deep"]] {
        let error = conex.fails(1, words);
        assert!(error.lines().count() == 1 && error.len() < 600, "{words:?}: {error}");
    }
    conex.ok(&["rm", "deep"]);
    // A hole of half a terabyte is not read.
    conex.ok(&["run", "--name", "hole", alpine, "truncate", "-s", "500G", "/hole"]);
    let error = conex.fails(1, &["commit", "hole", "bad"]);
    assert!(error.contains("/hole") && error.contains("256 GiB"), "{error}");
    assert!(!conex.images().iter().any(|name| name.starts_with("bad")));
    outside.assert_untouched("diff, commit and export");
}

#[test]
fn files_that_come_and_go_while_they_are_read() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
    let outside = Outside::new(&conex);
    // A directory that is a link every other moment, a file that grows and shrinks, names that come and go.
    let churn = format!(
        "mkdir /d; echo x > /d/secret; while :; do mv /d /e; ln -s {} /d; rm /d; mv /e /d; head -c 70000 /dev/urandom > /f; \
         : > /f; mkdir -p /t/1/2/3; rm -rf /t; done",
        outside.path().display()
    );
    conex.ok(&["run", "-d", "--name", "churn", alpine, "sh", "-c", &churn]);
    for round in 0..6 {
        conex.ok(&["diff", "churn"]);
        let tar = conex.command(&["export", "churn"]).output().expect("conex");
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        assert!(!tar.stdout.windows(17).any(|bytes| bytes == b"the host's secret"), "round {round}");
        conex.ok(&["commit", "--pause=false", "churn", "copy"]);
    }
    conex.ok(&["run", "--rm", "copy", "true"]);
    conex.ok(&["rm", "-f", "churn"]);
    outside.assert_untouched("reading a busy container");
}
