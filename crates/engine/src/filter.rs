//! What the `--filter key=value` of several verbs have in common.

use std::collections::BTreeMap;

use crate::options::nearest;
use crate::{Error, Result};

/// Something is wrong with a filter.
pub fn invalid(filter: &str, why: impl Into<String>) -> Error {
    Error::Filter { filter: filter.to_owned(), why: why.into() }
}

/// The key, which is one of `keys` in any case, and the value.
///
/// # Errors
/// [`Error::Filter`], with the nearest key.
pub fn known(filter: &str, keys: &[&str]) -> Result<(String, String)> {
    let (key, value) = filter.split_once('=').ok_or_else(|| invalid(filter, "expected key=value"))?;
    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
    if !keys.contains(&key.as_str()) {
        let near = nearest(&key, keys.iter().copied());
        let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        return Err(invalid(filter, format!("unknown key{near}; there are {}", keys.join(", "))));
    }
    Ok((key, value.to_owned()))
}

/// `KEY`, or `KEY=VALUE`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}
