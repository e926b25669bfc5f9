//! What is asked of a container, how often, and how long one answer may take.

use std::time::Duration;

use conex_oci::image::{Healthcheck, ImageConfig};
use serde::{Deserialize, Serialize};

use crate::options::HealthOptions;

/// Docker's.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Whatever a record says: less is spinning.
const SHORTEST: Duration = Duration::from_millis(1);

/// A container's health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// The image's, with the user's flags over it; as `inspect` shows it.
    pub config: Healthcheck,
    /// What a `CMD-SHELL` is given to, of the image; `/bin/sh -c` when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

impl Check {
    /// The check of a container; `None` when neither the image nor the user speaks of one.
    pub fn of(options: &HealthOptions, image: &ImageConfig) -> Option<Self> {
        let none = || Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() };
        let shell = image.shell.clone().unwrap_or_default();
        if options.disabled {
            return Some(Self { config: none(), shell: Vec::new() });
        }
        let theirs = image.healthcheck.clone().unwrap_or_default();
        // As with Docker, 0 is the image's or the usual.
        let time = |own: Option<Duration>, theirs: Option<i64>| {
            let own = own.and_then(|own| i64::try_from(own.as_nanos()).ok());
            own.filter(|own| *own != 0).or(theirs.filter(|theirs| *theirs != 0))
        };
        let config = Healthcheck {
            test: options.test.clone().unwrap_or(theirs.test),
            interval: time(options.interval, theirs.interval),
            timeout: time(options.timeout, theirs.timeout),
            start_period: time(options.start_period, theirs.start_period),
            start_interval: time(options.start_interval, theirs.start_interval),
            retries: options
                .retries
                .filter(|own| *own != 0)
                .map(i64::from)
                .or(theirs.retries.filter(|retries| *retries != 0)),
        };
        (config != Healthcheck::default()).then_some(Self { config, shell })
    }

    /// The program and its arguments; `None` when nothing is to be run (`NONE`, and what Docker does not know either).
    pub fn command(&self) -> Option<Vec<String>> {
        let (kind, words) = self.config.test.split_first()?;
        match kind.as_str() {
            "CMD" if !words.is_empty() => Some(words.to_vec()),
            "CMD-SHELL" if !words.is_empty() => {
                let shell = match self.shell.is_empty() {
                    true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
                    false => self.shell.clone(),
                };
                Some(shell.into_iter().chain(words.iter().cloned()).collect())
            }
            _ => None,
        }
    }

    /// Between the end of one probe and the next.
    pub fn interval(&self) -> Duration {
        time(self.config.interval, INTERVAL)
    }

    /// For one probe.
    pub fn timeout(&self) -> Duration {
        time(self.config.timeout, TIMEOUT)
    }

    /// How long after the start failures do not count, until the first success.
    pub fn start_period(&self) -> Duration {
        self.config.start_period.map_or(Duration::ZERO, |_| time(self.config.start_period, Duration::ZERO))
    }

    /// The interval during that time.
    pub fn start_interval(&self) -> Duration {
        time(self.config.start_interval, START_INTERVAL)
    }

    /// How many failures in a row make it unhealthy.
    pub fn retries(&self) -> u32 {
        let retries = self.config.retries.and_then(|retries| u32::try_from(retries).ok());
        retries.filter(|retries| *retries > 0).unwrap_or(RETRIES)
    }
}

/// An image may say anything.
fn time(nanoseconds: Option<i64>, usual: Duration) -> Duration {
    match nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok()) {
        Some(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds).max(SHORTEST),
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(test: &[&str]) -> ImageConfig {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        let healthcheck =
            Some(Healthcheck { test, interval: Some(7), retries: Some(-1), ..Healthcheck::default() });
        ImageConfig { healthcheck, ..ImageConfig::default() }
    }

    #[test]
    fn flags_over_the_image() {
        let options = HealthOptions { timeout: Some(Duration::from_secs(2)), ..HealthOptions::default() };
        let check = Check::of(&options, &image(&["CMD", "true"])).unwrap();
        assert_eq!(check.command().unwrap(), ["true"]);
        assert_eq!(
            (check.interval(), check.timeout(), check.retries()),
            (SHORTEST, Duration::from_secs(2), 3)
        );
        assert_eq!(Check::of(&HealthOptions::default(), &ImageConfig::default()), None);
        let off = HealthOptions { disabled: true, ..HealthOptions::default() };
        assert_eq!(Check::of(&off, &image(&["CMD", "true"])).unwrap().command(), None);
    }

    #[test]
    fn forms_of_the_test() {
        let command = |test: &[&str]| Check::of(&HealthOptions::default(), &image(test)).unwrap().command();
        assert_eq!(command(&["CMD-SHELL", "a b"]).unwrap(), ["/bin/sh", "-c", "a b"]);
        for nothing in [&["NONE"][..], &[], &["CMD"], &["CMD-SHELL"], &["cmd", "x"]] {
            assert_eq!(command(nothing), None);
        }
        let shell = Some(vec!["/bin/bash".to_owned(), "-ec".to_owned()]);
        let check =
            Check::of(&HealthOptions::default(), &ImageConfig { shell, ..image(&["CMD-SHELL", "x"]) });
        assert_eq!(check.unwrap().command().unwrap(), ["/bin/bash", "-ec", "x"]);
    }
}
