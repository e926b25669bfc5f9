//! How a pull, a push or a load shows that it goes on: bars on a terminal, a few plain lines on a pipe, nothing with `-q`.
//!
//! Bars are drawn by the thread that reports, at most ten times a second; no thread of our own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;

use conex_image::{Progress, Silent, State};
use conex_oci::Digest;
use conex_registry::Delivery;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{output, terminal};

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

/// On a terminal: a bar a layer.
struct Bars {
    all: MultiProgress,
    layers: Mutex<HashMap<Digest, (State, ProgressBar)>>,
}

impl Bars {
    fn on(target: ProgressDrawTarget) -> Self {
        Self { all: MultiProgress::with_draw_target(target), layers: Mutex::default() }
    }
}

fn style(state: State, total: Option<u64>) -> ProgressStyle {
    let template = match (state, total) {
        (State::Done | State::Exists, _) => "{prefix}: {msg}",
        (_, Some(total)) if total > 0 => "{prefix}: {msg:12} [{bar:40}] {bytes}/{total_bytes}",
        _ => "{prefix}: {msg:12} {bytes}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn word(state: State) -> &'static str {
    match state {
        State::Downloading => "Downloading",
        State::Loading => "Loading",
        State::Unpacking => "Extracting",
        State::Done => "Pull complete",
        State::Exists => "Already exists",
        State::Waiting => "Preparing",
        State::Pushing => "Pushing",
    }
}

impl Progress for Bars {
    fn layer(&self, layer: &Digest, state: State, bytes: u64, total: Option<u64>) {
        let Ok(mut layers) = self.layers.lock() else { return };
        let (shown, bar) = layers.entry(*layer).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(total.unwrap_or(0)));
            bar.set_prefix(layer.hex().chars().take(12).collect::<String>());
            bar.set_style(style(state, total));
            bar.set_message(word(state));
            (state, bar)
        });
        if *shown != state {
            *shown = state;
            bar.set_style(style(state, total));
            bar.set_message(word(state));
        }
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(bytes);
        if matches!(state, State::Done | State::Exists) {
            bar.finish();
        }
    }

    fn delivered(&self, blob: &Digest, how: &Delivery) {
        let Ok(layers) = self.layers.lock() else { return };
        if let Some((_, bar)) = layers.get(blob) {
            bar.set_style(style(State::Done, None));
            bar.finish_with_message(delivery(how).into_owned());
        }
    }

    fn message(&self, text: &str) {
        // A terminal that does not take the line takes nothing.
        let _ = self.all.println(text);
    }
}
