//! `cp`: into and out of containers that run and that do not, through what is mounted in them; owners, kinds of files, streams.
//! Docker's table of sources and destinations is in `docker_alike`.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conex_tests::{Background, Conex, alpine, eventually, finish};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A directory with a file of each kind.
fn tree(conex: &Conex) -> PathBuf {
    let top = conex.scratch().join("tree");
    std::fs::create_dir_all(top.join("sub")).expect("a directory");
    std::fs::write(top.join("file"), "text").expect("a file");
    std::fs::set_permissions(top.join("file"), PermissionsExt::from_mode(0o4751)).expect("a mode");
    std::fs::hard_link(top.join("file"), top.join("sub/other")).expect("a link");
    symlink("../file", top.join("sub/link")).expect("a link");
    std::os::unix::fs::chown(top.join("sub"), Some(1000), Some(1001)).expect("an owner");
    let sparse = std::fs::File::create(top.join("sparse")).expect("a file");
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 50 << 20).expect("a write");
    for words in [
        &["mkfifo", "fifo"][..],
        &["mknod", "null", "c", "1", "3"],
        &["touch", "-d", "2001-02-03T04:05:06Z", "sub"],
    ] {
        let made = Command::new(words[0]).args(&words[1..]).current_dir(&top).status();
        assert!(made.expect("a program").success(), "{words:?}");
    }
    std::os::unix::net::UnixListener::bind(top.join("socket")).expect("a socket");
    top
}

