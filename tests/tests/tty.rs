//! A container's terminal through a real one: size, keys, job control, detaching, and raw mode that never stays.

use conex_tests::{alpine, eventually};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";
const DETACH: &str = "\x10\x11";

/// A root with Alpine in it.
#[test]
fn a_shell_knows_its_terminal_and_gives_its_exit_code() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty(&["run", "-it", "--rm", alpine, "sh"]);
    pty.expect("# ");
    assert!(pty.is_raw());
    pty.send("tty; echo $((40+2))\r");
    pty.expect("/dev/pts/0");
    pty.expect("42");
    pty.send("exit 7\r");
    let (code, shown) = pty.finish();
    assert_eq!(code, 7, "{shown}");
}

#[test]
fn the_size_is_there_at_the_start_and_follows() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty(&["run", "-it", "--rm", alpine, "sh"]);
    pty.expect("# ");
    pty.send("stty size\r");
    pty.expect("24 80");
    pty.expect("# ");
    pty.resize(50, 132);
    // The signal goes its way through two processes: ask until it has arrived.
    eventually("the new size", || {
        pty.send("stty size\r");
        pty.expect("stty size");
        pty.expect("# ").contains("50 132").then_some(())
    });
    pty.send("exit\r");
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn a_window_change_reaches_the_program_as_a_signal() {
    let (conex, alpine) = alpine!();
    let script = "trap 'echo changed' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut pty = conex.pty(&["run", "-it", "--rm", alpine, "sh", "-c", script]);
    pty.expect("ready");
    pty.resize(30, 90);
    pty.expect("changed");
    pty.send(DETACH);
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn ctrl_c_and_job_control_are_the_containers() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty(&["run", "-it", "--rm", "--name", "box", alpine, "sh"]);
    // A key typed before the program runs is the shell's.
    let runs = |what: &str| {
        eventually("the program", || conex.run(&["top", "box"]).stdout.contains(what).then_some(()));
    };
    pty.expect("# ");
    pty.send("sleep 1000\r");
    runs("sleep 1000");
    pty.send(CTRL_C);
    pty.expect("# ");
    pty.send("echo status=$?\r");
    pty.expect("status=130");
    pty.expect("# ");
    pty.send("sleep 2000\r");
    runs("sleep 2000");
    pty.send(CTRL_Z);
    pty.expect("Stopped");
    pty.send("bg; jobs\r");
    pty.expect("Running");
    pty.expect("# ");
    pty.send("fg\r");
    pty.expect("sleep 2000");
    pty.send(CTRL_C);
    pty.expect("# ");
    pty.send("exit 3\r");
    assert_eq!(pty.finish().0, 3);
}

#[test]
fn an_end_of_file_ends_a_program_that_reads() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty(&["run", "-it", "--rm", alpine, "cat"]);
    pty.send("hello\r");
    pty.expect("hello\r\nhello\r\n");
    pty.send(CTRL_D);
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn the_detach_keys_leave_it_running_and_attach_comes_back() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty(&["run", "-it", "--name", "box", alpine, "sh"]);
    pty.expect("# ");
    pty.send("x=kept\r");
    pty.expect("# ");
    pty.send(DETACH);
    assert_eq!(pty.finish().0, 0);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Status}}", "box"]), "running\n");

    let mut pty = conex.pty(&["attach", "box"]);
    pty.send("echo [$x]\r");
    pty.expect("[kept]");
    // The first key alone goes through: Ctrl-P is the shell's "line before".
    pty.send("\x10");
    pty.send("\r");
    pty.expect("[kept]");
    pty.send(DETACH);
    let (code, shown) = pty.finish();
    assert!(code == 1 && shown.contains("read escape sequence"), "{code} {shown}");

    let mut pty = conex.pty(&["attach", "--detach-keys", "ctrl-x,q", "box"]);
    pty.send("echo again\r");
    pty.expect("again\r\n");
    pty.send("\x18q");
    assert_eq!(pty.finish().0, 1);

    let pty = conex.pty(&["attach", "box"]);
    pty.send("exit 5\r");
    assert_eq!(pty.finish().0, 5);
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.ExitCode}}", "box"]), "5\n");
}

#[test]
fn exec_has_a_terminal_too() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "box", alpine, "sleep", "1000"]);
    let mut pty = conex.pty(&["exec", "-it", "box", "sh"]);
    pty.expect("# ");
    pty.send("stty size; tty\r");
    pty.expect("24 80");
    pty.expect("/dev/pts/");
    pty.expect("# ");
    pty.resize(40, 100);
    eventually("the new size", || {
        pty.send("stty size\r");
        pty.expect("stty size");
        pty.expect("# ").contains("40 100").then_some(())
    });
    pty.send("exit 9\r");
    assert_eq!(pty.finish().0, 9);
    let mut pty = conex.pty(&["exec", "-it", "box", "cat"]);
    pty.send("a\r");
    pty.expect("a\r\na\r\n");
    pty.send(DETACH);
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn start_with_a_terminal() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "-it", "--name", "box", alpine, "sh"]);
    let mut pty = conex.pty(&["start", "-ai", "box"]);
    pty.send("echo in $((1+1))\r");
    pty.expect("in 2");
    pty.send("exit 4\r");
    assert_eq!(pty.finish().0, 4);
}

