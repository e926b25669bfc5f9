//! `--health-cmd`, `--health-interval` and their like, `--no-healthcheck`, `--health-on-failure`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OptionError;
use super::error::conflict;

/// What is asked about the container's health; what is absent is as the image says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthOptions {
    /// `--health-cmd`, in Docker's form: `["CMD-SHELL", "…"]`, `["CMD", …]` or `["NONE"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// `--health-interval`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// `--health-timeout`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// `--health-start-period`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// `--health-start-interval`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
    /// `--health-retries`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// `--no-healthcheck`
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// `--health-on-failure`
    #[serde(skip_serializing_if = "OnUnhealthy::is_none")]
    pub on_failure: OnUnhealthy,
}

impl HealthOptions {
    /// Refuses what Docker refuses.
    ///
    /// # Errors
    /// [`OptionError::Conflict`]
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        let any = self.test.is_some() || self.retries.is_some();
        let times = [self.interval, self.timeout, self.start_period, self.start_interval];
        if self.disabled && (any || times.iter().any(Option::is_some)) {
            return conflict("--no-healthcheck conflicts with --health-* options");
        }
        Ok(())
    }
}

/// `--health-on-failure`: what is done to a container that becomes unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnhealthy {
    /// Nothing: it is said to be.
    #[default]
    None,
    /// It is stopped and started again, whatever the restart policy, with that policy's back-off.
    Restart,
    /// It is stopped, and stays so until the next start.
    Stop,
    /// It is killed; then the restart policy holds.
    Kill,
}

impl OnUnhealthy {
    /// As typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl FromStr for OnUnhealthy {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "none" => Ok(Self::None),
            "restart" => Ok(Self::Restart),
            "stop" => Ok(Self::Stop),
            "kill" => Ok(Self::Kill),
            _ => Err(OptionError::unknown(
                "action of --health-on-failure",
                text,
                ["none", "restart", "stop", "kill"],
            )),
        }
    }
}

/// `--health-cmd`: a line for the shell; podman's `none`, and its JSON list of words, with or without `CMD` or `CMD-SHELL`
/// in front.
pub fn parse_health_cmd(text: &str) -> Vec<String> {
    if text == "none" {
        return vec!["NONE".to_owned()];
    }
    // What is no list of texts is a command: `[ -e /ready ]`.
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words)
            if words.first().is_some_and(|first| matches!(first.as_str(), "CMD" | "CMD-SHELL" | "NONE")) =>
        {
            words
        }
        Ok(words) if !words.is_empty() => ["CMD".to_owned()].into_iter().chain(words).collect(),
        _ => vec!["CMD-SHELL".to_owned(), text.to_owned()],
    }
}

/// A length of time in Go's form, 1 ms or more; 0 is Docker's "as the image says".
///
/// # Errors
/// [`OptionError::Syntax`]
pub fn parse_health_time(flag: &'static str, text: &str) -> Result<Duration, OptionError> {
    conex_image::configure::duration(text)
        .map(|nanoseconds| Duration::from_nanos(nanoseconds.unsigned_abs()))
        .ok_or_else(|| {
            OptionError::syntax(flag, text, "expected a duration of 1ms or more, as in 30s or 1m30s")
        })
}

/// `--health-retries`: how many failures in a row; 0 is Docker's "as the image says".
///
/// # Errors
/// [`OptionError::Syntax`]
pub fn parse_health_retries(text: &str) -> Result<u32, OptionError> {
    text.parse()
        .map_err(|_| OptionError::syntax("--health-retries", text, "expected a whole number, 0 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        assert_eq!(
            parse_health_cmd("curl -f http://x || exit 1"),
            ["CMD-SHELL", "curl -f http://x || exit 1"]
        );
        assert_eq!(parse_health_cmd("[ -e /ready ]"), ["CMD-SHELL", "[ -e /ready ]"]);
        assert_eq!(parse_health_cmd(r#"["CMD", "a", "b c"]"#), ["CMD", "a", "b c"]);
        assert_eq!(parse_health_cmd(r#"["a", "b c"]"#), ["CMD", "a", "b c"]);
        assert_eq!(parse_health_cmd(r#"["CMD-SHELL", "a"]"#), ["CMD-SHELL", "a"]);
        assert_eq!(parse_health_cmd("none"), ["NONE"]);
        assert_eq!(parse_health_cmd("[]"), ["CMD-SHELL", "[]"]);
    }

    #[test]
    fn times() {
        let time = |text| parse_health_time("--health-interval", text);
        assert_eq!(time("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(time("5ms").unwrap(), Duration::from_millis(5));
        assert_eq!(time("0").unwrap(), Duration::ZERO);
        assert_eq!(time("0s").unwrap(), Duration::ZERO);
        for bad in ["", "1", "-1s", "500us", "1y", "s", "1e9s", "NaNs"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(parse_health_retries("-1").is_err());
        assert!("reboot".parse::<OnUnhealthy>().is_err());
    }

    #[test]
    fn no_check_excludes_the_rest() {
        let options = HealthOptions { disabled: true, ..HealthOptions::default() };
        options.validate().unwrap();
        assert!(HealthOptions { retries: Some(1), ..options }.validate().is_err());
    }
}
