//! Limits: `volume create --opt size=` and `--storage-opt size=`.

use std::process::Command;

use conex_tests::{Conex, alpine, eventually, lacks, lacks_disk_images, needs_root, skip};

/// Loop devices on a file below a directory.
fn devices(conex: &Conex) -> Vec<String> {
    let place = conex.scratch().to_string_lossy().into_owned();
    let blocks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files =
        blocks.filter_map(|entry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    files.filter(|file| file.starts_with(&place)).collect()
}

macro_rules! limited {
    () => {{
        needs_root!();
        if let Some(why) = lacks_disk_images() {
            skip!("{why}");
        }
        alpine!()
    }};
}

const FILL: &str =
    "dd if=/dev/zero of=/v/big bs=1M count=40 2>&1 | grep -o 'No space left on device'; ls -A /v";

#[test]
fn a_volume_is_full_when_it_is() {
    let (conex, alpine) = limited!();
    conex.ok(&["volume", "create", "--opt", "size=20m", "small"]);
    assert_eq!(conex.ok(&["volume", "inspect", "-f", "{{.Options.size}}", "small"]), "20m\n");
    let filled = conex.ok(&["run", "--rm", "-v", "small:/v", alpine, "sh", "-c", FILL]);
    assert_eq!(filled, "No space left on device\nbig\n");
    // Written by one, read by the other, at the same time: there is one file system.
    conex.ok(&["run", "-d", "--name", "one", "-v", "small:/v", alpine, "sleep", "1000"]);
    conex.ok(&["run", "--rm", "-v", "small:/v", alpine, "sh", "-c", "rm /v/big; echo x >/v/file"]);
    assert_eq!(conex.ok(&["exec", "one", "cat", "/v/file"]), "x\n");
    assert!(devices(&conex).len() <= 1, "{:?}", devices(&conex));
    conex.ok(&["rm", "-f", "one"]);
    // Nothing is left of it when nobody has it, and the data are.
    eventually("no loop device", || devices(&conex).is_empty().then_some(()));
    assert_eq!(conex.ok(&["run", "--rm", "-v", "small:/v", alpine, "cat", "/v/file"]), "x\n");
    // The image's files, a part, an export: as with any other.
    conex.ok(&["volume", "create", "--opt", "o=size=20m", "etc"]);
    conex.ok(&["run", "--rm", "-v", "etc:/etc", alpine, "test", "-e", "/etc/alpine-release"]);
    let part = "type=volume,source=etc,target=/p,volume-subpath=apk";
    assert!(conex.ok(&["run", "--rm", "--mount", part, alpine, "ls", "/p"]).contains("repositories"));
    assert!(conex.run(&["volume", "export", "etc"]).stdout.contains("alpine-release"));
    conex.ok(&["run", "--rm", "--userns", "private", "-v", "etc:/etc", alpine, "touch", "/etc/x"]);
    conex.ok(&["volume", "rm", "small", "etc"]);
    eventually("no loop device", || devices(&conex).is_empty().then_some(()));
}

#[test]
fn what_cannot_be_limited_is_refused() {
    let (conex, alpine) = limited!();
    for size in ["x", "-1", "0", "1k"] {
        let error = conex.fails(1, &["volume", "create", "--opt", &format!("size={size}"), "small"]);
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let mut command = conex.command(&["volume", "create", "--opt", "size=20m", "small"]);
    let output = conex_tests::finish(command.env("PATH", "/nowhere"));
    assert!(output.code == 1 && output.stderr.contains("e2fsprogs"), "{}", output.stderr);
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "");
    assert_eq!(std::fs::read_dir(conex.root().join("volumes")).expect("a directory").count(), 0);
    conex.fails(125, &["run", "--rm", "--storage-opt", "colour=red", alpine, "true"]);
}

#[test]
fn a_container_writes_no_more_than_it_may() {
    let (conex, alpine) = limited!();
    let script =
        "mkdir /v; dd if=/dev/zero of=/v/big bs=1M count=40 2>&1 | grep -o 'No space left on device'";
    let words = ["run", "--name", "box", "--storage-opt", "size=20m", alpine, "sh", "-c", script];
    assert_eq!(conex.ok(&words), "No space left on device\n");
    assert_eq!(conex.ok(&["diff", "box"]), "A /v\nA /v/big\n");
    assert_eq!(conex.inspect("box")["HostConfig"]["StorageOpt"]["size"], "20m");
    let size = conex.ok(&["ps", "-as", "--format", "{{.Size}}"]);
    assert!(size.starts_with("1") && size.contains("MB (virtual"), "{size}");
    conex.ok(&["commit", "box", "big:1"]);
    assert!(conex.ok(&["run", "--rm", "big:1", "ls", "/v"]).contains("big"));
    conex.ok(&["rm", "box"]);
    // With users of its own, and killed: nothing of it is left.
    let words = ["run", "--rm", "--userns", "private", "--storage-opt", "size=20m", alpine, "touch", "/x"];
    conex.ok(&words);
    conex.ok(&["run", "-d", "--name", "box", "--storage-opt", "size=20m", alpine, "sleep", "1000"]);
    conex.ok(&["rm", "-f", "box"]);
    eventually("no loop device", || devices(&conex).is_empty().then_some(()));
}

/// The image has more than fits: an error, no container, and the volume is as empty as before.
#[test]
fn first_contents_that_do_not_fit() {
    let (conex, alpine) = limited!();
    conex.ok(&["volume", "create", "--opt", "size=3m", "small"]);
    let error = conex.fails(125, &["create", "-v", "small:/lib", "-v", "/anon", alpine, "true"]);
    assert!(error.contains("No space left on device") && error.lines().count() == 1, "{error}");
    assert_eq!(conex.ok(&["ps", "-aq"]), "");
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "small\n");
    let look = ["run", "--rm", "-v", "small:/v:nocopy", alpine, "sh", "-c", "ls -A /v; echo x >/v/file"];
    assert_eq!(conex.ok(&look), "");
}

/// On a file system with project quotas, which a machine may have none of: xfs, made for the test.
#[test]
fn project_quotas_are_used_where_they_are() {
    let (_, _) = limited!();
    if let Some(program) = lacks(&["mkfs.xfs", "unshare", "mount"]) {
        skip!("{program} is not installed");
    }
    let conex = Conex::new();
    let image = conex.scratch().join("xfs.img");
    std::fs::File::create(&image).and_then(|file| file.set_len(400 << 20)).expect("a file");
    let script = "set -e; mkfs.xfs -q \"$1\"; mkdir \"$2\"; mount -o loop,prjquota \"$1\" \"$2\" || exit 77; \
        export CONEX_ROOT=\"$2/root\"; \"$3\" volume create --opt size=20m small; \
        test ! -e \"$2/root/volumes/small/image.ext4\"; dd if=/dev/zero of=\"$2/root/volumes/small/_data/f\" bs=1M count=40 && exit 1; \
        test \"$(stat -c %s \"$2/root/volumes/small/_data/f\")\" -le $((20 << 20))";
    let output = conex_tests::finish(
        Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .args([image.as_os_str(), conex.scratch().join("xfs").as_os_str(), Conex::binary().as_os_str()])
            .env("CONEX_RUN_ROOT", conex.run_root()),
    );
    if output.code == 77 || output.stderr.contains("wrong fs type") {
        skip!("this kernel has no project quotas");
    }
    assert_eq!(output.code, 0, "{}", output.stderr);
}
