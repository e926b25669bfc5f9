//! `--log-driver`, `--log-opt`

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::conflict;
use super::{OptionError, parse_size};

/// `--log-driver`, `--log-opt`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// Where the output goes.
    pub driver: LogDriver,
    /// `max-size`, bytes; `None` is unlimited.
    pub max_size: Option<u64>,
    /// `max-file`; `None` is 1 (or 5 when `max-size` is set without it).
    pub max_file: Option<u32>,
    /// `compress`: files that were rotated are compressed with gzip.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
    /// `labels`: of these labels the values are kept with each line, for `logs --details`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// `env`: of these variables, likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// `tag`: a text with `{{.ID}}`, `{{.Name}}` and the like in it, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// `mode=blocking` was spelt out; it is so without, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub blocking: bool,
}

/// `--log-driver`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// One JSON object a line, Docker's file format.
    #[default]
    JsonFile,
    /// Nowhere.
    None,
    /// systemd's journal; an error at create when there is none.
    Journald,
    /// systemd's journal when there is one, else `json-file`.
    JournaldIfPresent,
}

const DRIVERS: [&str; 4] = ["json-file", "none", "journald", "journald-if-present"];
const OPTIONS: [&str; 7] = ["max-size", "max-file", "compress", "labels", "env", "tag", "mode"];
const WHAT: &str = "--log-opt";

impl LogDriver {
    /// As typed and as shown by inspect.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::None => "none",
            Self::Journald => "journald",
            Self::JournaldIfPresent => "journald-if-present",
        }
    }
}

impl FromStr for LogDriver {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "json-file" => Ok(Self::JsonFile),
            "none" => Ok(Self::None),
            "journald" => Ok(Self::Journald),
            "journald-if-present" => Ok(Self::JournaldIfPresent),
            "local" | "syslog" | "fluentd" | "gelf" | "awslogs" | "splunk" | "gcplogs" | "etwlogs" => {
                Err(OptionError::unsupported(
                    "--log-driver",
                    text,
                    "this driver is not supported; use json-file, journald or none",
                ))
            }
            _ => Err(OptionError::unknown("log driver", text, DRIVERS)),
        }
    }
}

impl LogOptions {
    /// Takes one `--log-opt key=value`.
    pub fn set(&mut self, text: &str) -> Result<(), OptionError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(OptionError::syntax(WHAT, text, "expected KEY=VALUE"));
        };
        match key {
            "max-size" if value == "-1" => self.max_size = None,
            "max-size" => {
                let bytes = parse_size(WHAT, value)?;
                if bytes == 0 {
                    return Err(OptionError::syntax(
                        WHAT,
                        text,
                        "max-size must be above 0, or -1 for no limit",
                    ));
                }
                self.max_size = Some(bytes);
            }
            "max-file" => {
                let files = value.parse().ok().filter(|files| (1..=1000).contains(files));
                let wrong = || OptionError::syntax(WHAT, text, "max-file must be a number from 1 to 1000");
                self.max_file = Some(files.ok_or_else(wrong)?);
            }
            "compress" => {
                self.compress = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(OptionError::syntax(WHAT, text, "compress must be true or false")),
                };
            }
            "labels" => self.labels = words(value),
            "env" => self.env = words(value),
            "tag" => self.tag = (!value.is_empty()).then(|| value.to_owned()),
            // What is always so: a program waits until its output is in the log.
            "mode" if value == "blocking" => self.blocking = true,
            "mode" if value == "non-blocking" => {
                let there = "this mode, which loses output, is not supported; there is mode=blocking";
                return Err(OptionError::unsupported(WHAT, text, there));
            }
            "mode" => return Err(OptionError::syntax(WHAT, text, "mode must be blocking")),
            "max-buffer-size" => {
                let there = "it goes with mode=non-blocking, which is not supported; there is mode=blocking";
                return Err(OptionError::unsupported(WHAT, text, there));
            }
            _ => return Err(OptionError::unknown("log option", key, OPTIONS)),
        }
        Ok(())
    }

    /// What no single option can tell.
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        let plain = Self { driver: self.driver, blocking: self.blocking, ..Self::default() };
        if self.driver == LogDriver::None && *self != plain {
            return conflict("--log-driver none takes no --log-opt");
        }
        if self.max_file.is_some_and(|files| files > 1) && self.max_size.is_none() {
            return conflict("--log-opt max-file needs --log-opt max-size: nothing rotates without it");
        }
        // Docker's rule, too.
        if self.compress && (self.max_size.is_none() || self.max_file == Some(1)) {
            return conflict(
                "--log-opt compress needs --log-opt max-size, and max-file above 1: nothing rotates without them",
            );
        }
        Ok(())
    }

    /// The options as they were given, by their names: what `inspect` shows.
    pub fn config(&self) -> std::collections::BTreeMap<&'static str, String> {
        let list = |words: &[String]| (!words.is_empty()).then(|| words.join(","));
        let all = [
            ("max-size", self.max_size.map(|size| size.to_string())),
            ("max-file", self.max_file.map(|files| files.to_string())),
            ("compress", self.compress.then(|| "true".to_owned())),
            ("labels", list(&self.labels)),
            ("env", list(&self.env)),
            ("tag", self.tag.clone()),
            ("mode", self.blocking.then(|| "blocking".to_owned())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers() {
        for name in DRIVERS {
            assert_eq!(name.parse::<LogDriver>().unwrap().name(), name);
        }
        assert!("syslog".parse::<LogDriver>().unwrap_err().to_string().contains("use json-file"));
        assert!("json-fil".parse::<LogDriver>().unwrap_err().to_string().contains("json-file"));
    }

    #[test]
    fn options() {
        let mut log = LogOptions::default();
        log.set("max-size=10m").unwrap();
        log.set("max-file=3").unwrap();
        assert_eq!(log, LogOptions { max_size: Some(10 << 20), max_file: Some(3), ..LogOptions::default() });
        log.validate().unwrap();
        for bad in [
            "max-size",
            "max-size=",
            "max-size=0",
            "max-size=x",
            "max-file=0",
            "max-file=-1",
            "max-fil=1",
            "label=a",
            "compress=perhaps",
            "mode=loose",
            "mode=non-blocking",
            "max-buffer-size=4m",
        ] {
            assert!(log.set(bad).is_err(), "{bad}");
        }
        log.set("mode=blocking").unwrap();
        assert_eq!(log.config()["mode"], "blocking");
        let error = log.set("mode=non-blocking").unwrap_err().to_string();
        assert!(error.contains("there is mode=blocking"), "{error}");
        log.max_size = None;
        assert!(log.validate().is_err());
        log.driver = LogDriver::None;
        assert!(log.validate().is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(max-size=|max-file=)?.{0,40}") {
            let _ = LogOptions::default().set(&text);
            let _ = text.parse::<LogDriver>();
        }
    }
}
