//! The terminal while the dashboard has it: raw, on its other screen, without a cursor; put back on every way out.
//!
//! Ways out: the end of [`Screen`] (an error, `q`), a panic (the hook leaves the other screen so that its message is
//! read), SIGTERM and SIGHUP (the loop asks [`Screen::asked_to_end`]), SIGKILL (the guardian of [`Raw`]).

use std::io::{self, Stdout, Write};
use std::sync::Once;

use conex_sys::signal::{SignalFd, unblock};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, execute};
use rustix::process::Signal;

use crate::terminal::Raw;

/// What would end this process with the terminal as it is, and a continue after a stop.
const SIGNALS: &[i32] = &[
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::CONT.as_raw(),
];

/// The terminal, taken until this is dropped.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
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
        let signals = SignalFd::new(SIGNALS)?;
        let raw = Raw::enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let screen = Self { terminal, signals, raw: Some(raw) };
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Whether a signal asks the program to end. After a stop and a continue all is set up and drawn anew.
    pub(super) fn asked_to_end(&mut self) -> io::Result<bool> {
        while let Some(signal) = self.signals.next()? {
            if signal != Signal::CONT.as_raw() {
                return Ok(true);
            }
            if let Some(raw) = &self.raw {
                raw.again();
            }
            execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
            self.draw_anew()?;
        }
        Ok(false)
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
        unblock(&[Signal::TERM.as_raw(), Signal::HUP.as_raw()]);
        let value = other();
        conex_sys::signal::block(SIGNALS)?;
        self.raw = Some(Raw::enter()?);
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
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
