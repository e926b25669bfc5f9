//! `--ulimit name=soft[:hard]`

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;

/// `--ulimit name=soft[:hard]`; -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower case, without `RLIMIT_`: `nofile`.
    pub name: String,
    /// In force.
    pub soft: i64,
    /// The ceiling.
    pub hard: i64,
}

/// getrlimit(2)'s, without `RLIMIT_`.
const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

const WHAT: &str = "--ulimit";

impl FromStr for Ulimit {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let Some((name, values)) = text.split_once('=') else {
            return Err(OptionError::syntax(WHAT, text, "expected NAME=SOFT[:HARD]"));
        };
        let name = name.to_ascii_lowercase();
        if !NAMES.contains(&name.as_str()) {
            return Err(OptionError::unknown("ulimit", &name, NAMES));
        }
        let number = |part: &str| match part {
            "unlimited" => Ok(-1),
            _ => part
                .parse::<i64>()
                .ok()
                .filter(|number| *number >= -1)
                .ok_or_else(|| OptionError::syntax(WHAT, text, "a limit is a number, -1 or unlimited")),
        };
        let (soft, hard) = match values.split_once(':') {
            Some((soft, hard)) => (number(soft)?, number(hard)?),
            None => (number(values)?, number(values)?),
        };
        if hard != -1 && (soft == -1 || soft > hard) {
            return Err(OptionError::syntax(WHAT, text, "the soft limit must not be above the hard limit"));
        }
        Ok(Self { name, soft, hard })
    }
}

impl std::fmt::Display for Ulimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}:{}", self.name, self.soft, self.hard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, soft, hard) in [
            ("nofile=1024", 1024, 1024),
            ("nofile=1024:2048", 1024, 2048),
            ("nofile=-1", -1, -1),
            ("nofile=5:-1", 5, -1),
            ("NOFILE=unlimited", -1, -1),
            ("nofile=0:0", 0, 0),
        ] {
            assert_eq!(
                text.parse::<Ulimit>().unwrap(),
                Ulimit { name: "nofile".into(), soft, hard },
                "{text}"
            );
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            "nofile",
            "nofile=",
            "nofile=a",
            "nofile=1:",
            "nofile=2:1",
            "nofile=-1:5",
            "nofile=-2",
            "nofile=1:2:3",
            "=1",
        ] {
            assert!(bad.parse::<Ulimit>().is_err(), "{bad}");
        }
        assert_eq!(
            "nofle=1".parse::<Ulimit>().unwrap_err().to_string(),
            r#"unknown ulimit "nofle" (did you mean "nofile"?)"#
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<Ulimit>();
        }

        #[test]
        fn round_trips(soft in -1i64..100_000, more in 0i64..100_000) {
            let hard = if soft == -1 { -1 } else { soft + more };
            let ulimit = Ulimit { name: "core".into(), soft, hard };
            proptest::prop_assert_eq!(ulimit.to_string().parse::<Ulimit>().unwrap(), ulimit);
        }
    }
}
