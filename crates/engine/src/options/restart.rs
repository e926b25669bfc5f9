//! `--restart`

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;

/// `--restart`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a status other than 0, at most so often (`None`: without end).
    OnFailure {
        /// `on-failure:3`
        max_retries: Option<u32>,
    },
    /// Whatever happens, `stop` excepted until the next start.
    Always,
    /// Likewise, and not after a boot when it was stopped.
    UnlessStopped,
}

const WHAT: &str = "--restart";
const NAMES: [&str; 4] = ["no", "on-failure", "always", "unless-stopped"];

impl RestartPolicy {
    /// Docker's name, without the count.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure { .. } => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let policy = match (name, count) {
            ("on-failure", None) => Self::OnFailure { max_retries: None },
            ("on-failure", Some(count)) => {
                let count: u32 = count.parse().map_err(|_| {
                    OptionError::syntax(WHAT, text, "the number of retries must be a whole number, 0 or more")
                })?;
                // Docker's 0 is "without end".
                Self::OnFailure { max_retries: (count > 0).then_some(count) }
            }
            ("no" | "always" | "unless-stopped", Some(_)) => {
                return Err(OptionError::syntax(WHAT, text, "a number of retries goes with on-failure only"));
            }
            ("" | "no", None) => Self::No,
            ("always", None) => Self::Always,
            ("unless-stopped", None) => Self::UnlessStopped,
            _ => return Err(OptionError::unknown("restart policy", name, NAMES)),
        };
        Ok(policy)
    }
}

impl std::fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OnFailure { max_retries: Some(count) } => write!(f, "on-failure:{count}"),
            _ => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, policy) in [
            ("no", RestartPolicy::No),
            ("", RestartPolicy::No),
            ("on-failure", RestartPolicy::OnFailure { max_retries: None }),
            ("on-failure:0", RestartPolicy::OnFailure { max_retries: None }),
            ("on-failure:3", RestartPolicy::OnFailure { max_retries: Some(3) }),
            ("always", RestartPolicy::Always),
            ("unless-stopped", RestartPolicy::UnlessStopped),
        ] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap(), policy, "{text}");
            assert_eq!(policy.to_string().parse::<RestartPolicy>().unwrap(), policy);
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "on-failure:",
            "on-failure:-1",
            "on-failure:x",
            "always:3",
            "no:1",
            "on-failure:1:2",
            "Always",
            "never",
        ] {
            assert!(bad.parse::<RestartPolicy>().is_err(), "{bad}");
        }
        let error = "allways".parse::<RestartPolicy>().unwrap_err().to_string();
        assert_eq!(error, r#"unknown restart policy "allways" (did you mean "always"?)"#);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<RestartPolicy>();
        }
    }
}
