//! Out of a container: the classic escapes tried from inside, working directories and programs that name the engine's own
//! descriptors (CVE-2024-21626) or its own binary (CVE-2019-5736).

use std::path::Path;

use conex_tests::{
    Conex, Entry, Forge, Output, Outside, contained_or_clear, eventually, finish, installed, needs_root, skip,
};

use Entry::{File, Symlink};

macro_rules! bed {
    () => {{
        needs_root!();
        let Some(forge) = Forge::with_busybox() else { skip!("no busybox image") };
        let conex = Conex::new();
        let outside = Outside::new(&conex);
        (conex, outside, forge)
    }};
}

#[test]
fn classic_escapes_are_refused() {
    let (conex, outside, forge) = bed!();
    if !installed("cc") {
        skip!("no C compiler");
    }
    let program = conex.scratch().join("escape");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/escape.c");
    let built = finish(
        std::process::Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(&program).arg(source),
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    let bytes = std::fs::read(&program).expect("the program");
    let image = forge.layer(&[File("escape", &bytes), Entry::Directory("mnt")]);
    let me = std::process::id().to_string();
    let clean = |output: &Output, how: &str| {
        let ways: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("open ")).collect();
        assert!(ways.is_empty() && output.stdout.contains("tried ") && output.code == 0, "{how}: {output:?}");
    };
    clean(&image.run(&conex, &[], &["/escape", &me]), "run");
    // By exec too, and for an ordinary user.
    conex.ok(&["run", "-d", "--name", "box", "evil", "sleep", "1000"]);
    clean(&conex.run(&["exec", "box", "/escape", &me]), "exec");
    clean(&conex.run(&["exec", "-u", "1000:1000", "box", "/escape", &me]), "exec -u");
    clean(&conex.run(&["run", "--rm", "--init", "--cap-drop", "ALL", "evil", "/escape", &me]), "--init");
    outside.assert_untouched("the escapes");
}

#[test]
fn working_directories_stay_inside() {
    let (conex, outside, forge) = bed!();
    let look = "pwd; ls; cat secret outside/secret ../secret 2>/dev/null; echo x > empty/new; true";
    let host = outside.at("");
    let image =
        forge.layer(&[Symlink("w", &host), Symlink("up", "../../../.."), Symlink("fds", "/proc/self/fd")]);
    assert_eq!(image.load(&conex).code, 0);
    conex.ok(&["run", "-d", "--name", "box", "evil", "sleep", "1000"]);
    let mut places: Vec<String> = (3..=20).map(|number| format!("/proc/self/fd/{number}")).collect();
    places.extend((7..=9).map(|number| format!("/proc/self/fd/{number}/../../../../../{host}")));
    places.extend((7..=9).map(|number| format!("/fds/{number}")));
    let others = [
        "/w",
        "/up",
        "/w/empty",
        "/proc/1/cwd",
        "/proc/self/root/../..",
        "/proc/thread-self/cwd",
        "/../../..",
    ];
    places.extend(others.map(str::to_owned));
    // What is in the root directory of this machine and in none of the image.
    let inside = |output: &Output, place: &str| {
        contained_or_clear(output, place);
        assert!(
            !output.stdout.contains("lost+found") && !output.stdout.contains("boot\n"),
            "{place}: {output:?}"
        );
        outside.assert_untouched(place);
    };
    for place in &places {
        inside(
            &conex.run(&["run", "--rm", "--network", "none", "-w", place, "evil", "sh", "-c", look]),
            place,
        );
        inside(&conex.run(&["exec", "-w", place, "box", "sh", "-c", look]), place);
    }
    // The same from the image's own configuration.
    for number in 3..=10 {
        let place = format!("/proc/self/fd/{number}");
        let image = Forge::with_busybox().expect("busybox").config("WorkingDir", place.as_str());
        inside(&image.run(&conex, &[], &["sh", "-c", look]), &place);
    }
}

