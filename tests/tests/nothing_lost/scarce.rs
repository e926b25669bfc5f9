//! A root directory that cannot be written: what runs goes on and can be told, ended and spoken to; what cannot be done is one line.

use conex_tests::{Conex, needs_root, private_mounts, skip};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

use crate::truth::{alive, clear, mark, true_state};

/// One whose root directory is a file system of 64 MiB.
fn on_a_small_disk() -> Option<Conex> {
    if !private_mounts() {
        return None;
    }
    let conex = Conex::new();
    #[expect(clippy::disallowed_methods, reason = "a disk of the test's own")]
    mount("tmpfs", conex.root(), "tmpfs", MountFlags::empty(), rustix::cstr!("size=64m,mode=755"))
        .expect("a tmpfs");
    Some(conex)
}

#[test]
fn a_root_directory_that_is_read_only() {
    needs_root!();
    let Some(conex) = on_a_small_disk() else { skip!("no mount namespace") };
    let Some(image) = conex.alpine() else { skip!("no alpine image") };
    let mark = mark(5, 0);
    conex.ok(&["run", "-d", "--name", "box", image, "sleep", &mark]);
    conex.ok(&["create", "--name", "rests", image, "true"]);
    // Over itself: what is open goes on, as with a disk that has failed; by its name nothing can be written.
    mount_bind(conex.root(), conex.root()).expect("a bind");
    mount_remount(conex.root(), MountFlags::BIND | MountFlags::RDONLY, rustix::cstr!("")).expect("read-only");
    assert_eq!(true_state(&conex, "box", &mark, "read-only"), "running");
    conex.ok(&["exec", "box", "true"]);
    conex.ok(&["logs", "box"]);
    conex.ok(&["inspect", "rests"]);
    conex.ok(&["images"]);
    for words in [
        &["create", image, "true"][..],
        &["run", "--rm", image, "true"],
        &["rename", "rests", "other"],
        &["rm", "rests"],
        &["start", "rests"],
        &["tag", image, "x"],
    ] {
        let output = conex.run(words);
        assert!(output.code != 0 && output.stderr.lines().count() == 1, "{words:?}: {output:?}");
        assert!(output.stderr.contains("Read-only file system"), "{words:?}: {output:?}");
    }
    // It can be ended; that it has been is told.
    conex.run(&["kill", "box"]);
    assert_ne!(true_state(&conex, "box", &mark, "killed"), "running");
    assert_eq!(alive(&mark), 0);
    unmount(conex.root(), UnmountFlags::DETACH).expect("writable again");
    assert_eq!(true_state(&conex, "box", &mark, "writable again"), "exited");
    conex.ok(&["start", "box"]);
    clear(&conex, &mark, "writable again");
}

#[test]
fn a_root_directory_that_is_full() {
    needs_root!();
    let Some(conex) = on_a_small_disk() else { skip!("no mount namespace") };
    let Some(image) = conex.alpine() else { skip!("no alpine image") };
    let mark = mark(6, 0);
    conex.ok(&["run", "-d", "--name", "box", image, "sleep", &mark]);
    conex.ok(&["create", "--name", "rests", image, "true"]);
    // By the container itself, to the last byte: it is told so, and nobody else suffers.
    let fill = conex.run(&["exec", "box", "sh", "-c", "dd if=/dev/zero of=/fill bs=64k; echo x >/more"]);
    assert!(fill.stderr.contains("No space left"), "{fill:?}");
    assert_eq!(true_state(&conex, "box", &mark, "full"), "running");
    conex.ok(&["exec", "box", "true"]);
    for words in [&["create", image, "true"][..], &["run", "--rm", image, "true"]] {
        let output = conex.run(words);
        assert!(output.code == 125 && output.stderr.lines().count() == 1, "{words:?}: {output:?}");
        assert!(output.stderr.contains("No space left"), "{words:?}: {output:?}");
    }
    // Room is made by removing, which needs none.
    conex.ok(&["rm", "rests"]);
    conex.run(&["kill", "box"]);
    assert_ne!(true_state(&conex, "box", &mark, "killed"), "running");
    conex.ok(&["rm", "-f", "box"]);
    conex.ok(&["run", "--rm", image, "true"]);
    clear(&conex, &mark, "full");
}