#[test]
fn all_kinds_of_files_there_and_back() {
    let (conex, alpine) = alpine!();
    let top = tree(&conex);
    conex.ok(&["run", "-d", "--name", "runs", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--name", "rests", alpine, "sleep", "1000"]);
    for name in ["runs", "rests"] {
        let said = conex.run(&["cp", "-a", text(&top), &format!("{name}:/srv")]);
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
        assert!(said.stderr.contains("1 files were not copied: sockets"), "{said:?}");
        let back = conex.scratch().join(name);
        conex.ok(&["cp", "-a", &format!("{name}:/srv/tree"), text(&back)]);
        let look = |path: &str| back.join(path).symlink_metadata().expect("it is there");
        assert_eq!(std::fs::read_to_string(back.join("file")).expect("a file"), "text");
        assert_eq!(look("file").mode() & 0o7777, 0o4751);
        assert_eq!((look("file").nlink(), look("file").ino()), (2, look("sub/other").ino()));
        assert_eq!(std::fs::read_link(back.join("sub/link")).expect("a link"), Path::new("../file"));
        assert_eq!((look("sub").uid(), look("sub").gid(), look("sub").mtime()), (1000, 1001, 981_173_106));
        assert_eq!(look("sparse").len(), (50 << 20) + 3);
        assert!(look("sparse").blocks() < 1000, "its hole was filled: {} blocks", look("sparse").blocks());
        assert!(look("fifo").file_type().is_fifo() && look("null").file_type().is_char_device());
        assert_eq!(look("null").rdev(), 0x103);
        assert!(!back.join("socket").exists());
    }
    conex.ok(&["start", "rests"]);
    let sum = |name| {
        conex.ok(&["exec", name, "sh", "-c", "cd /srv/tree && find . -type f -exec md5sum {} + | sort"])
    };
    assert_eq!(sum("rests"), sum("runs"));
    assert_eq!(conex.ok(&["diff", "rests"]).lines().filter(|line| line.contains("/srv/tree/")).count(), 7);
}

#[test]
fn owners() {
    let (conex, alpine) = alpine!();
    let top = tree(&conex);
    conex.ok(&["run", "-d", "--name", "plain", alpine, "sleep", "1000"]);
    conex.ok(&["run", "-d", "--userns", "private", "--name", "mapped", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--userns", "private", "--name", "resting", alpine, "sleep", "1000"]);
    for name in ["plain", "mapped", "resting"] {
        conex.ok(&["cp", "-q", text(&top), &format!("{name}:/default")]);
        conex.ok(&["cp", "-q", "-a", text(&top), &format!("{name}:/kept")]);
        if name == "resting" {
            conex.ok(&["start", name]);
        }
        let owner = |path| conex.ok(&["exec", name, "stat", "-c", "%u:%g", path]);
        assert_eq!(owner("/default/sub"), "0:0\n", "{name}");
        assert_eq!(owner("/default/sub/link"), "0:0\n", "{name}");
        assert_eq!(owner("/kept/sub"), "1000:1001\n", "{name}");
        // And out again: the caller's, or what the container calls them.
        for (flag, expected) in [("-q", (0, 0)), ("-a", (1000, 1001))] {
            let back = conex.scratch().join(format!("{name}{flag}"));
            conex.ok(&["cp", "-q", flag, &format!("{name}:/kept"), text(&back)]);
            let look = back.join("sub").metadata().expect("it is there");
            assert_eq!((look.uid(), look.gid()), expected, "{name} {flag}");
            // A program that changes owner takes no rights along.
            let mode = back.join("file").metadata().expect("it is there").mode() & 0o7777;
            assert_eq!(mode, if flag == "-a" { 0o4751 } else { 0o751 }, "{name} {flag}");
        }
    }
}

#[test]
fn into_what_is_mounted() {
    let (conex, alpine) = alpine!();
    let shared = conex.scratch().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    let one = conex.scratch().join("one");
    std::fs::write(&one, "old").expect("a file");
    let new = conex.scratch().join("new");
    std::fs::write(&new, "new").expect("a file");
    let (bind, locked) = (format!("{}:/data", shared.display()), format!("{}:/locked:ro", shared.display()));
    let single = format!("{}:/etc/one", one.display());
    let options = ["-v", &bind, "-v", &locked, "-v", &single, "--tmpfs", "/scratch"];
    conex.ok(&[&["run", "-d", "--name", "runs"][..], &options, &[alpine, "sleep", "1000"]].concat());
    conex.ok(&[&["create", "--name", "rests"][..], &options, &[alpine, "sleep", "1000"]].concat());
    for name in ["runs", "rests"] {
        conex.ok(&["cp", text(&new), &format!("{name}:/data/{name}")]);
        assert_eq!(std::fs::read_to_string(shared.join(name)).expect("a file"), "new");
        let stderr = conex.fails(1, &["cp", text(&new), &format!("{name}:/locked/x")]);
        assert!(stderr.contains("Read-only file system"), "{stderr}");
        // A mounted file is written, and not unmounted by being replaced.
        conex.ok(&["cp", text(&new), &format!("{name}:/etc/one")]);
        assert_eq!(std::fs::read_to_string(&one).expect("a file"), "new", "{name}");
        std::fs::write(&one, "old").expect("a file");
    }
    assert_eq!(conex.ok(&["exec", "runs", "cat", "/etc/one"]), "old", "it is mounted still");
    conex.ok(&["cp", text(&new), "runs:/scratch/x"]);
    assert_eq!(conex.ok(&["exec", "runs", "cat", "/scratch/x"]), "new");
    conex.ok(&["cp", "runs:/scratch/x", text(&conex.scratch().join("back"))]);
    conex.ok(&["pause", "runs"]);
    conex.ok(&["cp", text(&new), "runs:/scratch/y"]);
    conex.ok(&["unpause", "runs"]);
    // Pseudo file systems are no files: their directories come, what is in them does not; unless they are what is asked for.
    let whole = conex.scratch().join("whole");
    conex.ok(&["cp", "-q", "runs:/", text(&whole)]);
    assert_eq!(std::fs::read_dir(whole.join("proc")).expect("a directory").count(), 0);
    assert!(whole.join("scratch/y").exists() && whole.join("bin/busybox").exists());
    let status = conex.scratch().join("status");
    conex.ok(&["cp", "runs:/proc/1/status", text(&status)]);
    assert!(std::fs::read_to_string(status).expect("a file").starts_with("Name:"));
}

/// What a container that does not run has by descriptor: volumes with a file system of their own, parts of volumes, images.
#[test]
fn into_volumes_of_every_kind() {
    let (conex, alpine) = alpine!();
    let new = conex.scratch().join("new");
    std::fs::write(&new, "new").expect("a file");
    conex.ok(&["run", "--rm", "-v", "plain:/v", alpine, "mkdir", "/v/sub"]);
    let (memory, other) = (conex.scratch().join("mounted"), conex.scratch().join("other"));
    std::fs::create_dir_all(&other).expect("a directory");
    let device = format!("device={}", other.display());
    let bind = ["--opt", "type=none", "--opt", "o=bind", "--opt", &device];
    conex.ok(&[&["volume", "create"][..], &bind, &["bound"]].concat());
    let tmpfs = ["--opt", "type=tmpfs", "--opt", "device=tmpfs"];
    conex.ok(&[&["volume", "create"][..], &tmpfs, &["memory"]].concat());
    let mut options = vec!["-v", "bound:/bound", "-v", "memory:/memory"];
    options.extend(["--mount", "type=volume,src=plain,dst=/sub,volume-subpath=sub"]);
    let image = format!("type=image,src={alpine},dst=/image");
    options.extend(["--mount", &image]);
    let can_limit = conex_tests::lacks_disk_images().is_none();
    if can_limit {
        conex.ok(&["volume", "create", "--opt", "size=20m", "small"]);
        options.extend(["-v", "small:/small"]);
    }
    let script = "cat /bound/x /sub/x; test ! -e /memory/x; if test -e /small; then cat /small/x; fi; echo; sleep 1000";
    let last = [alpine, "sh", "-c", script];
    conex.ok(&[&["create", "--name", "rests"][..], &options, &last].concat());
    for place in ["bound", "sub", "memory"].into_iter().chain(can_limit.then_some("small")) {
        let output = conex.run(&["cp", text(&new), &format!("rests:/{place}/x")]);
        assert!(output.code == 0 && output.stderr.is_empty(), "{place}: {output:?}");
    }
    assert_eq!(std::fs::read_to_string(other.join("x")).expect("the volume's"), "new");
    // What is in memory is never on the disk.
    let data = conex.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", "memory"]);
    assert_eq!(std::fs::read_dir(data.trim()).expect("the volume's place").count(), 0);
    assert!(conex.fails(1, &["cp", text(&new), "rests:/image/x"]).contains("Read-only file system"));
    conex.ok(&["cp", "rests:/image/etc/alpine-release", text(&memory)]);
    let output = conex.ok(&["diff", "rests"]);
    assert!(!output.contains("/x"), "beside the volume: {output}");
    conex.ok(&["start", "rests"]);
    let expected = "new".repeat(2 + usize::from(can_limit)) + "\n";
    eventually("the copies in their volumes", || (conex.ok(&["logs", "rests"]) == expected).then_some(()));
}

#[test]
fn a_read_only_container() {
    let (conex, alpine) = alpine!();
    let shared = conex.scratch().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    let bind = format!("{}:/data", shared.display());
    conex.ok(&["run", "-d", "--read-only", "-v", &bind, "--name", "runs", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--read-only", "-v", &bind, "--name", "rests", alpine, "sleep", "1000"]);
    for name in ["runs", "rests"] {
        let stderr = conex.fails(1, &["cp", "/etc/passwd", &format!("{name}:/tmp")]);
        assert!(stderr.contains("Read-only file system"), "{name}: {stderr}");
        conex.ok(&["cp", "/etc/passwd", &format!("{name}:/data/{name}")]);
        assert!(shared.join(name).exists());
        conex.ok(&["cp", &format!("{name}:/etc/passwd"), text(&conex.scratch().join("out"))]);
    }
}

#[test]
fn streams() {
    let (conex, alpine) = alpine!();
    let top = tree(&conex);
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let pack = |flags: &[&str]| {
        let packed = Command::new("tar").args(flags).args(["-C", text(&top), "file", "sub"]).output();
        packed.expect("tar").stdout
    };
    // Whose its files are, an archive says itself; compressed or not.
    for (number, flags) in [&["-c"][..], &["-cz"]].iter().enumerate() {
        conex.ok(&["exec", "web", "mkdir", &format!("/in{number}")]);
        let output = conex.run_with_input(&["cp", "-", &format!("web:/in{number}")], &pack(flags));
        assert_eq!(output.code, 0, "{output:?}");
        let owner = conex.ok(&["exec", "web", "stat", "-c", "%u:%g", &format!("/in{number}/sub")]);
        assert_eq!(owner, "1000:1001\n");
    }
    let stderr = conex.run_with_input(&["cp", "-", "web:/etc/passwd"], &pack(&["-c"])).stderr;
    assert!(stderr.contains("must be a directory"), "{stderr}");
    let stderr = conex
        .run_with_input(&["cp", "-", "web:/in0"], b"no archive at all, whatever it may look like")
        .stderr;
    assert!(stderr.starts_with("conex: ") && stderr.lines().count() == 1, "{stderr}");
    // Out to a tar that reads it, and from one container into another.
    let mut out = conex.command(&["cp", "web:/in0", "-"]).stdout(Stdio::piped()).spawn().expect("conex");
    let listed =
        Command::new("tar").args(["-tv"]).stdin(out.stdout.take().expect("a pipe")).output().expect("tar");
    assert!(out.wait().expect("its end").success());
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("in0/sub/link -> ../file") && listed.contains("link to in0/file"), "{listed}");
    conex.ok(&["create", "--name", "other", alpine, "true"]);
    conex.ok(&["cp", "-a", "web:/in0", "other:/copy"]);
    conex.ok(&["cp", "-a", "other:/copy/.", "other:/again"]);
    conex.ok(&["cp", "-a", "other:/again", "web:/in0/deep"]);
    let compared = "cd /in0 && cmp file deep/file && cmp sub/other deep/sub/other && stat -c %u deep/sub";
    assert_eq!(conex.ok(&["exec", "web", "sh", "-c", compared]), "1000\n");
}

#[test]
fn what_is_wrong_is_told_in_a_line() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "web", alpine, "true"]);
    let place = conex.scratch().join("place");
    std::fs::create_dir_all(place.join("passwd")).expect("a directory");
    std::fs::write(place.join("etc"), "").expect("a file");
    for (from, to, part) in [
        ("web:/nosuch", text(&place), "Could not find the file /nosuch in container web"),
        ("/nosuch", "web:/tmp", "Could not find the file /nosuch on this host"),
        ("web:/etc/passwd", text(&place), "cannot overwrite directory passwd"),
        ("web:/etc", text(&place), "cannot overwrite non-directory etc"),
        ("/etc/passwd", "web:/no/such/file", "there is no directory /no/such/ in container web"),
        ("/etc/passwd", "web:/new/", "no such directory"),
        ("/etc", "web:/etc/passwd", "to a file"),
        ("/etc/passwd", "nosuch:/x", "No such container: nosuch"),
        ("/etc/passwd", "/tmp/x", "at least one container"),
        ("web:", "/tmp", "may not be empty"),
        ("web:/etc/passwd", "/dev/null", "is a device"),
    ] {
        let output = conex.run(&["cp", from, to]);
        assert!(output.code != 0 && output.stderr.contains(part), "{from} {to}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    let mut pty = conex.pty(&["cp", "web:/etc/passwd", "-"]);
    pty.expect("refusing to copy to a terminal");
}

/// A stopped container that is copied to is in nobody's way when the copy is killed, not even one that goes at its end.
#[test]
fn killed_in_the_middle() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--rm", "--name", "brief", alpine, "sh", "-c", "cat /etc/alpine-release; ls /tmp"]);
    let mut command = conex.command(&["cp", "-", "brief:/tmp"]);
    let mut copy = Background::spawn(command.stdin(Stdio::piped()));
    let mut stdin = copy.stdin().expect("a pipe");
    // An archive whose end does not come.
    let packed = Command::new("tar").args(["-c", "-C", "/etc", "passwd"]).output().expect("tar").stdout;
    std::io::Write::write_all(&mut stdin, &packed[..1024]).expect("a write");
    let directory = conex.ok(&["inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "brief"]);
    let copied = PathBuf::from(directory.trim()).join("tmp/passwd");
    eventually("the copy", || copied.exists().then_some(()));
    // Meanwhile nobody starts it on the same files.
    copy.kill();
    drop(copy);
    assert!(conex.ok(&["ps", "-a"]).contains("brief"));
    let out = conex.ok(&["start", "-a", "brief"]);
    assert!(out.starts_with("3.20") && out.contains("passwd"), "{out}");
    assert!(!conex.ok(&["ps", "-a"]).contains("brief"), "it went at its end");
}

/// 600 MB in files and a directory with many names, by a process that may have 64 MiB.
#[test]
fn memory_is_bounded() {
    let (conex, alpine) = alpine!();
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        alpine,
        "sh",
        "-c",
        "mkdir /big /many; cd /big; for i in 1 2 3; do \
        head -c 200000000 /dev/zero >$i; done; cd /many; seq 20000 | xargs touch; touch /done; sleep 1000",
    ]);
    eventually("the files", || (conex.run(&["exec", "web", "test", "-e", "/done"]).code == 0).then_some(()));
    for (from, to) in [("web:/big", "-"), ("web:/many", text(&conex.scratch().join("many")))] {
        let mut shell = Command::new("sh");
        let conex_command = conex.command(&[]);
        shell.env_clear().envs(conex_command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.args(["-c", "ulimit -v 65536; \"$0\" cp \"$1\" \"$2\" | wc -c"]);
        shell.arg(Conex::binary()).args([from, to]);
        let output = finish(&mut shell);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{from}");
        if to == "-" {
            let bytes: u64 = output.stdout.trim().parse().expect("a number");
            assert!(bytes > 600_000_000, "{bytes}");
        }
    }
    assert_eq!(std::fs::read_dir(conex.scratch().join("many")).expect("a directory").count(), 20_000);
}
