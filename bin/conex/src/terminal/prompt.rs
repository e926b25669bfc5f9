//! Questions to whoever sits at the terminal; a secret is not shown while it is typed.

use std::io::{self, BufRead, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks for a line.
///
/// # Errors
/// When the terminal is gone, or was closed.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    write!(io::stdout(), "{question}")?;
    io::stdout().flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a line that is not echoed.
///
/// # Errors
/// As [`ask`], and when standard input is no terminal.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    let quiet = Quiet::enter()?;
    let line = ask(question);
    drop(quiet);
    // The newline that was typed was not echoed either.
    writeln!(io::stdout())?;
    line
}

/// Echo is off until this is dropped. Signals stay what they are: with Ctrl-C the shell puts the terminal right.
struct Quiet(Termios);

impl Quiet {
    fn enter() -> io::Result<Self> {
        let saved = tcgetattr(rustix::stdio::stdin())?;
        let mut quiet = saved.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(saved))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
    }
}
