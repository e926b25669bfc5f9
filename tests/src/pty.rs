//! A terminal: a pty whose other end is the controlling terminal of `conex`.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::wait::eventually;
use crate::{Conex, PATIENCE};

/// `conex` on a terminal of its own, 24 rows by 80 columns at first.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    child: Child,
    seen: String,
    /// How much of `seen` an expectation has consumed.
    consumed: usize,
}

impl Pty {
    pub(crate) fn spawn(conex: &Conex, arguments: &[&str]) -> Self {
        let mut words = vec![Conex::binary().into_os_string()];
        words.extend(arguments.iter().map(Into::into));
        Self::start(conex, &words)
    }

    /// A shell runs `script`, in which `$CONEX` is the program: it, not conex, then owns the terminal.
    pub(crate) fn shell(conex: &Conex, script: &str) -> Self {
        Self::start(conex, &["sh".into(), "-c".into(), script.into()])
    }

    fn start(conex: &Conex, words: &[OsString]) -> Self {
        let mut command = Self::leader();
        conex.prepare(&mut command).env("CONEX", Conex::binary()).args(words);
        Self::on(command)
    }

    /// What a command line for [`Pty::on`] begins with: setsid(1) makes it the controlling terminal, env(1) has the terminal's
    /// keys do what they do, which whoever started the tests may have ignored (`cmd &` of a shell without jobs), and both become
    /// the program.
    pub fn leader() -> Command {
        let mut command = Command::new("setsid");
        command.args(["--ctty", "env", "--default-signal=INT,QUIT"]);
        command
    }

    /// Starts `command`, which begins as [`Pty::leader`] does, on a new terminal.
    ///
    /// # Panics
    /// When there is no terminal to be had, or no setsid (util-linux).
    pub fn on(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave = rustix::fs::open(
            name.as_c_str(),
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .expect("the terminal's other end");
        let clone = || Stdio::from(slave.try_clone().expect("dup"));
        command.stdin(clone()).stdout(clone()).stderr(clone());
        let child = command.spawn().expect("setsid (util-linux)");
        let pty = Self { master, child, seen: String::new(), consumed: 0 };
        pty.resize(24, 80);
        pty
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let written = rustix::io::write(&self.master, rest).expect("a write to the terminal");
            rest = &rest[written..];
        }
    }

    /// Waits until `text` is shown; later expectations look behind it. Gives back what stood before it.
    ///
    /// # Panics
    /// When it is not shown in time, or the terminal closes first.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen[self.consumed..].find(text) {
                let before = self.seen[self.consumed..self.consumed + at].to_owned();
                self.consumed += at + text.len();
                return before;
            }
            assert!(Instant::now() < deadline, "{text:?} is not shown; the terminal shows:\n{}", self.seen);
            assert!(self.read(), "the terminal closed before {text:?}; it shows:\n{}", self.seen);
        }
    }

    /// Changes the size of the window.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a window size");
    }

    /// Whether the terminal is in raw mode: neither line editing nor echo.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.master).expect("tcgetattr").local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The process id of `conex`.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL to `conex`, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for the end; gives back the exit code (128+n for signal n) and all that was shown.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn finish(mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt;
        let status = eventually("the end of conex on its terminal", || {
            // Its last words would block it if nobody read them.
            while self.ready(0) && self.read() {}
            self.child.try_wait().expect("try_wait")
        });
        while self.ready(0) && self.read() {}
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        (code, std::mem::take(&mut self.seen))
    }

    fn ready(&self, milliseconds: i64) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        matches!(poll(&mut fds, Some(&timeout)), Ok(1..)) && fds[0].revents().contains(PollFlags::IN)
    }

    /// Reads what is there, waiting a moment for more; false at the end.
    fn read(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if !matches!(poll(&mut fds, Some(&timeout)), Ok(1..)) {
            return true;
        }
        let mut buffer = [0; 4096];
        match rustix::io::read(&self.master, &mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
                true
            }
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