/// Programs that are the engine itself, or a file of the host reached through one of its descriptors.
#[test]
fn programs_stay_inside() {
    let (conex, outside, forge) = bed!();
    let binary = Conex::binary();
    let before = std::fs::read(&binary).expect("the binary");
    let image = forge.layer(&[
        Symlink("bin/self", "/proc/self/exe"),
        Symlink("bin/deep", "self"),
        File("bin/script", b"#!/proc/self/exe version\n"),
        File("bin/shell", b"#!/proc/self/fd/9/bin/sh\n"),
    ]);
    assert_eq!(image.load(&conex).code, 0);
    conex.ok(&["run", "-d", "--name", "box", "evil", "sleep", "1000"]);
    let mut programs: Vec<String> =
        ["/proc/self/exe", "/proc/1/exe", "self", "deep", "/bin/self", "script", "shell"]
            .map(str::to_owned)
            .to_vec();
    programs.extend((3..=12).map(|number| format!("/proc/self/fd/{number}/bin/echo")));
    programs.extend((3..=5).map(|number| format!("/proc/self/fd/{number}")));
    for program in &programs {
        for words in [&["run", "--rm", "--network", "none", "evil"][..], &["exec", "box"]] {
            let output = conex.run(&[words, &[program, "version"]].concat());
            contained_or_clear(&output, program);
            // The engine's own binary would tell of itself here.
            assert!(!output.stdout.to_lowercase().contains("conex"), "{program} is the engine: {output:?}");
            assert!(!program.starts_with("/proc/self") || output.code >= 126, "{program}: {output:?}");
        }
    }
    for path in [
        "/proc/self/fd/3/bin:/proc/1/root/bin",
        "::..:../..:/proc/self/cwd/bin",
        ":",
        "",
        "/\n:/bin\u{1b}[2J",
    ] {
        let path = format!("PATH={path}");
        contained_or_clear(&conex.run(&["run", "--rm", "-e", &path, "evil", "true"]), &path);
        contained_or_clear(&conex.run(&["exec", "-e", &path, "box", "true"]), &path);
    }
    assert!(std::fs::read(&binary).expect("the binary") == before, "the engine was overwritten");
    outside.assert_untouched("programs");
}

/// CVE-2019-5736: a process in the container takes hold of the binary behind whoever comes in, and writes to it later.
#[test]
fn the_engine_cannot_be_overwritten() {
    let (conex, _, forge) = bed!();
    // Another file than the supervisor's, as after an upgrade: nobody executes it when the exec is over.
    let copy = conex.scratch().join("conex");
    std::fs::copy(Conex::binary(), &copy).expect("a copy");
    let before = std::fs::read(&copy).expect("the copy");
    // Each process that appears is held by its binary and written to when it has gone.
    let script = "echo ready; while :; do for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) continue;; esac; { \
        case $(readlink /proc/self/fd/7) in */busybox) continue;; esac; echo held; \
        while [ -e $p ]; do :; done; (echo pwned >/proc/self/fd/7) && echo written; } 7<$p/exe; done; done 2>/dev/null";
    // The interpreter is whatever comes in executes it from: were it the engine, it would read its image layout and wait.
    let image = forge
        .layer(&[File("bin/script", b"#!/proc/self/exe images\n"), Entry::Fifo("var/lib/conex/oci-layout")]);
    assert_eq!(image.load(&conex).code, 0);
    conex.ok(&["run", "-d", "--name", "box", "evil", "sh", "-c", script]);
    eventually("the attacker", || conex.ok(&["logs", "box"]).contains("ready").then_some(()));
    let engine = || {
        let mut engine = std::process::Command::new(&copy);
        engine.env("CONEX_ROOT", conex.root()).env("CONEX_RUN_ROOT", conex.run_root());
        finish(engine.args(["exec", "box", "script"]))
    };
    let outputs: Vec<_> = (0..40).map(|_| engine()).collect();
    let output = &outputs[0];
    assert_eq!(output.code, 126, "{output:?}");
    let log = conex.ok(&["logs", "box"]);
    assert!(!log.contains("written"), "{log}");
    assert!(
        std::fs::read(&copy).expect("the copy") == before,
        "the engine was overwritten: {log} {output:?}"
    );
}
