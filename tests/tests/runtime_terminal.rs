//! Terminals: given away over a socket, or in the foreground; and signals, which go the same way.

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use conex_tests::{Background, Pty, Runtime, eventually, needs_root, skip};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::{Value, json};

fn with_terminal(runtime: &Runtime, args: &[&str]) -> Value {
    let mut config = runtime.config(args);
    config["process"]["terminal"] = true.into();
    config
}

/// What is sent to a socket like conmon's: some words and a descriptor.
fn receive(stream: &UnixStream) -> (String, OwnedFd) {
    let mut words = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [std::io::IoSliceMut::new(&mut words)];
    let read = rustix::net::recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let fd = fds.next().expect("a descriptor");
    drop(fds);
    (String::from_utf8_lossy(&words[..read.bytes]).into_owned(), fd)
}

/// All that a terminal shows until nobody holds its other end.
fn shown(master: OwnedFd) -> String {
    let mut text = Vec::new();
    // The end is EIO.
    let _ = std::fs::File::from(master).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// On a terminal of its own.
fn on_terminal(words: &[&std::ffi::OsStr]) -> Pty {
    let mut command = Pty::leader();
    command.args(words);
    Pty::on(command)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_master_goes_to_the_console_socket() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let socket = runtime.scratch().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut config =
        with_terminal(&runtime, &["sh", "-c", "tty; stty size; test -c /dev/console && echo console"]);
    config["process"]["consoleSize"] = json!({"height": 33, "width": 111});
    let bundle = runtime.bundle("a", &config);
    runtime.ok(&["create", "--console-socket", text(&socket), "-b", text(&bundle), "a"]);
    let (name, master) = receive(&listener.accept().unwrap().0);
    assert_eq!(name, "/dev/ptmx");
    runtime.ok(&["start", "a"]);
    assert_eq!(shown(master), "/dev/pts/0\r\n33 111\r\nconsole\r\n");
    // A detached exec likewise, also by a path too long for an address.
    let long = runtime.scratch().join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let directory = std::fs::File::open(&long).unwrap();
    let short = format!("/proc/self/fd/{}/console", std::os::fd::AsRawFd::as_raw_fd(&directory));
    let listener = UnixListener::bind(short).unwrap();
    runtime.start_config("b", &runtime.config(&["sleep", "1000"]));
    let socket = long.join("console");
    runtime.ok(&["exec", "-t", "--detach", "--console-socket", text(&socket), "b", "sh", "-c", "tty; id -u"]);
    let (_, master) = receive(&listener.accept().unwrap().0);
    assert_eq!(shown(master), "/dev/pts/0\r\n0\r\n");
}

#[test]
fn the_process_goes_to_the_pidfd_socket() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let socket = runtime.scratch().join("pidfd");
    let listener = UnixListener::bind(&socket).unwrap();
    let bundle = runtime.bundle("a", &runtime.config(&["sleep", "1000"]));
    let mut command = runtime.command(&["create", "--pidfd-socket", text(&socket), "-b", text(&bundle), "a"]);
    // The container keeps what it inherits open.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    let pid_of = |pidfd: &OwnedFd| {
        let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(pidfd));
        let text = std::fs::read_to_string(info).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Pid:\t")).unwrap().parse::<u64>().unwrap()
    };
    let (kind, pidfd) = receive(&listener.accept().unwrap().0);
    assert_eq!(kind, "standard");
    assert_eq!(Some(pid_of(&pidfd)), runtime.state("a")["pid"].as_u64());
    runtime.ok(&["start", "a"]);
    runtime.ok(&["exec", "--pidfd-socket", text(&socket), "a", "true"]);
    let (kind, _) = receive(&listener.accept().unwrap().0);
    assert_eq!(kind, "setns");
}

#[test]
fn what_does_not_fit_together_is_refused_before_anything_is_made() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let with = runtime.bundle("with", &with_terminal(&runtime, &["true"]));
    let without = runtime.bundle("without", &runtime.config(&["true"]));
    let cannot = "cannot allocate tty if conex-runtime will detach without setting console socket";
    let useless = "cannot use console socket if conex-runtime will not detach or allocate tty";
    for (words, expected) in [
        (&["create", "-b", text(&with), "a"][..], cannot),
        (&["run", "-d", "-b", text(&with), "a"], cannot),
        (&["run", "--console-socket", "/x", "-b", text(&with), "a"], useless),
        (&["create", "--console-socket", "/x", "-b", text(&without), "a"], useless),
        (
            &["create", "--console-socket", "/none", "-b", text(&with), "a"],
            "cannot connect to the console socket /none",
        ),
        (
            &["create", "--pidfd-socket", "/none", "-b", text(&without), "a"],
            "cannot connect to the pidfd socket /none",
        ),
    ] {
        let refused = runtime.fails(words);
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
    assert_eq!(runtime.run(&["list", "-q"]).stdout, "");
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn in_the_foreground_the_callers_terminal_is_raw_and_restored() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let script = "stty size; trap 'stty size; exit 5' WINCH; read line; echo \"got $line\"; while :; do sleep 0.01; done";
    let bundle = runtime.bundle("a", &with_terminal(&runtime, &["sh", "-c", script]));
    let (binary, root) = (Runtime::binary(), runtime.root());
    let words = ["--root", text(&root), "run", "-b", text(&bundle), "a"];
    let words: Vec<_> = [text(&binary)].into_iter().chain(words).map(std::ffi::OsStr::new).collect();
    let mut pty = on_terminal(&words);
    pty.expect("24 80");
    eventually("raw mode", || pty.is_raw().then_some(()));
    pty.send("hello\r");
    pty.expect("got hello");
    pty.resize(40, 100);
    pty.expect("40 100");
    let (code, rest) = pty.finish();
    assert_eq!(code, 5, "{rest}");
}

