//! The terminal and the streams between it and a container.
//!
//! [`Raw`] is a terminal in raw mode and puts it back however the program ends; [`relay`] carries bytes, sizes and
//! signals between this process and a container. No threads, no async: one poll(2) loop.

mod guardian;
mod keys;
mod prompt;
mod raw;
mod relay;
mod signals;

use std::os::fd::BorrowedFd;

use rustix::termios::{isatty, tcgetwinsize};

pub(crate) use keys::{DetachKeys, KeysError};
pub(crate) use prompt::{ask, ask_secret};
pub(crate) use raw::Raw;
pub(crate) use relay::{Ended, Relay, RelayError};
pub(crate) use signals::{Signals, TERMINAL};

/// Rows and columns of the terminal, when there is one at standard output or input.
pub(crate) fn size() -> Option<(u16, u16)> {
    let outer: [BorrowedFd<'static>; 2] = [rustix::stdio::stdout(), rustix::stdio::stdin()];
    outer.into_iter().find_map(|fd| {
        let size = tcgetwinsize(fd).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    })
}

/// Whether somebody sits at standard input.
pub(crate) fn input_is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// Whether somebody reads standard error as it appears.
pub(crate) fn errors_are_terminal() -> bool {
    isatty(rustix::stdio::stderr())
}

/// Whether somebody reads standard output as it appears.
pub(crate) fn output_is_terminal() -> bool {
    isatty(rustix::stdio::stdout())
}
