//! On a terminal: a bar a layer, and below them one for all: bytes, speed, time left.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use conex_image::{Progress, State};
use conex_oci::Digest;
use conex_registry::Delivery;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::delivery;

/// A bar for each blob that is told of.
pub(super) struct Bars {
    all: MultiProgress,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    layers: HashMap<Digest, Layer>,
    /// For all that moves, once there are two that do.
    total: Option<ProgressBar>,
}

struct Layer {
    state: State,
    bar: ProgressBar,
    /// Bytes that went over the network, and those that will.
    moved: u64,
    expected: u64,
}

impl Bars {
    pub(super) fn on(target: ProgressDrawTarget) -> Self {
        Self { all: MultiProgress::with_draw_target(target), shown: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the bar for all up to date.
    fn sum(&self, shown: &mut Shown) {
        let moving = shown.layers.values().filter(|layer| layer.expected > 0);
        let (count, moved, expected) =
            moving.fold((0, 0, 0), |sum, layer| (sum.0 + 1, sum.1 + layer.moved, sum.2 + layer.expected));
        if count < 2 {
            return;
        }
        let total = shown.total.get_or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(expected));
            bar.set_prefix("Total");
            bar.set_style(template(
                "{prefix:12}: {msg:12} [{bar:25}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            ));
            bar
        });
        total.set_length(expected);
        total.set_position(moved);
        if moved >= expected {
            total.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(total) = self.lock().total.take() {
            total.finish_and_clear();
        }
    }
}

/// One bar for all that is read.
pub(super) fn reading(bytes: u64, target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    bar.set_style(template("Reading [{bar:25}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
    bar
}

fn style(state: State, total: Option<u64>) -> ProgressStyle {
    template(match (state, total) {
        (State::Done | State::Exists | State::Waiting, _) => "{prefix}: {msg}",
        (State::Downloading | State::Pushing, Some(1..)) => {
            "{prefix}: {msg:12} [{bar:25}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        }
        (_, Some(1..)) => "{prefix}: {msg:12} [{bar:25}] {bytes}/{total_bytes}",
        _ => "{prefix}: {msg:12} {bytes}",
    })
}

fn template(text: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

/// Docker's words.
pub(super) fn word(state: State) -> &'static str {
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
    fn layer(&self, blob: &Digest, state: State, bytes: u64, total: Option<u64>) {
        let mut shown = self.lock();
        let Shown { layers, total: sum } = &mut *shown;
        let layer = layers.entry(*blob).or_insert_with(|| {
            let bar = ProgressBar::new(total.unwrap_or(0));
            let bar = match sum {
                Some(last) => self.all.insert_before(last, bar),
                None => self.all.add(bar),
            };
            bar.set_prefix(blob.short());
            bar.set_style(style(state, total));
            bar.set_message(word(state));
            Layer { state, bar, moved: 0, expected: 0 }
        });
        // Found there by the look at the whole that comes after.
        if (layer.state, state) == (State::Done, State::Exists) {
            return;
        }
        if layer.state != state {
            layer.state = state;
            layer.bar.set_style(style(state, total));
            layer.bar.set_message(word(state));
            // The speed of what it did before is not that of what it does now.
            layer.bar.reset_eta();
        }
        if let Some(total) = total {
            layer.bar.set_length(total);
        }
        layer.bar.set_position(bytes);
        match state {
            State::Downloading | State::Pushing => {
                (layer.moved, layer.expected) = (bytes, total.unwrap_or(bytes));
            }
            State::Done | State::Exists => layer.bar.finish(),
            _ => layer.moved = layer.expected,
        }
        self.sum(&mut shown);
    }

    fn delivered(&self, blob: &Digest, how: &Delivery) {
        let mut shown = self.lock();
        if let Some(layer) = shown.layers.get_mut(blob) {
            layer.moved = layer.expected;
            layer.bar.set_style(style(State::Done, None));
            layer.bar.finish_with_message(delivery(how).into_owned());
        }
        self.sum(&mut shown);
    }

    fn message(&self, text: &str) {
        // A terminal that does not take the line takes nothing.
        let _ = self.all.println(text);
    }
}
