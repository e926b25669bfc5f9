//! Why a text in one of the command line's small languages, or a set of options, is refused.

use std::path::PathBuf;

/// Each is one line: what was wrong, on which text, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// The text does not follow the option's grammar.
    #[error("invalid {what} {text:?}: {expected}")]
    Syntax {
        /// The option, as the user knows it.
        what: &'static str,
        /// What was typed, clipped.
        text: String,
        /// What was wrong with it, or what was expected.
        expected: String,
    },
    /// A name that is none of the known ones.
    #[error("unknown {what} {text:?}{}", suggestion(near))]
    Unknown {
        /// The kind of name.
        what: &'static str,
        /// What was typed, clipped.
        text: String,
        /// The nearest known name, when one is near.
        near: Option<String>,
    },
    /// Understood, but Conex does not do it yet.
    #[error("{what} {text:?}: {why}")]
    Unsupported {
        /// The option, as the user knows it.
        what: &'static str,
        /// What was typed, clipped.
        text: String,
        /// What is not supported, and what to do instead.
        why: &'static str,
    },
    /// Two options that exclude each other, or one that needs another.
    #[error("conflicting options: {0}")]
    Conflict(String),
    /// A file named by an option.
    #[error("cannot read {what} {}: {source}", path.display())]
    Read {
        /// The option, as the user knows it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of a file named by an option.
    #[error("{} line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What was wrong.
        why: String,
    },
}

/// Refuses a set of options.
pub(super) fn conflict<T>(why: impl Into<String>) -> Result<T, OptionError> {
    Err(OptionError::Conflict(why.into()))
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

/// Longest piece of a text that an error repeats.
const CLIP: usize = 200;

fn clip(text: &str) -> String {
    match text.char_indices().nth(CLIP) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl OptionError {
    pub(crate) fn syntax(what: &'static str, text: &str, expected: impl Into<String>) -> Self {
        Self::Syntax { what, text: clip(text), expected: expected.into() }
    }

    pub(crate) fn unknown<'a>(
        what: &'static str,
        text: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let near = super::nearest(text, known).map(str::to_owned);
        Self::Unknown { what, text: clip(text), near }
    }

    pub(crate) fn unsupported(what: &'static str, text: &str, why: &'static str) -> Self {
        Self::Unsupported { what, text: clip(text), why }
    }
}
