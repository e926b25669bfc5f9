//! Standard output, where a closed pipe is an ordinary end and not a crash.

use std::io::{self, Write};

use crate::errors::Error;

/// Prints a line.
///
/// # Errors
/// [`Error::Output`]
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(Error::Output)
}

/// Prints a text that has its newlines.
///
/// # Errors
/// [`Error::Output`]
pub(crate) fn text(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

/// Says something on standard error that is no error.
pub(crate) fn note(text: impl AsRef<str>) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}
