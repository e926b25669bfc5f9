//! The command line that made a container, once more: for a service that makes it anew at each start.

use clap::parser::ValueSource;

use super::unit::{Word, plain};
use crate::cli;
use crate::errors::Error;

/// Flags that are the service's business: it has its own, or none.
const OURS: [&str; 10] =
    ["attach", "cidfile", "detach", "help", "name", "quiet", "replace", "restart", "rm", "sig-proxy"];

/// What a command line asked for.
pub(super) struct Asked {
    /// The flags, each as one word, but for those that a service decides on.
    pub(super) flags: Vec<Word>,
    /// The image, and what runs.
    pub(super) words: Vec<Word>,
}

/// Reads a command line of `run` or `create`, by the same definition that read it then.
///
/// # Errors
/// One that there is not, or that this version does not understand.
pub(super) fn read(line: &[String]) -> Result<Asked, Error> {
    let refuse = |why: &str| Error::Refused(format!("cannot make the container anew (--new): {why}"));
    let (verb, words) = cli::verb_of(line)
        .filter(|(verb, _)| matches!(verb.name, "run" | "create"))
        .ok_or_else(|| refuse("the command that made it is not on record"))?;
    let command = verb.command().no_binary_name(true);
    let matches = command
        .clone()
        .try_get_matches_from(words)
        .map_err(|_| refuse("this version does not understand the command that made it"))?;
    let mut flags = Vec::new();
    for arg in command.get_arguments() {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if OURS.contains(&long) || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            flags.push(Word::Plain(match value.to_str() {
                Some("true") if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => {
                    format!("--{long}")
                }
                _ => format!("--{long}={}", value.to_string_lossy()),
            }));
        }
    }
    let words =
        matches.get_raw("words").into_iter().flatten().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    Ok(Asked { flags, words: plain(words.iter().map(String::as_str)) })
}
