//! `ui` on a real terminal: tmux shows what stands on it, and types.

use std::process::Command;
use std::time::Duration;

use conex_tests::{Conex, eventually, installed, needs_root, skip};

/// A root with Alpine in it, where there is tmux.
macro_rules! alpine {
    () => {{
        needs_root!();
        if !installed("tmux") {
            skip!("tmux is not installed");
        }
        let conex = Conex::new();
        let Some(alpine) = conex.alpine() else { skip!("no alpine image") };
        (conex, alpine)
    }};
}

/// A tmux server of its own, with one terminal.
struct Tmux<'c> {
    conex: &'c Conex,
}

impl<'c> Tmux<'c> {
    /// Starts a shell of `width` by `height`; `$CONEX` is the program.
    fn new(conex: &'c Conex, width: u16, height: u16) -> Self {
        let tmux = Self { conex };
        let size = [width.to_string(), height.to_string()];
        let session = ["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1]];
        tmux.ok(&[&session[..], &["env", "PS1=shell> ", "sh"]].concat());
        tmux.expect("shell>");
        tmux
    }

    fn ok(&self, words: &[&str]) -> String {
        // The environment of one that Conex is started with, for what is started on the terminal.
        let conex = self.conex.command(&[]);
        let mut command = Command::new("tmux");
        command.env_clear();
        for (name, value) in conex.get_envs() {
            command.env(name, value.expect("a value"));
        }
        command.env("CONEX", Conex::binary()).env("LC_ALL", "C.UTF-8").env_remove("TMUX").arg("-u");
        let socket = self.conex.scratch().join("tmux");
        let output = command.arg("-S").arg(socket).args(words).output().expect("tmux");
        assert!(output.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn types(&self, keys: &[&str]) {
        self.ok(&[&["send-keys"], keys].concat());
    }

    fn shown(&self) -> String {
        self.ok(&["capture-pane", "-p"])
    }

    /// What is shown once `text` is.
    #[track_caller]
    fn expect(&self, text: &str) -> String {
        self.until(text, |shown| shown.contains(text))
    }

    #[track_caller]
    fn until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let last = std::cell::RefCell::new(String::new());
        let told = Told(&last);
        let shown = eventually(what, || {
            let shown = self.shown();
            last.replace(shown.clone());
            condition(&shown).then_some(shown)
        });
        std::mem::forget(told);
        shown
    }

    /// The line of the screen that has `text` in it.
    fn line(shown: &str, text: &str) -> String {
        shown.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
    }

    fn starts_ui(&self) {
        self.types(&["clear; $CONEX ui; echo left:$?:$(stty -a | grep -c ' echo ')", "Enter"]);
        self.expect("Containers");
    }

    /// The pid of the program: the child of the shell on the terminal.
    fn ui(&self) -> String {
        let shell = self.ok(&["display-message", "-p", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let children = std::fs::read_to_string(children).expect("the shell's children");
        children.split_whitespace().next().expect("a child").to_owned()
    }

    /// The program has ended well, the first screen is back, and what is typed is echoed.
    #[track_caller]
    fn has_left(&self) {
        let shown = self.expect("left:0:1");
        assert!(!shown.contains("Containers"), "{shown}");
        // tmux: the screen that programs have to themselves, and the cursor.
        assert_eq!(self.ok(&["display-message", "-p", "#{alternate_on}#{cursor_flag}"]).trim(), "01");
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let socket = self.conex.scratch().join("tmux");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

/// Prints the last screen when a wait was in vain.
struct Told<'s>(&'s std::cell::RefCell<String>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        println!("the screen:\n{}", self.0.borrow());
    }
}

#[test]
fn containers_are_shown_and_acted_upon() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--init", "--name", "web", "--memory", "64m", alpine, "sleep", "1000"]);
    conex.ok(&["create", "--name", "idle", alpine, "true"]);
    let tmux = Tmux::new(&conex, 120, 40);
    tmux.starts_ui();
    let shown = tmux.until("the memory of web", |shown| shown.contains(" / 64MiB"));
    let row = Tmux::line(&shown, "web");
    assert!(row.contains("Up ") && row.contains("alpine:3.20") && row.contains('%'), "{shown}");
    assert!(Tmux::line(&shown, "idle").contains("Created"), "{shown}");
    assert!(shown.contains(" Containers 2 ") && shown.contains(" Images 1 "), "{shown}");
    // The graphs are of the one below the cursor.
    tmux.types(&["Down"]);
    let graphs = |shown: &str| Tmux::line(shown, "Memory").contains("iB") && shown.contains("Waits");
    tmux.until("graphs", graphs);

    // The outcome of each before the next: it would be said over that one's.
    tmux.types(&["p"]);
    tmux.expect("pause web: done");
    tmux.until("a pause", |shown| Tmux::line(shown, "web  ").contains("(Paused)"));
    assert_eq!(conex.inspect("web")["State"]["Status"], "paused");
    tmux.types(&["p"]);
    tmux.expect("unpause web: done");
    tmux.types(&["o"]);
    tmux.expect("stop web: done");
    tmux.until("a stop", |shown| Tmux::line(shown, "web  ").contains("Exited"));
    assert_eq!(conex.inspect("web")["State"]["Status"], "exited");
    tmux.types(&["t"]);
    tmux.expect("start web: done");
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    tmux.types(&["k"]);
    tmux.expect("kill web: done");
    tmux.until("a kill", |shown| Tmux::line(shown, "web  ").contains("Exited (137)"));
    // A verb that fails says why.
    tmux.types(&["p"]);
    let shown = tmux.expect("pause web: conex: ");
    assert!(!shown.contains("panicked"), "{shown}");

    tmux.types(&["d"]);
    tmux.expect("remove web? (y/n)");
    tmux.types(&["n"]);
    tmux.expect("nothing removed");
    tmux.types(&["d", "y"]);
    tmux.expect(" Containers 1 ");
    assert_eq!(conex.ok(&["ps", "-a", "--format", "{{.Names}}"]).trim(), "idle");

    tmux.types(&["i"]);
    tmux.expect("\"AppArmorProfile\"");
    tmux.types(&["End"]);
    tmux.expect("\"Status\": \"created\"");
    tmux.types(&["q"]);
    tmux.types(&["Tab"]);
    let shown = tmux.expect("REPOSITORY");
    assert!(Tmux::line(&shown, "3.20").contains("alpine"), "{shown}");
    tmux.types(&["Tab", "/", "nothing", "Enter"]);
    tmux.until("nothing", |shown| shown.contains("filter: nothing") && !shown.contains("idle"));
    tmux.types(&["q"]);
    tmux.has_left();
}

#[test]
fn logs_follow_and_obey_nobody() {
    let (conex, alpine) = alpine!();
    // Clears the screen, writes into its corner and its title, turns text round.
    let script = r"printf 'first\n\033[2J\033[1;1HPWNED\033]0;title\a\n'; printf 'a\342\200\256b\n';
        while [ ! -e /go ]; do sleep 0.1; done; echo later; sleep 1000";
    conex.ok(&["run", "-d", "--init", "--name", "hostile", alpine, "sh", "-c", script]);
    let tmux = Tmux::new(&conex, 100, 24);
    tmux.starts_ui();
    tmux.expect("hostile");
    tmux.types(&["l"]);
    let shown = tmux.expect("PWNED");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("logs hostile") && lines[0].contains("following"), "{shown}");
    assert_eq!(lines[1], "first", "{shown}");
    assert_eq!(lines[2], r"\u001b[2J\u001b[1;1HPWNED\u001b]0;title\u0007", "{shown}");
    assert_eq!(lines[3], "a\u{fffd}b", "{shown}");
    conex.ok(&["exec", "hostile", "touch", "/go"]);
    tmux.expect("later");
    tmux.types(&["q"]);
    tmux.expect("Containers");
    tmux.types(&["q"]);
    tmux.has_left();
}

#[test]
fn a_shell_has_the_terminal_and_gives_it_back() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--init", "--name", "web", alpine, "sleep", "1000"]);
    let tmux = Tmux::new(&conex, 100, 24);
    tmux.starts_ui();
    tmux.expect("web");
    tmux.types(&["e"]);
    tmux.expect("/ #");
    // Busybox asks for the cursor's place at each prompt, and drops keys that come with the answer: typed again then.
    let types_until = |text: &str, answer: &str| {
        tmux.until(answer, |shown| {
            let answered = shown.lines().any(|line| line == answer);
            if !answered {
                tmux.types(&[text, "Enter"]);
                std::thread::sleep(Duration::from_millis(300));
            }
            answered
        });
    };
    types_until("echo $((40+2))", "42");
    types_until("stty size", "24 100");
    // Ctrl-C is for the shell, and does not end what waits behind it.
    types_until("echo a; sleep 2; echo b", "a");
    tmux.types(&["C-c"]);
    types_until("echo $((50+2))", "52");
    tmux.until("the end of the shell", |shown| {
        let back = shown.contains(" Containers 1 ");
        if !back {
            tmux.types(&["C-d"]);
        }
        back
    });
    tmux.until("the dashboard", |shown| shown.contains(" Containers 1 ") && shown.contains("exec: exit"));
    tmux.types(&["q"]);
    tmux.has_left();
}

#[test]
fn signals_and_small_terminals() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--init", "--name", "web", alpine, "sleep", "1000"]);
    let tmux = Tmux::new(&conex, 40, 10);
    for signal in ["TERM", "HUP"] {
        tmux.starts_ui();
        tmux.expect("web");
        tmux.types(&["?"]);
        tmux.expect("Keys");
        tmux.ok(&["resize-window", "-x", "12", "-y", "3"]);
        tmux.ok(&["resize-window", "-x", "40", "-y", "10"]);
        tmux.expect("Keys");
        let pid = tmux.ui();
        let status = Command::new("kill").args([&format!("-{signal}"), &pid]).status().expect("kill");
        assert!(status.success());
        tmux.has_left();
        tmux.types(&["clear", "Enter"]);
        tmux.until("a clear screen", |shown| !shown.contains("left:"));
    }
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
}

