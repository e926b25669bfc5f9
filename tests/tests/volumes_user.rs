//! An ordinary user's volumes.

#![allow(missing_docs)]

use std::os::unix::fs::MetadataExt;

use conex_tests::{Rootless, user_yard};

#[test]
fn they_are_his() {
    let yard = user_yard!();
    let (conex, image) = (&yard.conex, yard.image);
    let run = ["run", "--rm", "--network", "none"];
    conex.ok(&["volume", "create", "db"]);
    let script = "touch /v/of-root; touch /v/of-seven && chown 7:8 /v/of-seven; mkfifo /v/fifo; mkdir /v/sub";
    conex.ok(&[&run[..], &["-v", "db:/v", "-v", "/anon", image, "sh", "-c", script]].concat());
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "db\n");
    let data = conex.root().join("volumes/db/_data");
    let owner =
        |name: &str| data.join(name).metadata().map(|about| (about.uid(), about.gid())).expect("a file");
    assert_eq!(owner("of-root"), (Rootless::USER, Rootless::USER));
    assert_eq!(owner("of-seven"), (Rootless::FIRST_SUBUID + 6, Rootless::FIRST_SUBGID + 7));
    // The image's files come, a part of them is mounted by descriptor, and all of it travels.
    conex.ok(&[&run[..], &["-v", "etc:/etc", image, "test", "-e", "/etc/passwd"]].concat());
    let part = "type=volume,source=db,target=/p,volume-subpath=sub";
    conex.ok(&[&run[..], &["--mount", part, image, "touch", "/p/x"]].concat());
    assert!(data.join("sub/x").exists());
    let tar = conex.scratch().join("db.tar");
    let tar = tar.to_str().expect("UTF-8");
    conex.ok(&["volume", "export", "-o", tar, "db"]);
    conex.ok(&["volume", "create", "copy"]);
    conex.ok(&["volume", "import", "copy", tar]);
    let look = ["-v", "copy:/v", image, "stat", "-c", "%u:%g", "/v/of-seven"];
    assert_eq!(conex.ok(&[&run[..], &look].concat()), "7:8\n");
    conex.ok(&["volume", "create", "--opt", "type=tmpfs", "memory"]);
    conex.ok(&[&run[..], &["-v", "memory:/m", image, "touch", "/m/x"]].concat());
    let image_mount = format!("type=image,source={image},target=/i");
    conex.ok(&[&run[..], &["--mount", &image_mount, image, "test", "-e", "/i/etc/passwd"]].concat());
    // What only root can: in one line.
    let error = conex.fails(1, &["volume", "create", "--opt", "size=20m", "small"]);
    assert_eq!(error.lines().count(), 1, "{error}");
    conex.ok(&["volume", "rm", "db", "etc", "copy", "memory"]);
    assert_eq!(conex.ok(&["volume", "ls", "-q"]), "");
}
