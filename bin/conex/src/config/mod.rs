//! The configuration file: what a machine's owner, or a user, wants of every command.
//!
//! `CONEX_CONFIG` alone if it is set; else `/etc/conex/conex.toml`, and the user's `conex/conex.toml` over it, key by key; an environment
//! variable over both where a key has one. A file that is wrong is an error: it may say what must not be.
//!
//! Every key stands once, in `keys`: parsing, merging, `info --config`, the guide's table and `docs/conex.toml` are made of that.

mod file;
mod keys;
mod kinds;
mod settings;
mod show;

use std::path::PathBuf;

use crate::errors::Error;

pub(crate) use keys::Config;
pub(crate) use kinds::Ids;
pub(crate) use show::{COLUMNS, example, rows};

/// One key, as `keys` declares it.
#[derive(Debug)]
pub(crate) struct Key {
    /// `[section]`
    pub(crate) section: &'static str,
    /// Its name there.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: &'static str,
    /// What holds when nobody says anything, as it would be written; empty for nothing.
    pub(crate) default: &'static str,
    /// What it means, in one line.
    pub(crate) about: &'static str,
    /// The environment variable that goes over it.
    pub(crate) variable: Option<&'static str>,
}

/// Who said what of a key.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Of [`keys::KEYS`].
    key: usize,
    /// As written.
    text: String,
    origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
enum Origin {
    File(PathBuf),
    Variable(&'static str),
}

const MACHINE: &str = "/etc/conex/conex.toml";

impl Config {
    /// From the files that there are, and the environment.
    ///
    /// # Errors
    /// A file that cannot be read, or says what is not known; a variable that makes no sense.
    pub(crate) fn read() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut config = Self::default();
        if let Some(path) = set("CONEX_CONFIG") {
            if !config.take_file(&path)? {
                return Err(Error::Config {
                    path,
                    reason: "it is not there (CONEX_CONFIG names it)".to_owned(),
                });
            }
        } else {
            config.take_file(MACHINE.as_ref())?;
            if let Some(home) = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config"))) {
                config.take_file(&home.join("conex/conex.toml"))?;
            }
        }
        for (index, key) in keys::KEYS.iter().enumerate() {
            let said = key.variable.and_then(|name| Some((name, set(name)?)));
            let Some((variable, text)) = said else { continue };
            let wrong = |reason: String| Error::usage(format!("the environment's {variable}: {reason}"));
            let text = text.to_str().ok_or_else(|| wrong("it is not valid UTF-8".to_owned()))?;
            config.set_from_text(index, text).map_err(wrong)?;
            config.say(Said { key: index, text: show::quoted(text), origin: Origin::Variable(variable) });
        }
        Ok(config)
    }

    /// The last one counts.
    fn say(&mut self, said: Said) {
        self.said.retain(|other| other.key != said.key);
        self.said.push(said);
    }
}

#[cfg(test)]
mod tests;