#[test]
fn it_ends_with_its_terminal() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "idle", alpine, "true"]);
    let status = conex.scratch().join("status");
    // A shell without job control outlives the terminal, and tells how the dashboard ended.
    let tmux = Tmux::new(&conex, 80, 24);
    tmux.types(&[&format!("sh -c 'trap : HUP; clear; $CONEX ui; echo $? >{}'", status.display()), "Enter"]);
    tmux.expect("idle");
    tmux.types(&["?"]);
    tmux.expect("Keys");
    drop(tmux);
    let status = eventually("the end of the dashboard", || {
        std::fs::read_to_string(&status).ok().filter(|status| status.ends_with('\n'))
    });
    assert_eq!(status, "0\n");
}

#[test]
fn a_long_paste_is_not_taken_for_keys_later() {
    let (conex, alpine) = alpine!();
    conex.ok(&["create", "--name", "idle", alpine, "true"]);
    let tmux = Tmux::new(&conex, 80, 24);
    tmux.starts_ui();
    tmux.expect("idle");
    // `x` is no key of the dashboard's.
    tmux.ok(&["set-buffer", &"x".repeat(3000)]);
    tmux.ok(&["paste-buffer"]);
    // What is typed while that is dropped is dropped with it.
    std::thread::sleep(Duration::from_secs(1));
    tmux.types(&["/", "idle", "Enter"]);
    tmux.expect("filter: idle");
    tmux.types(&["q"]);
    tmux.has_left();
}

#[test]
fn without_a_terminal_it_says_so() {
    needs_root!();
    let conex = Conex::new();
    for words in [&["ui"][..], &["top", "--all"]] {
        let error = conex.fails(1, words);
        assert!(error.contains("needs a terminal") && error.lines().count() == 1, "{error}");
    }
    assert!(conex.fails(1, &["top"]).contains("requires at least 1 argument"));
    let error = conex.fails(125, &["top", "--all", "web"]);
    assert!(error.contains("leave \"web\" out"), "{error}");
}
