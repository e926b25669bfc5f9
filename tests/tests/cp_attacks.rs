//! `cp` with a container that wants the host's files: paths swapped for links while they are copied (CVE-2018-15664), links into
//! procfs, libraries and programs laid out to be run (CVE-2019-14271), hostile archives.

use std::path::Path;
use std::process::{Command, Stdio};

use conex_tests::{Conex, Outside, SECRET, alpine, eventually, skip};

macro_rules! bed {
    () => {{
        let (conex, alpine) = alpine!();
        let outside = Outside::new(&conex);
        (conex, alpine, outside)
    }};
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Waits for `evil` to have laid out what it swaps.
fn await_swapping(conex: &Conex) {
    eventually("the swapping", || {
        (conex.run(&["exec", "evil", "test", "-e", "/ready"]).code == 0).then_some(())
    });
}

/// The same of what is only measured: `ps -s` of a container that swaps a directory of its own for a link.
#[test]
fn a_size_is_of_the_containers_files_alone() {
    let (conex, alpine, _outside) = bed!();
    let big = conex.scratch().join("big");
    std::fs::create_dir(&big).expect("a directory");
    std::fs::File::create(big.join("file")).and_then(|file| file.set_len(5 << 40)).expect("a large file");
    let swap = format!(
        "mkdir -p /q/a; cd /q; mkdir $(seq 1000); ln -s {} /q/l; touch /ready; while :; do mv /q/a /q/x; mv /q/l /q/a; mv /q/a /q/l; mv /q/x /q/a; done",
        big.display()
    );
    conex.ok(&["run", "-d", "--name", "evil", alpine, "sh", "-c", &swap]);
    await_swapping(&conex);
    for _ in 0..60 {
        let size = conex.ok(&["ps", "-s", "--format", "{{.Size}}"]);
        assert!(!size.contains("TB"), "{size}");
    }
    conex.ok(&["rm", "-f", "evil"]);
}

/// `/x` is a directory and a link to the host's directory by turns, as fast as the container can.
#[test]
fn a_path_that_is_swapped_for_a_link() {
    let (conex, alpine, outside) = bed!();
    let there = outside.path().display();
    let swap = format!(
        "mkdir -p /d/empty /w; echo own >/d/secret; ln -s {there} /l; touch /ready; while :; do mv /d /x; mv /x /d; mv /l /x; mv /x /l; done"
    );
    for user in [&[][..], &["--userns", "private"]] {
        conex.ok(&[&["run", "-d", "--name", "evil"][..], user, &[alpine, "sh", "-c", &swap]].concat());
        await_swapping(&conex);
        let mine = conex.scratch().join("mine");
        std::fs::create_dir_all(mine.join("empty")).expect("a directory");
        std::fs::write(mine.join("secret"), "mine").expect("a file");
        let mut worked = 0;
        for round in 0..60 {
            let back = conex.scratch().join(format!("back{round}"));
            for words in [
                &["cp", text(&mine), "evil:/x"][..],
                &["cp", &format!("{}/.", mine.display()), "evil:/x"],
                &["cp", &format!("{}/secret", mine.display()), "evil:/x/secret"],
                &["cp", "evil:/x/secret", text(&back)],
                &["cp", "-L", "evil:/x", text(&back)],
                &["cp", "evil:/x/.", text(&back)],
            ] {
                let output = conex.run(words);
                assert!(
                    !output.stderr.contains("panicked") && output.stderr.lines().count() <= 1,
                    "{words:?}: {output:?}"
                );
                worked += u32::from(output.code == 0);
                outside.assert_untouched(&format!("{words:?}"));
                let found = Command::new("grep").args(["-r", SECRET, text(&back)]).output().expect("grep");
                assert!(found.stdout.is_empty(), "{words:?} gave away the host's file");
                let _ = std::fs::remove_dir_all(&back);
                let _ = std::fs::remove_file(&back);
            }
        }
        assert!(worked > 20, "the copies that are no attack work: {worked}");
        conex.ok(&["rm", "-f", "evil"]);
    }
}

/// Links that lead out for whoever follows them on the host, and those of procfs that lead anywhere.
#[test]
fn links_out() {
    let (conex, alpine, outside) = bed!();
    let up = outside.up("");
    let links = format!(
        "ln -s {} /abs; ln -s {up} /rel; ln -s /proc/1/root /magic; ln -s /proc/self/cwd /cwd; mkdir /dir; ln -s {} /dir/out; sleep 1000",
        outside.path().display(),
        outside.at("secret"),
    );
    conex.ok(&["run", "-d", "--name", "evil", alpine, "sh", "-c", &links]);
    eventually("the links", || {
        (conex.run(&["exec", "evil", "test", "-L", "/dir/out"]).code == 0).then_some(())
    });
    for _ in 0..2 {
        let back = conex.scratch().join("back");
        std::fs::create_dir_all(&back).expect("a directory");
        for link in ["abs", "rel", "magic", "cwd", "proc/1/root", "proc/1/cwd"] {
            for words in [
                &["cp", "/etc/hostname", &format!("evil:/{link}/empty/x")][..],
                &["cp", "/etc/hostname", &format!("evil:/{link}/secret")],
                &["cp", &format!("evil:/{link}/secret"), text(&back)],
                &["cp", "-L", &format!("evil:/{link}"), text(&back)],
            ] {
                let output = conex.run(words);
                assert!(!output.stderr.contains("panicked"), "{words:?}: {output:?}");
                outside.assert_untouched(&format!("{words:?}"));
            }
        }
        conex.run(&["cp", "evil:/dir", text(&back)]);
        // Written through by the next copy, a link of the container's would be the host's file.
        conex.run(&["cp", "evil:/etc/hostname", text(&back.join("dir/hostname"))]);
        let found = Command::new("grep").args(["-rI", SECRET, text(&back)]).output().expect("grep");
        assert!(!String::from_utf8_lossy(&found.stdout).contains("secret:"), "{found:?}");
        outside.assert_untouched("a link that was copied");
        std::fs::remove_dir_all(&back).expect("the directory");
        // The same of a container that does not run any more.
        conex.ok(&["stop", "-t", "0", "evil"]);
    }
}

/// A container that does not run has a directory of a volume, and one that does has made a link of it.
#[test]
fn a_subpath_that_has_become_a_link() {
    let (conex, alpine, outside) = bed!();
    let there = outside.path().display();
    conex.ok(&["run", "--rm", "-v", "data:/v", alpine, "mkdir", "/v/sub"]);
    let mount = "type=volume,src=data,dst=/s,volume-subpath=sub";
    conex.ok(&["create", "--name", "web", "--mount", mount, alpine, "true"]);
    let swap = format!("rmdir /v/sub; ln -s {there} /v/sub");
    conex.ok(&["run", "--rm", "-v", "data:/v", alpine, "sh", "-c", &swap]);
    let back = conex.scratch().join("back");
    for words in [
        &["cp", "web:/s/.", text(&back)][..],
        &["cp", "web:/s/secret", text(&back)],
        &["cp", "/etc/hostname", "web:/s/secret"],
        &["cp", "/etc/hostname", "web:/s/empty/x"],
    ] {
        let output = conex.run(words);
        assert!(!output.stderr.contains("panicked"), "{words:?}: {output:?}");
        outside.assert_untouched(&format!("{words:?}"));
        let found = Command::new("grep").args(["-r", SECRET, text(&back)]).output().expect("grep");
        assert!(found.stdout.is_empty(), "{words:?} gave away the host's file");
    }
    // A link that stays in the volume is one of its directories, as at a start.
    let swap = "rm /v/sub; mkdir /v/other; echo mine >/v/other/own; ln -s /other /v/sub";
    conex.ok(&["run", "--rm", "-v", "data:/v", alpine, "sh", "-c", swap]);
    conex.ok(&["cp", "web:/s/own", text(&back)]);
    assert_eq!(std::fs::read_to_string(&back).expect("the copy"), "mine\n");
}

/// Whatever lies in the container's place of libraries and programs: none of it is opened, none of it runs.
#[test]
fn nothing_of_the_containers_runs() {
    let (conex, alpine, outside) = bed!();
    if !conex_tests::installed("strace") {
        skip!("strace is not installed");
    }
    let plant = "mkdir -p /etc /lib/x86_64-linux-gnu; echo 'passwd: files evil' >/etc/nsswitch.conf; \
                 for f in /lib/libnss_files.so.2 /lib/libnss_evil.so.2 /lib/x86_64-linux-gnu/libnss_files.so.2; do echo evil >$f; done; \
                 printf '#!/bin/sh\\ntouch /ran\\n' >/bin/tar; chmod 755 /bin/tar; touch /ready; sleep 1000";
    conex.ok(&["run", "-d", "--name", "evil", alpine, "sh", "-c", plant]);
    eventually("the plants", || {
        (conex.run(&["exec", "evil", "test", "-e", "/ready"]).code == 0).then_some(())
    });
    let trace = conex.scratch().join("trace");
    for (from, to) in
        [("/etc/hostname", "evil:/tmp/x"), ("evil:/etc/passwd", text(&conex.scratch().join("out")))]
    {
        let own = conex.command(&[]);
        let mut traced = Command::new("strace");
        traced.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced.args(["-f", "-e", "trace=execve,openat,openat2,open", "-o", text(&trace)]);
        traced.arg(Conex::binary()).args(["cp", from, to]);
        assert!(traced.status().expect("strace").success());
        let seen = std::fs::read_to_string(&trace).expect("a trace");
        assert_eq!(seen.matches("execve(").count(), 1, "{seen}");
        for name in ["libnss", "nsswitch", "/bin/tar", "ld-musl"] {
            assert!(!seen.contains(name), "{name} was opened: {seen}");
        }
    }
    assert_eq!(conex.run(&["exec", "evil", "test", "-e", "/ran"]).code, 1);
    outside.assert_untouched("the plants");
}

#[test]
fn hostile_archives() {
    let (conex, alpine, outside) = bed!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let scratch = conex.scratch().join("hostile");
    let secret = outside.at("secret");
    let build = |entries: &[(&str, &str)]| {
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir(&scratch).expect("a directory");
        let script = "import sys,tarfile,io\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|')\nfor a in sys.argv[1:]:\n n,k=a.split('|');i=tarfile.TarInfo(n)\n if k.startswith('->'): i.type=tarfile.SYMTYPE;i.linkname=k[2:]\n elif k.startswith('=>'): i.type=tarfile.LNKTYPE;i.linkname=k[2:]\n else: i.size=len(k)\n t.addfile(i,io.BytesIO(k.encode()) if i.size else None)\nt.close()";
        let words = entries.iter().map(|(name, kind)| format!("{name}|{kind}"));
        Command::new("python3").args(["-c", script]).args(words).output().expect("python3").stdout
    };
    if !conex_tests::installed("python3") {
        skip!("python3 is not installed");
    }
    let out = format!("->{}", outside.path().display());
    let climb = outside.up("empty/x");
    for (what, entries) in [
        ("..", vec![(climb.as_str(), "evil")]),
        ("absolute", vec![(secret.as_str(), "evil")]),
        ("link and through it", vec![("l", out.as_str()), ("l/secret", "evil"), ("l/empty/x", "evil")]),
        ("hard link out", vec![("h", &*format!("=>{secret}")), ("h", "evil")]),
        ("link to the root", vec![("l", "->/"), ("l/etc/planted", "evil")]),
        ("whiteout", vec![(".wh.x", "plain"), (".wh..wh..opq", "plain")]),
    ] {
        let output = conex.run_with_input(&["cp", "-", "web:/tmp"], &build(&entries));
        assert!(
            !output.stderr.contains("panicked") && output.stderr.lines().count() <= 1,
            "{what}: {output:?}"
        );
        outside.assert_untouched(what);
    }
    assert_eq!(
        conex.ok(&["exec", "web", "cat", "/etc/planted", "/tmp/.wh.x"]),
        "evilplain",
        "its own root, and plain names"
    );
    // A bomb of zeros, cut off when the disk of the container's is not: only the copy is a part.
    let mut bomb = conex.command(&["cp", "-", "web:/tmp"]);
    let mut bomb = bomb.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("conex");
    let _ = std::io::Write::write_all(bomb.stdin.as_mut().expect("a pipe"), &vec![0xff; 100_000]);
    drop(bomb.stdin.take());
    assert!(!bomb.wait().expect("its end").success());
}

/// A file that becomes a pipe, and back: nobody waits for a writer who does not come.
#[test]
fn a_file_that_becomes_a_pipe() {
    let (conex, alpine, _outside) = bed!();
    let swap = "mkdir /x; mkfifo /p; echo text >/f; touch /ready; while :; do mv /p /x/y; mv /x/y /p; mv /f /x/y; mv /x/y /f; done";
    conex.ok(&["run", "-d", "--name", "evil", alpine, "sh", "-c", swap]);
    await_swapping(&conex);
    for round in 0..60 {
        let back = conex.scratch().join(format!("back{round}"));
        let output = conex.run(&["cp", "evil:/x", text(&back)]);
        assert!(output.stderr.lines().count() <= 1, "{output:?}");
        let output = conex.run(&["cp", "/etc/hostname", "evil:/x/y"]);
        assert!(output.stderr.lines().count() <= 1, "{output:?}");
    }
}
