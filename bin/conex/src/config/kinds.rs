//! What values of keys are: read from TOML, or from the text of an environment variable.

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use conex_engine::network::Pool;
use conex_engine::options::{
    LogDriver, LogOptions, NetworkMode, OptionError, Ulimit, parse_capability, parse_pids_limit, parse_size,
};
use toml::de::DeValue;

use crate::flags::seconds;
use crate::terminal::DetachKeys;

/// A value in a file.
pub(super) type Value<'t> = DeValue<'t>;

/// A type that keys have.
pub(super) trait Kind: Sized {
    /// What it is called in the guide.
    const NAME: &'static str;

    /// Of a file's value.
    ///
    /// # Errors
    /// In one line.
    fn read(value: &Value<'_>) -> Result<Self, String>;

    /// Of a variable's text.
    ///
    /// # Errors
    /// In one line.
    fn of_text(text: &str) -> Result<Self, String> {
        Self::read(&DeValue::String(text.into()))
    }
}

fn expected<T>(what: &str, value: &Value<'_>) -> Result<T, String> {
    Err(format!("expected {what}, found {}", value.type_str()))
}

fn text<'v>(what: &str, value: &'v Value<'_>) -> Result<&'v str, String> {
    value.as_str().map_or_else(|| expected(what, value), Ok)
}

fn list<T>(
    what: &str,
    value: &Value<'_>,
    read: impl Fn(&Value<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| read(item.get_ref())).collect(),
        _ => expected(what, value),
    }
}

fn parsed<T: FromStr>(what: &str, value: &Value<'_>) -> Result<T, String>
where
    T::Err: Display,
{
    text(what, value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// The same of what flags have, too.
fn option<T: FromStr<Err = OptionError>>(what: &str, value: &Value<'_>) -> Result<T, String> {
    text(what, value)?.parse().map_err(without_flag)
}

/// What is wrong, without the name of a flag that nobody has given.
fn without_flag(error: OptionError) -> String {
    match error {
        OptionError::Syntax { text, expected, .. } => format!("invalid {text:?}: {expected}"),
        OptionError::Unsupported { text, why, .. } => format!("{text:?}: {why}"),
        error => error.to_string(),
    }
}

/// A whole number, in any of TOML's notations.
fn integer(what: &str, value: &Value<'_>) -> Result<i64, String> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| format!("expected {what}, found a number out of range")),
        _ => expected(what, value),
    }
}

impl Kind for bool {
    const NAME: &'static str = "true or false";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        value.as_bool().map_or_else(|| expected(Self::NAME, value), Ok)
    }
}

impl Kind for NonZeroU32 {
    const NAME: &'static str = "number above 0";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let number = integer(Self::NAME, value)?;
        let number = u32::try_from(number).ok().and_then(Self::new);
        number.ok_or_else(|| format!("expected a {}", Self::NAME))
    }
}

impl Kind for IpAddr {
    const NAME: &'static str = "address";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let text = text(Self::NAME, value)?;
        text.parse().map_err(|_| format!("invalid IP address {text:?}"))
    }
}

impl Kind for PathBuf {
    const NAME: &'static str = "path";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match text(Self::NAME, value)? {
            "" => Err("expected a path, found an empty text".to_owned()),
            // A file is not written for the directory that a command is started in.
            text if !text.starts_with('/') => Err(format!("expected an absolute path, found {text:?}")),
            text => Ok(text.into()),
        }
    }
    fn of_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl Kind for NetworkMode {
    const NAME: &'static str = "network";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        option(Self::NAME, value)
    }
}

/// Whose ids containers have that say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Their own, where that can be.
    Private,
    /// The host's.
    Host,
}

impl std::str::FromStr for Ids {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err("expected private or host"),
        }
    }
}

impl Kind for Ids {
    const NAME: &'static str = "private or host";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        parsed(Self::NAME, value)
    }
}

impl Kind for LogDriver {
    const NAME: &'static str = "log driver";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        option(Self::NAME, value)
    }
}

impl Kind for DetachKeys {
    const NAME: &'static str = "keys";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        parsed(Self::NAME, value)
    }
}

impl Kind for Vec<PathBuf> {
    const NAME: &'static str = "list of paths";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        list(Self::NAME, value, PathBuf::read)
    }
    fn of_text(text: &str) -> Result<Self, String> {
        Ok(std::env::split_paths(text).collect())
    }
}

impl Kind for Vec<String> {
    const NAME: &'static str = "list of texts";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        list(Self::NAME, value, |item| text("text", item).map(str::to_owned))
    }
}

impl Kind for Vec<IpAddr> {
    const NAME: &'static str = "list of addresses";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        list(Self::NAME, value, IpAddr::read)
    }
}

impl Kind for Vec<Ulimit> {
    const NAME: &'static str = "list of ulimits";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        list(Self::NAME, value, |item| option("ulimit", item))
    }
}

impl Kind for Vec<Pool> {
    const NAME: &'static str = "list of pools";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let pools: Self = list(Self::NAME, value, |item| parsed("pool", item))?;
        if pools.is_empty() { Err("expected at least one pool".to_owned()) } else { Ok(pools) }
    }
}

/// A size: a number of bytes, or a text with a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl Kind for Bytes {
    const NAME: &'static str = "size";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        if let Some(text) = value.as_str() {
            return parse_size("size", text).map(Self).map_err(without_flag);
        }
        u64::try_from(integer(Self::NAME, value)?).map(Self).map_err(|_| "a size is not below 0".to_owned())
    }
}

/// `--pids-limit`
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pids(pub(crate) i64);

impl Kind for Pids {
    const NAME: &'static str = "number, or -1";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let number = integer(Self::NAME, value)?;
        parse_pids_limit(&number.to_string()).map(Self).map_err(without_flag)
    }
}

/// Whole seconds; [`Duration::MAX`] for -1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Kind for Seconds {
    const NAME: &'static str = "seconds, or -1";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let number = integer(Self::NAME, value)?;
        seconds("stop-timeout", &number.to_string()).map(Self).map_err(|_| format!("expected {}", Self::NAME))
    }
}

/// `--log-opt`, checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogSettings(pub(crate) Vec<String>);

impl Kind for LogSettings {
    const NAME: &'static str = "list of log options";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let texts = Vec::<String>::read(value)?;
        let mut options = LogOptions::default();
        for text in &texts {
            options.set(text).map_err(without_flag)?;
        }
        Ok(Self(texts))
    }
}

/// As the kernel names them.
#[derive(Debug, Clone)]
pub(crate) struct Capabilities(pub(crate) Vec<String>);

impl Kind for Capabilities {
    const NAME: &'static str = "list of capabilities";
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let read = |item: &Value<'_>| parse_capability(text("capability", item)?).map_err(without_flag);
        list(Self::NAME, value, read).map(Self)
    }
}
