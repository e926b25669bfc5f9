//! `--sdnotify`: what a service manager is told of a container, by its supervisor and by the container through it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use conex_tests::{Conex, Output, alpine, eventually, skip};
use serde_json::Value;

/// A socket such as a service manager's.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(conex: &Conex) -> Self {
        let path = conex.scratch().join("manager");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, path }
    }

    /// Runs a command as one of its services.
    fn run(&self, conex: &Conex, arguments: &[&str]) -> Output {
        let mut command = conex.command(arguments);
        command.env("NOTIFY_SOCKET", &self.path);
        conex_tests::finish(&mut command)
    }

    fn ok(&self, conex: &Conex, arguments: &[&str]) {
        let output = self.run(conex, arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
    }

    /// The next message.
    fn heard(&self) -> String {
        let mut buffer = [0; 200_000];
        let count = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    fn silent(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let silent = self.socket.recv(&mut [0; 1]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        silent
    }
}

fn supervisor(conex: &Conex) -> u64 {
    let state: Value = serde_json::from_slice(&std::fs::read(conex.state_file("web")).unwrap()).unwrap();
    state["supervisor"].as_u64().unwrap()
}

/// Flags that put the program that speaks into the container.
fn sender() -> String {
    format!("{}:/say:ro", env!("CARGO_BIN_EXE_notify-sender"))
}

#[test]
fn the_supervisor_says_that_it_runs() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    let words = [
        "run",
        "-d",
        "--name",
        "web",
        "--sdnotify",
        "conmon",
        alpine,
        "sh",
        "-c",
        "echo [$NOTIFY_SOCKET]; sleep 1000",
    ];
    manager.ok(&conex, &words);
    let expected = format!("MAINPID={}\nREADY=1", supervisor(&conex));
    assert_eq!(manager.heard(), expected);
    assert!(manager.silent());
    eventually("output", || (conex.ok(&["logs", "web"]) == "[]\n").then_some(()));
    assert_eq!(conex.inspect("web")["Config"]["sdNotifyMode"], "conmon");
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_probe_says_that_it_works() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    let flags =
        ["--sdnotify=healthy", "--health-cmd=[ -e /up ]", "--health-interval=100ms", "--health-retries=1"];
    manager.ok(&conex, &[&["run", "-d", "--name", "web"], &flags[..], &[alpine, "sleep", "1000"]].concat());
    let main = format!("MAINPID={}", supervisor(&conex));
    assert_eq!(manager.heard(), main);
    eventually("unhealthy", || {
        (conex.inspect("web")["State"]["Health"]["Status"] == "unhealthy").then_some(())
    });
    assert!(manager.silent());
    conex.ok(&["exec", "web", "touch", "/up"]);
    assert_eq!(manager.heard(), format!("{main}\nREADY=1"));
    conex.ok(&["rm", "-f", "web"]);
    let error = conex.fails(125, &["create", "--sdnotify", "healthy", alpine]);
    assert!(error.contains("needs a health check"), "{error}");
}

#[test]
fn the_container_says_so_itself() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    // By a user that is not root, on a file system that is read only.
    let words = [
        "run",
        "-d",
        "--name",
        "web",
        "--read-only",
        "-u",
        "1234",
        "-v",
        &sender(),
        alpine,
        "/say",
        "environment",
        "send",
        "STATUS=warming up",
        "send",
        "READY=1\\nMAINPID=1\\nSTATUS=up",
        "send",
        "WATCHDOG=1",
        "send",
        "STOPPING=1",
    ];
    manager.ok(&conex, &words);
    let main = format!("MAINPID={}", supervisor(&conex));
    let expected = [
        main.clone(),
        "STATUS=warming up".to_owned(),
        format!("{main}\nREADY=1\nSTATUS=up"),
        "WATCHDOG=1".to_owned(),
        "STOPPING=1".to_owned(),
    ];
    for text in expected {
        assert_eq!(manager.heard(), text);
    }
    assert!(conex.ok(&["logs", "web"]).contains("/run/notify/notify.sock"));
    // The socket is as long as the container.
    conex.ok(&["kill", "web"]);
    let runs = conex.run_root().join("containers");
    eventually("nothing left", || (std::fs::read_dir(&runs).unwrap().count() == 0).then_some(()));
    // Started by a person there is nobody to tell.
    conex.ok(&["start", "web"]);
    eventually("output", || conex.ok(&["logs", "web"]).contains("Err(NotPresent)").then_some(()));
    assert!(manager.silent());
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn what_is_hostile_is_not_passed_on() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    let words = [
        "run",
        "-d",
        "--name",
        "web",
        "-v",
        &sender(),
        alpine,
        "/say",
        "send",
        "MAINPID=1",
        "send",
        "FDSTORE=1",
        "long",
        "descriptors",
        "300",
        "send",
        "BUSERROR=x\\nNOTIFYACCESS=all",
        "send",
        "STATUS=end",
    ];
    manager.ok(&conex, &words);
    let supervisor = supervisor(&conex);
    let open = || std::fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    assert_eq!(manager.heard(), format!("MAINPID={supervisor}"));
    assert_eq!(manager.heard(), "STATUS=end");
    assert!(manager.silent());
    assert!(open() < 20, "{}", open());
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_flood_waits() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    // Somebody has to listen: a manager's queue is short here.
    let begun = Instant::now();
    manager.ok(&conex, &["run", "-d", "--name", "web", "-v", &sender(), alpine, "/say", "flood", "120"]);
    manager.heard();
    for number in 0..120 {
        assert_eq!(manager.heard(), format!("STATUS={number}"));
    }
    // 50 at once, and one each 50 ms.
    assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
    // Meanwhile, and after it, the supervisor does its work.
    conex.ok(&["rm", "-f", "web"]);
}

