//! The terminal while the dashboard has it: raw, on its other screen, without a cursor; put back on every way out.
//!
//! Ways out: the end of [`Screen`] (an error, `q`), a panic (the hook leaves the other screen so that its message is
//! read), SIGTERM, SIGHUP and a terminal that is gone (the loop waits by [`Screen::wait`]), SIGKILL (the guardian of [`Raw`]).

use std::io::{self, Stdout, Write};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::time::Duration;

use conex_sys::signal::{SignalFd, unblock};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, execute};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::termios::{QueueSelector, tcflush};

use crate::terminal::{Raw, TERMINAL};

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing in that time, or what has been seen to.
    Nothing,
    Keys,
    /// A signal asks the program to end, or the terminal is gone.
    End,
}

/// The terminal, taken until this is dropped.
pub(super) struct Screen {
    /// Its own drop shows the cursor, which [`leave`] does, and panics where neither terminal nor standard error is left.
    pub(super) terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    signals: SignalFd,
    raw: Option<Raw>,
}

impl Screen {
    /// Takes it. Forks: the caller has one thread.
    ///
    /// # Errors
    /// When standard input is no terminal, or the output cannot be written.
    pub(super) fn enter() -> io::Result<Self> {
        tell_panics_on_the_first_screen();
        let signals = SignalFd::new(TERMINAL)?;
        let raw = Raw::enter()?;
        let terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(io::stdout()))?);
        let screen = Self { terminal, signals, raw: Some(raw) };
        other_screen()?;
        Ok(screen)
    }

    /// Waits for keys or a signal, `time` at most. After a stop and a continue all is set up anew.
    ///
    /// Not left to crossterm: it takes the end of a terminal that is gone for keys to come, and reads it for ever.
    ///
    /// # Errors
    /// When poll(2) fails.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Came> {
        let stdin = rustix::stdio::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let time = time.try_into().map_err(io::Error::other)?;
        match poll(&mut fds, Some(&time)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Came::Nothing),
            Err(error) => return Err(error.into()),
        }
        let terminal = fds[0].revents();
        if terminal.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) || self.asked_to_end()? {
            return Ok(Came::End);
        }
        Ok(if terminal.contains(PollFlags::IN) { Came::Keys } else { Came::Nothing })
    }

    fn asked_to_end(&mut self) -> io::Result<bool> {
        while let Some(signal) = self.signals.next()? {
            if signal == Signal::CONT.as_raw() {
                if let Some(raw) = &self.raw {
                    raw.again();
                }
                other_screen()?;
            } else if signal != Signal::WINCH.as_raw() {
                return Ok(true);
            }
            // A terminal that is smaller and then as before has lost what stood on it, which its size does not tell.
            self.draw_anew()?;
        }
        Ok(false)
    }

    /// Forgets keys that have come.
    pub(super) fn drop_keys(&self) {
        // A terminal that is gone is noticed by the next wait.
        let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
    }

    /// Forgets what stands on the terminal: all of it is drawn the next time. `Terminal::clear` would ask where the cursor
    /// is, and wait for an answer.
    pub(super) fn draw_anew(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Lends the terminal, as it was found, to `other`; takes it back.
    ///
    /// # Errors
    /// When it cannot be taken back.
    pub(super) fn lend<T>(&mut self, other: impl FnOnce() -> T) -> io::Result<T> {
        self.raw = None;
        leave();
        // What `other` starts inherits the mask; Ctrl-C there is for it, and not for us.
        unblock(&[Signal::TERM.as_raw(), Signal::HUP.as_raw(), Signal::WINCH.as_raw()]);
        let value = other();
        conex_sys::signal::block(TERMINAL)?;
        self.raw = Some(Raw::enter()?);
        other_screen()?;
        self.draw_anew()?;
        Ok(value)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.raw.take().is_some() {
            leave();
        }
    }
}

fn other_screen() -> io::Result<()> {
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
}

/// Back to the first screen. A terminal that is gone does not mind.
fn leave() {
    let mut out = io::stdout();
    let _ = execute!(out, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
}

fn tell_panics_on_the_first_screen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            told(panic);
        }));
    });
}
