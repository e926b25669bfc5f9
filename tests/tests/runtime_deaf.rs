//! Sockets that a caller names and nobody serves: a seccomp agent, a receiver of terminals. What waits for them ends in time,
//! says which it was, and leaves nothing behind.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use conex_tests::{PATIENCE, Runtime, needs_root, skip};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A listening socket with room for this many more connections than one, none of which is ever accepted.
struct Deaf {
    _listener: OwnedFd,
    waiting: Vec<OwnedFd>,
}

impl Deaf {
    fn at(path: &Path, backlog: i32) -> Self {
        let listener = socket(SocketFlags::CLOEXEC);
        rustix::net::bind(&listener, &SocketAddrUnix::new(path).expect("an address")).expect("bind");
        rustix::net::listen(&listener, backlog).expect("listen");
        Self { _listener: listener, waiting: Vec::new() }
    }

    /// Takes the room that there is.
    fn full(path: &Path) -> Self {
        let mut deaf = Self::at(path, 0);
        loop {
            let client = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
            match rustix::net::connect(&client, &SocketAddrUnix::new(path).expect("an address")) {
                Ok(()) => deaf.waiting.push(client),
                Err(errno) => {
                    assert!(errno == Errno::AGAIN && !deaf.waiting.is_empty(), "{errno}");
                    return deaf;
                }
            }
        }
    }
}

fn socket(flags: SocketFlags) -> OwnedFd {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket")
}

fn notifying(runtime: &Runtime, listener: &Path) -> Value {
    let mut config = runtime.config(&["/bin/true"]);
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_NOTIFY"}],
        "listenerPath": listener,
    });
    config
}

#[test]
fn an_agent_that_takes_nothing_does_not_hold_up_create() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let (full, silent) = (runtime.scratch().join("full"), runtime.scratch().join("silent"));
    let _full = Deaf::full(&full);
    let _silent = Deaf::at(&silent, 8);
    // A mebibyte of state is more than a socket holds for somebody who does not read.
    let mut large = notifying(&runtime, &silent);
    large["annotations"] = json!({"org.example": "x".repeat(1 << 20)});
    let cases = [("full", notifying(&runtime, &full), &full), ("silent", large, &silent)];
    // Side by side: each takes its ten seconds.
    let running = cases.map(|(id, config, socket)| {
        let bundle = runtime.bundle(id, &config);
        (id, socket, Instant::now(), runtime.background(&["create", "--bundle", text(&bundle), id]))
    });
    for (id, socket, began, create) in running {
        let output = create.finish();
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{id}: {output:?}");
        let words = format!("seccomp notifications to the listener {} within 10 s", socket.display());
        assert!(output.stderr.contains(&words), "{id}: {output:?}");
        assert!(began.elapsed() < PATIENCE, "{id}: {:?}", began.elapsed());
        assert_eq!(runtime.status(id), None);
    }
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_receiver_that_takes_nothing_does_not_hold_up_create() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let path = runtime.scratch().join("full");
    let _full = Deaf::full(&path);
    let mut terminal = runtime.config(&["/bin/true"]);
    terminal["process"]["terminal"] = json!(true);
    let cases = [("console", terminal), ("pidfd", runtime.config(&["/bin/true"]))];
    let running = cases.map(|(id, config)| {
        let bundle = runtime.bundle(id, &config);
        let option = format!("--{id}-socket");
        let words = ["create", "--bundle", text(&bundle), &option, text(&path), id];
        (id, runtime.background(&words))
    });
    for (id, create) in running {
        let output = create.finish();
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{id}: {output:?}");
        let words = format!("connect to the {id} socket {}", path.display());
        assert!(output.stderr.contains(&words) && output.stderr.contains("timed out"), "{id}: {output:?}");
        assert_eq!(runtime.status(id), None);
    }
}
