//! For programs: a line of JSON a message on standard output, with the fields of Docker's API (`id`, `status`,
//! `progressDetail`, `error`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use conex_image::{Progress, State};
use conex_oci::Digest;
use serde_json::{Value, json};

use super::bars::word;
use crate::output;

/// The shortest time between two lines of one layer in one state.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes the lines.
#[derive(Default)]
pub(super) struct Json {
    told: Mutex<HashMap<Digest, (State, Instant)>>,
}

impl Progress for Json {
    fn layer(&self, blob: &Digest, state: State, bytes: u64, total: Option<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Found there by the look at the whole that comes after.
        if state == State::Exists && told.get(blob).is_some_and(|(last, _)| *last == State::Done) {
            return;
        }
        if told.get(blob).is_some_and(|(last, when)| *last == state && now.duration_since(*when) < PAUSE) {
            return;
        }
        told.insert(*blob, (state, now));
        let mut message = json!({"id": blob.short(), "status": word(state)});
        if !matches!(state, State::Done | State::Exists | State::Waiting) {
            message["progressDetail"] = json!({"current": bytes, "total": total});
        }
        say(&message);
    }

    fn message(&self, text: &str) {
        // `3.20: Pulling from library/alpine`
        say(&match text.split_once(": ") {
            Some((id, status)) => json!({"id": id, "status": status}),
            None => json!({"status": text}),
        });
    }
}

/// A message without a layer.
pub(crate) fn tell_status(text: &str) {
    say(&json!({"status": text}));
}

/// Why it ended without an image.
pub(crate) fn tell_error(text: &str) {
    say(&json!({"error": text, "errorDetail": {"message": text}}));
}

fn say(message: &Value) {
    // Whoever reads no more does not stop the pull.
    let _ = output::line(message.to_string());
}
