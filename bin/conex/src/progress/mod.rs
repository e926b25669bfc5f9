//! How a pull, a push or a load shows that it goes on: bars on a terminal, a few plain lines on a pipe, nothing with `-q`.
//!
//! Bars are drawn by the thread that reports, at most ten times a second; no thread of our own. For programs there are
//! lines of JSON, which are those of Docker's API.

mod bars;
mod json;

use std::borrow::Cow;

use conex_image::{Progress, Silent, State};
use conex_oci::Digest;
use conex_registry::Delivery;
use indicatif::{ProgressBar, ProgressDrawTarget};

use bars::Bars;
pub(crate) use json::{tell_error, tell_status};

use crate::{output, terminal};

/// How a pull tells what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Bars or lines, and words at the end.
    Words,
    /// A line a message, for programs.
    Json,
    /// Nothing but errors.
    Nothing,
}

/// What fits how a pull shall be shown.
pub(crate) fn of_pull(shown: Shown) -> Box<dyn Progress> {
    match shown {
        Shown::Words => start(false),
        Shown::Json => Box::new(json::Json::default()),
        Shown::Nothing => Box::new(Silent),
    }
}

/// What fits standard error.
pub(crate) fn start(quiet: bool) -> Box<dyn Progress> {
    match (quiet, terminal::errors_are_terminal()) {
        (true, _) => Box::new(Silent),
        (false, true) => Box::new(Bars::on(ProgressDrawTarget::stderr_with_hz(10))),
        (false, false) => Box::new(Lines),
    }
}

/// What fits standard output, where Docker says how a push goes.
pub(crate) fn of_push(quiet: bool) -> Box<dyn Progress> {
    match (quiet, terminal::output_is_terminal()) {
        (true, _) => Box::new(Silent),
        (false, true) => Box::new(Bars::on(ProgressDrawTarget::stdout_with_hz(10))),
        (false, false) => Box::new(Sent),
    }
}

/// A bar on standard error, if that is a terminal, for so many bytes that are read; nothing for none.
pub(crate) fn reading(bytes: u64) -> ProgressBar {
    match bytes > 0 && terminal::errors_are_terminal() {
        true => bars::reading(bytes, ProgressDrawTarget::stderr_with_hz(10)),
        false => ProgressBar::hidden(),
    }
}

/// On a pipe: how each blob of a push came there.
struct Sent;

impl Progress for Sent {
    fn layer(&self, _layer: &Digest, _state: State, _bytes: u64, _total: Option<u64>) {}

    fn delivered(&self, blob: &Digest, how: &Delivery) {
        // The push itself goes on when nobody reads this.
        let _ = output::line(format!("{}: {}", blob.short(), delivery(how)));
    }

    fn message(&self, text: &str) {
        output::note(text);
    }
}

/// Docker's words.
fn delivery(how: &Delivery) -> Cow<'static, str> {
    match how {
        Delivery::Exists => "Layer already exists".into(),
        Delivery::Mounted { from } => format!("Mounted from {from}").into(),
        Delivery::Pushed => "Pushed".into(),
    }
}

/// On a pipe: what is pulled, not how far it is.
struct Lines;

impl Progress for Lines {
    fn layer(&self, _layer: &Digest, _state: State, _bytes: u64, _total: Option<u64>) {}

    fn message(&self, text: &str) {
        output::note(text);
    }
}
