//! `export` and `import`: the archive.

use std::process::Command;

use conex_tests::{Conex, alpine, finish, installed, needs_root, skip};

use super::changed;

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
    let (conex, alpine) = alpine!();
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
