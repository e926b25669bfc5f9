//! `--pid --uts --cgroupns --ipc --userns`: whose namespace a container lives in.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;

/// `private` (the default), `host`, or `container:<name|id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    /// One of its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by name or id as typed.
    Container(String),
}

/// `--ipc`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// One of its own, with a /dev/shm that no other container may join (Docker's default).
    #[default]
    Private,
    /// One of its own, which others may join.
    Shareable,
    /// One of its own, without /dev/shm.
    None,
    /// The host's, with its /dev/shm.
    Host,
    /// Another (shareable) container's, by name or id as typed.
    Container(String),
}

/// `--userns`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserMode {
    /// Nothing was said: a range of its own, or the host's ids where what else was asked needs them, or the host can do no other.
    #[default]
    Default,
    /// The host's ids, as in Docker.
    Host,
    /// A user namespace with a range of host ids of its own (`private` and `auto`).
    Private,
    /// Another container's, by name or id as typed.
    Container(String),
}

/// The name after `container:`; `None` when the text has another form.
pub(super) fn container(what: &'static str, text: &str) -> Result<Option<String>, OptionError> {
    match text.strip_prefix("container:") {
        None if text == "container" => Err(OptionError::syntax(what, text, "expected container:NAME")),
        None => Ok(None),
        Some("") => {
            Err(OptionError::syntax(what, text, "a container's name or id must follow \"container:\""))
        }
        Some(name) => Ok(Some(name.to_owned())),
    }
}

impl NamespaceMode {
    /// Reads the value of the option `what` (`--pid`).
    pub fn parse(what: &'static str, text: &str) -> Result<Self, OptionError> {
        if let Some(name) = container(what, text)? {
            return Ok(Self::Container(name));
        }
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(OptionError::syntax(what, text, "expected private, host or container:NAME")),
        }
    }
}

impl FromStr for NamespaceMode {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        Self::parse("namespace mode", text)
    }
}

impl FromStr for IpcMode {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        const WHAT: &str = "--ipc";
        if let Some(name) = container(WHAT, text)? {
            return Ok(Self::Container(name));
        }
        match text {
            "" | "private" => Ok(Self::Private),
            "shareable" => Ok(Self::Shareable),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => Err(OptionError::syntax(
                WHAT,
                text,
                "expected private, shareable, none, host or container:NAME",
            )),
        }
    }
}

impl FromStr for UserMode {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        const WHAT: &str = "--userns";
        if let Some(name) = container(WHAT, text)? {
            return Ok(Self::Container(name));
        }
        match text {
            "" => Ok(Self::Default),
            "host" => Ok(Self::Host),
            "private" | "auto" => Ok(Self::Private),
            _ => Err(OptionError::syntax(WHAT, text, "expected host, private, auto or container:NAME")),
        }
    }
}

macro_rules! display {
    ($kind:ident { $($variant:ident => $word:literal),+ }) => {
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)+
                    Self::Container(name) => write!(f, "container:{name}"),
                }
            }
        }
    };
}

display!(NamespaceMode { Private => "private", Host => "host" });
display!(IpcMode { Private => "private", Shareable => "shareable", None => "none", Host => "host" });
display!(UserMode { Default => "", Host => "host", Private => "private" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!("host".parse::<NamespaceMode>().unwrap(), NamespaceMode::Host);
        assert_eq!("private".parse::<NamespaceMode>().unwrap(), NamespaceMode::Private);
        assert_eq!("container:a".parse::<NamespaceMode>().unwrap(), NamespaceMode::Container("a".into()));
        assert_eq!("shareable".parse::<IpcMode>().unwrap(), IpcMode::Shareable);
        assert_eq!("auto".parse::<UserMode>().unwrap(), UserMode::Private);
        for bad in ["container:", "container", "Host", "none"] {
            assert!(NamespaceMode::parse("--pid", bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_parses_prints_back(text in "(private|host|none|shareable|container:[a-z]{0,3}|[a-z:]{0,9})") {
            if let Ok(mode) = text.parse::<IpcMode>() {
                proptest::prop_assert_eq!(mode.to_string().parse::<IpcMode>().unwrap(), mode);
            }
            if let Ok(mode) = text.parse::<UserMode>() {
                proptest::prop_assert_eq!(mode.to_string().parse::<UserMode>().unwrap(), mode);
            }
            if let Ok(mode) = text.parse::<NamespaceMode>() {
                proptest::prop_assert_eq!(mode.to_string().parse::<NamespaceMode>().unwrap(), mode);
            }
        }
    }
}
