//! `volume export` and `volume import`: a volume's files, whole.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, alpine};

fn data(conex: &Conex, name: &str) -> PathBuf {
    conex.root().join("volumes").join(name).join("_data")
}

/// All that is worth telling of a tree, by a tool of others.
fn told(root: &Path) -> String {
    let script = "find . -printf '%p %y %m %U %G %s %n %l %T@\\n' | sort; getfattr -dhR -m - . 2>/dev/null | sort; \
        find . -type f -exec sha256sum {} + | sort";
    let output = Command::new("sh").args(["-c", script]).current_dir(root).output().expect("sh");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn there_and_back() {
    let (conex, alpine) = alpine!();
    conex.ok(&["volume", "create", "one"]);
    let script = "cd /v; mkdir -p a/b; echo x >a/f; ln a/f a/b/g; ln -s ../nowhere l; mkfifo p; mknod z c 1 3; \
        chmod 4750 a/f; chown 70000:3 a/f; chown -h 7:8 l; chmod 1777 a; touch -d @1 a/b/g; echo w >.wh.name; \
        chown 9:10 .; truncate -s 100M hole";
    conex.ok(&["run", "--rm", "-v", "one:/v", alpine, "sh", "-c", script]);
    let one = data(&conex, "one");
    rustix::fs::setxattr(one.join("a/f"), "user.note", b"mine", rustix::fs::XattrFlags::empty())
        .expect("an attribute");
    let hole = std::fs::File::options().write(true).open(one.join("hole")).expect("the file");
    hole.write_all_at(b"in the middle", 50 << 20).expect("a write");
    hole.write_all_at(b"end", (100 << 20) - 3).expect("a write");

    let tar = conex.scratch().join("one.tar");
    conex.ok(&["volume", "export", "-o", tar.to_str().expect("UTF-8"), "one"]);
    assert!(tar.metadata().expect("the archive").len() < 1 << 20, "its holes are zeros");
    conex.ok(&["volume", "create", "two"]);
    conex.ok(&["volume", "import", "two", tar.to_str().expect("UTF-8")]);
    let two = data(&conex, "two");
    assert_eq!(told(&one), told(&two));
    let about = |path: PathBuf| path.metadata().expect("a file");
    assert_eq!(about(two.join("a/f")).ino(), about(two.join("a/b/g")).ino());
    assert!(about(two.join("hole")).blocks() < 1024, "{}", about(two.join("hole")).blocks());

    // Tar itself reads it, and what tar writes is taken; compressed, on standard input, over what is there.
    let theirs = conex.scratch().join("theirs");
    std::fs::create_dir(&theirs).expect("a directory");
    let tarred = Command::new("tar").args(["--xattrs", "-xpf"]).arg(&tar).arg("-C").arg(&theirs).status();
    assert!(tarred.expect("tar").success());
    assert_eq!(told(&one), told(&theirs));
    let packed = Command::new("tar")
        .args(["--xattrs", "-czf", "-", "-C"])
        .arg(&theirs)
        .arg(".")
        .output()
        .expect("tar");
    std::fs::write(two.join("a/f"), "changed").expect("a file");
    std::fs::write(two.join("more"), "stays").expect("a file");
    let output = conex.run_with_input(&["volume", "import", "two", "-"], &packed.stdout);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(std::fs::read(two.join("a/f")).expect("a file"), b"x\n");
    assert!(two.join("more").exists());
    // By a pipe, from one that runs.
    conex.ok(&["run", "-d", "--name", "busy", "-v", "one:/v", alpine, "sleep", "1000"]);
    let piped = conex.run(&["volume", "export", "one"]);
    assert!(piped.code == 0 && piped.stdout.contains("GNU.sparse"), "{}", piped.stderr);
    conex.fails(1, &["volume", "export", "nothing"]);
}

/// Nobody reads what is exported: containers that have the volume end all the same.
#[test]
fn an_export_that_hangs_holds_no_container_up() {
    let (conex, alpine) = alpine!();
    conex.ok(&["volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory"]);
    conex.ok(&["run", "-d", "--name", "web", "-v", "memory:/data", alpine, "sleep", "1000"]);
    conex.ok(&["exec", "web", "dd", "if=/dev/zero", "of=/data/file", "bs=1M", "count=1"]);
    let mut export = conex
        .command(&["volume", "export", "memory"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("an export");
    let mut first = [0];
    std::io::Read::read_exact(export.stdout.as_mut().expect("a pipe"), &mut first).expect("its beginning");
    conex.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(conex.inspect("web")["State"]["Status"], "exited");
    conex.ok(&["run", "--rm", "-v", "memory:/data", alpine, "true"]);
    conex.ok(&["rm", "web"]);
    export.kill().expect("killed");
    export.wait().expect("its end");
}
