//! Standard output, where a closed pipe is an ordinary end and not a crash.
//!
//! Labels, commands and names are written by whoever made an image: none of their control characters reaches a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::errors::Error;

/// Prints a line.
///
/// # Errors
/// [`Error::Output`]
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let text = harmless(text.as_ref(), out.is_terminal());
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(Error::Output)
}

/// Prints a text that has its newlines.
///
/// # Errors
/// [`Error::Output`]
pub(crate) fn text(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let text = harmless(text, out.is_terminal());
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

/// Draws a text over what is on the terminal: from its corner, each line to its end, and nothing below.
///
/// # Errors
/// [`Error::Output`]
pub(crate) fn screen(text: &str) -> Result<(), Error> {
    let text = harmless(text, true).replace('\n', "\x1b[K\n");
    let mut out = io::stdout().lock();
    write!(out, "\x1b[H{text}\x1b[J").and_then(|()| out.flush()).map_err(Error::Output)
}

/// Says something on standard error that is no error.
pub(crate) fn note(text: impl AsRef<str>) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{}", harmless(text.as_ref(), true));
}

/// Says, in one line, what could not be done; the rest went on.
pub(crate) fn warning(text: impl std::fmt::Display) {
    note(format!("WARNING: {}", crate::errors::one_line(&text.to_string())));
}

fn harmless(text: &str, terminal: bool) -> Cow<'_, str> {
    if terminal { visible(text, &['\n', '\t']) } else { Cow::Borrowed(text) }
}

/// Control characters as JSON escapes them, but for those in `kept`.
pub(crate) fn visible<'t>(text: &'t str, kept: &[char]) -> Cow<'t, str> {
    let hidden = |c: char| c.is_control() && !kept.contains(&c);
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn control_characters_are_told_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[2J\u{9b}\u{7f}\n\tü…", &['\n', '\t']), "a\\u001b[2J\\u009b\\u007f\n\tü…");
        assert_eq!(visible("a\tb\n", &[]), "a\\u0009b\\u000a");
    }
}