#[test]
fn raw_mode_is_left_at_the_end_and_after_signals() {
    let (conex, alpine) = alpine!();
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        // The shell keeps the terminal open, so that its modes can be looked at afterwards.
        let script = format!("\"$CONEX\" run -it --rm {alpine} sh; echo code=$?; read line");
        let mut pty = conex.pty_shell(&script);
        assert!(!pty.is_raw());
        pty.expect("# ");
        assert!(pty.is_raw());
        kill(client(pty.id()), signal);
        pty.expect(&format!("code={code}"));
        assert!(!pty.is_raw(), "raw after {signal}");
        pty.send("\r");
        assert_eq!(pty.finish().0, 0);
    }
    let mut pty = conex.pty_shell(&format!("\"$CONEX\" run -it --rm {alpine} true; echo code=$?; read line"));
    pty.expect("code=0");
    assert!(!pty.is_raw());
    pty.send("\r");
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn raw_mode_is_left_after_sigkill_and_the_container_lives() {
    let (conex, alpine) = alpine!();
    let script = format!("\"$CONEX\" run -it --name box {alpine} sh; echo code=$?; read line");
    let mut pty = conex.pty_shell(&script);
    pty.expect("# ");
    assert!(pty.is_raw());
    kill(client(pty.id()), "KILL");
    pty.expect("code=137");
    eventually("the end of raw mode", || (!pty.is_raw()).then_some(()));
    assert_eq!(conex.ok(&["inspect", "-f", "{{.State.Running}}", "box"]), "true\n");
    pty.send("\r");
    assert_eq!(pty.finish().0, 0);
}

/// As an init does that closes its console and opens it for each program.
#[test]
fn a_terminal_that_was_closed_is_opened_again() {
    let (conex, alpine) = alpine!();
    let script = "echo one; exec 0<&- 1>&- 2>&-; sleep 0.3; exec 1>/dev/console 2>&1; seq 5000; echo two";
    conex.ok(&["run", "-d", "-t", "--name", "box", alpine, "sh", "-c", script]);
    assert_eq!(conex.ok(&["wait", "box"]), "0\n");
    let log = conex.ok(&["logs", "box"]);
    assert!(log.starts_with("one\r\n1\r\n") && log.ends_with("\r\n5000\r\ntwo\r\n"), "{log}");
}

#[test]
fn a_stop_from_outside_and_a_continue() {
    let (conex, alpine) = alpine!();
    let mut pty = conex.pty_shell(&format!("\"$CONEX\" run -it --rm {alpine} sh; echo code=$?"));
    pty.expect("# ");
    let client = client(pty.id());
    kill(client, "STOP");
    kill(client, "CONT");
    pty.send("echo still $((1+2))\r");
    pty.expect("still 3");
    assert!(pty.is_raw());
    pty.send("exit\r");
    pty.expect("code=0");
}

#[test]
fn a_terminal_without_input_passes_signals_on() {
    let (conex, alpine) = alpine!();
    let script = "trap 'echo got it; exit 6' INT; echo ready; while :; do sleep 0.05; done";
    let mut pty = conex.pty(&["run", "-t", "--rm", alpine, "sh", "-c", script]);
    pty.expect("ready");
    assert!(!pty.is_raw());
    pty.send(CTRL_C);
    pty.expect("got it");
    assert_eq!(pty.finish().0, 6);
}

#[test]
fn without_a_terminal_outside_minus_t_is_refused() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "-it", "--name", "box", alpine, "sh"]);
    for words in
        [&["run", "--rm", "-it", alpine, "true"][..], &["exec", "-it", "box", "true"], &["attach", "box"]]
    {
        let error = conex.fails(1, words);
        assert!(error.contains("the input device is not a TTY") && error.lines().count() == 1, "{error}");
    }
    // Nothing was made.
    assert_eq!(conex.ok(&["ps", "-aq"]).lines().count(), 1);
    // Output alone may go anywhere.
    assert_eq!(conex.ok(&["run", "--rm", "-t", alpine, "echo", "hi"]), "hi\r\n");
}

#[test]
fn much_output_arrives_whole() {
    let (conex, alpine) = alpine!();
    let mut pty =
        conex.pty(&["run", "-it", "--rm", alpine, "awk", "BEGIN { while (i < 5000) print \"line\", ++i }"]);
    for number in [1, 2500, 5000] {
        pty.expect(&format!("line {number}\r\n"));
    }
    assert_eq!(pty.finish().0, 0);
}

/// The conex that the shell `parent` runs.
fn client(parent: u32) -> u32 {
    eventually("the shell's child", || {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

fn kill(pid: u32, signal: &str) {
    let output =
        conex_tests::finish(std::process::Command::new("kill").args(["-s", signal, &pid.to_string()]));
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// Two people at one container: both see all of it, both type, and one who leaves takes nothing along.
#[test]
fn several_clients_at_once() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-dit", "--name", "box", alpine, "sh"]);
    let mut first = conex.pty(&["attach", "box"]);
    let mut second = conex.pty(&["attach", "--detach-keys", "ctrl-x", "box"]);
    let mut third = conex.pty(&["attach", "--no-stdin", "box"]);
    first.send("echo one$((1+1))\r");
    first.expect("one2");
    // What comes next is for whoever has come by now.
    eventually("the clients", || {
        let words = ["events", "--no-stream", "-f", "event=attach", "--format", "{{.Action}}"];
        (conex.ok(&words).lines().count() == 3).then_some(())
    });
    second.send("echo two$((1+2))\r");
    for client in [&mut first, &mut second, &mut third] {
        client.expect("two3");
    }
    second.send("\x18");
    let (code, shown) = second.finish();
    assert!(code == 1 && shown.contains("read escape sequence"), "{code} {shown}");
    first.send("echo three$((1+3)); exit 6\r");
    for mut client in [first, third] {
        client.expect("three4");
        let (code, shown) = client.finish();
        assert_eq!(code, 6, "{shown}");
    }
    let events = conex.ok(&[
        "events",
        "--no-stream",
        "-f",
        "event=attach",
        "-f",
        "event=detach",
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(events, "attach\nattach\nattach\ndetach\n");
}
