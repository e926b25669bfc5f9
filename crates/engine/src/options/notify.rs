//! `--sdnotify`

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;

/// Who tells the service manager that a container is ready (sd_notify(3)), when it was started by one: podman's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyMode {
    /// Its program: it gets a socket, and what it says there is passed on.
    #[default]
    Container,
    /// Its supervisor, as soon as the program has been executed.
    Conmon,
    /// Its supervisor, when the first probe has succeeded.
    Healthy,
    /// Nobody.
    Ignore,
}

impl NotifyMode {
    /// As typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Conmon => "conmon",
            Self::Healthy => "healthy",
            Self::Ignore => "ignore",
        }
    }
}

impl FromStr for NotifyMode {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "container" => Ok(Self::Container),
            "conmon" => Ok(Self::Conmon),
            "healthy" => Ok(Self::Healthy),
            "ignore" => Ok(Self::Ignore),
            _ => Err(OptionError::unknown(
                "value of --sdnotify",
                text,
                ["container", "conmon", "healthy", "ignore"],
            )),
        }
    }
}