#[test]
fn nobody_is_told() {
    let (conex, alpine) = alpine!();
    let manager = Manager::new(&conex);
    let script = "echo [$NOTIFY_SOCKET]; sleep 1000";
    manager.ok(&conex, &["run", "-d", "--name", "web", "--sdnotify", "ignore", alpine, "sh", "-c", script]);
    eventually("output", || (conex.ok(&["logs", "web"]) == "[]\n").then_some(()));
    assert!(manager.silent());
    conex.ok(&["rm", "-f", "web"]);
    // `start` may say otherwise.
    conex.ok(&["create", "--name", "web", alpine, "sleep", "1000"]);
    manager.ok(&conex, &["start", "--sdnotify", "conmon", "web"]);
    assert!(manager.heard().ends_with("READY=1"));
    conex.ok(&["rm", "-f", "web"]);
    let error = conex.fails(125, &["create", "--sdnotify", "maybe", alpine]);
    assert!(error.contains("maybe"), "{error}");
}

#[test]
fn a_manager_that_is_not_there_is_an_error() {
    let (conex, alpine) = alpine!();
    let mut command = conex.command(&["run", "--rm", "--sdnotify=conmon", alpine, "true"]);
    command.env("NOTIFY_SOCKET", "vsock:2:1");
    let output = conex_tests::finish(&mut command);
    assert_eq!(output.code, 125, "{}", output.stderr);
    assert!(output.stderr.contains("NOTIFY_SOCKET=vsock:2:1"), "{}", output.stderr);
}

#[test]
fn the_supervisors_end_tells_how_it_went() {
    let (conex, alpine) = alpine!();
    // Who waits for orphans sees what a service manager sees.
    let script = conex.scratch().join("subreaper");
    std::fs::write(&script, SUBREAPER).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    if std::process::Command::new("python3").arg("-c").arg("").status().is_err() {
        skip!("no python3 to be a subreaper");
    }
    let ends_with = |words: &[&str], deed: &str| -> String {
        let plain = conex.command(words);
        let mut command = std::process::Command::new("python3");
        command.arg(&script).arg(deed).arg(plain.get_program()).args(plain.get_args());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = conex_tests::finish(&mut command);
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(ends_with(&["run", "-d", "--rm", alpine, "sh", "-c", "exit 7"], ""), "7");
    assert_eq!(ends_with(&["run", "-d", "--rm", alpine, "true"], ""), "0");
    // Asked to end, it has done what it was asked: whatever the program made of the signal.
    let trap = "trap 'exit 9' TERM; echo; while :; do sleep 0.1; done";
    assert_eq!(ends_with(&["run", "-d", "--rm", alpine, "sh", "-c", trap], "TERM"), "0");
}

/// Runs a command, signals the orphan that it leaves if so told, and prints the orphan's status.
const SUBREAPER: &str = r#"
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
child = os.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status = os.waitpid(child, 0)
assert status == 0, status
if sys.argv[1]:
    time.sleep(0.5)
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    orphans = [pid for pid in children if open(f"/proc/{pid}/comm").read().startswith("conex-supervis")]
    os.kill(int(orphans[0]), getattr(signal, "SIG" + sys.argv[1]))
while True:
    pid, status = os.wait()
    if os.WIFEXITED(status):
        print(os.waitstatus_to_exitcode(status))
        break
"#;

#[test]
fn descriptors_are_passed_to_the_program() {
    let (conex, alpine) = alpine!();
    let plain =
        conex.command(&["run", "--rm", "-d", "--name", "web", "-v", &sender(), alpine, "/say", "listen"]);
    // As systemd does it: the socket is 3, and the process has the number that is told.
    let listener = conex.scratch().join("listener");
    let script = format!(
        "import os, socket, sys\ns = socket.socket(socket.AF_UNIX); s.bind('{}'); s.listen()\nos.dup2(s.fileno(), 3); s.fileno() == 3 or s.close()\nos.set_inheritable(3, True)\nos.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='web')\nos.execv(sys.argv[1], sys.argv[1:])",
        listener.display()
    );
    let mut command = std::process::Command::new("python3");
    command.arg("-c").arg(script).arg(plain.get_program()).args(plain.get_args());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if std::process::Command::new("python3").arg("-c").arg("").status().is_err() {
        skip!("no python3 to pass a socket");
    }
    let output = conex_tests::finish(&mut command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let said =
        eventually("output", || Some(conex.ok(&["logs", "web"])).filter(|said| said.ends_with("done\n")));
    assert_eq!(said, "1 1 web 1 false socket\ndone\n");
    conex.ok(&["rm", "-f", "web"]);
}