#[test]
fn an_exec_has_one_too_and_leaves_the_callers_as_it_was() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    runtime.start_config("a", &runtime.config(&["sleep", "1000"]));
    // A shell owns the terminal and looks at it afterwards.
    let script = format!(
        "\"$0\" --root {} exec -t a sh -c 'tty; stty size; exit 3'; echo status $?; stty -a | grep -o ' icanon'; \
         \"$0\" --root {0} exec -t a nothing-here; stty -a | grep -o ' icanon'; echo end",
        runtime.root().display()
    );
    let binary = Runtime::binary();
    let mut pty = on_terminal(&["sh".as_ref(), "-c".as_ref(), script.as_ref(), binary.as_os_str()]);
    pty.expect("/dev/pts/0");
    pty.expect("24 80");
    pty.expect("status 3");
    pty.expect("icanon");
    pty.expect("executable file not found");
    pty.expect("icanon");
    pty.expect("end");
    pty.finish();
}

#[test]
fn without_any_terminal_there_is_an_error_and_no_container() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &with_terminal(&runtime, &["true"]));
    let mut command = std::process::Command::new("setsid");
    command.arg("--wait").arg(Runtime::binary()).arg("--root").arg(runtime.root());
    let output = conex_tests::finish(
        command.args(["run", "-b", text(&bundle), "a"]).stdin(std::process::Stdio::null()),
    );
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("/dev/tty"), "{}", output.stderr);
    assert_eq!(runtime.run(&["list", "-q"]).stdout, "");
}

#[test]
fn signals_are_forwarded_in_the_foreground() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let script =
        "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; touch /ready; while :; do sleep 0.01; done";
    let bundle = runtime.bundle("a", &runtime.config(&["sh", "-c", script]));
    let run: Background = runtime.background(&["run", "-b", text(&bundle), "a"]);
    eventually("the traps", || bundle.join("rootfs/ready").exists().then_some(()));
    let send = |signal| {
        let pid = rustix::process::Pid::from_raw(run.id().cast_signed()).unwrap();
        let held = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::pidfd_send_signal(&held, signal).unwrap();
    };
    send(rustix::process::Signal::USR1);
    // Two of one kind may become one: so another in between.
    send(rustix::process::Signal::TERM);
    let output = run.finish();
    assert_eq!((output.code, output.stdout.as_str()), (9, "usr1\nterm\n"), "{}", output.stderr);
    assert_eq!(runtime.run(&["list", "-q"]).stdout, "");
}

#[test]
fn a_container_outlives_a_runtime_that_is_killed() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let bundle = runtime.bundle("a", &runtime.config(&["sleep", "1000"]));
    let mut command = runtime.command(&["run", "-b", text(&bundle), "a"]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut run = command.spawn().unwrap();
    eventually("the start", || (runtime.status("a").as_deref() == Some("running")).then_some(()));
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(runtime.status("a").as_deref(), Some("running"));
    runtime.ok(&["delete", "--force", "a"]);
    assert_eq!(runtime.groups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn readiness_is_told_to_the_service_manager() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    if !conex_tests::installed("socat") && !conex_tests::installed("python3") {
        skip!("nothing here speaks to a datagram socket");
    }
    let path = runtime.scratch().join("manager");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    // busybox has nothing for datagram sockets, so this test speaks for the container, by the container's own view.
    let bundle =
        runtime.bundle("a", &runtime.config(&["sh", "-c", "echo $NOTIFY_SOCKET > /socket; sleep 1000"]));
    let mut command = runtime.command(&["run", "--detach", "-b", text(&bundle), "a"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut run = command.spawn().unwrap();
    let inside = || {
        let socket = std::fs::read_to_string(bundle.join("rootfs/socket")).ok()?;
        (!socket.is_empty()).then(|| socket.trim().to_owned())
    };
    let inside = eventually("the container's socket", inside);
    assert_eq!(inside, "/run/notify/notify.sock");
    let pid = runtime.state("a")["pid"].as_u64().unwrap();
    let socket = format!("/proc/{pid}/root{inside}");
    let container = std::os::unix::net::UnixDatagram::unbound().unwrap();
    container.send_to(b"STATUS=soon\n", &socket).unwrap();
    assert!(run.try_wait().unwrap().is_none(), "not ready yet");
    container.send_to(b"STATUS=now\nREADY=1\n", &socket).unwrap();
    let mut words = [0; 1024];
    let mut next = || {
        let length = manager.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..length]).into_owned()
    };
    assert_eq!(next(), "READY=1\n");
    assert_eq!(next(), format!("MAINPID={pid}\n"));
    // What comes along with the barrier is closed by not taking it.
    assert_eq!(next(), "BARRIER=1");
    assert!(run.wait().unwrap().success());
}
