//! A device rule, checked.

use std::fmt::{self, Write as _};

use conex_oci::runtime::DeviceRule;

use super::program::MAX_RULES;
use crate::error::{Error, Result};

/// The kernel's bits of `BPF_DEVCG_ACC_*`, which v1 uses too.
pub(crate) const MKNOD: u8 = 1;
pub(crate) const READ: u8 = 2;
pub(crate) const WRITE: u8 = 4;
pub(crate) const ALL: u8 = MKNOD | READ | WRITE;

/// Which kind of device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Block,
    Character,
}

/// One rule; absent numbers are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    pub(crate) kind: Kind,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    /// Never 0.
    pub(crate) access: u8,
}

impl Rule {
    pub(crate) fn parse_all(rules: &[DeviceRule]) -> Result<Vec<Self>> {
        if let Some(beyond) = rules.get(MAX_RULES) {
            return Err(Error::DeviceRule { rule: describe(beyond), why: "there are more than 2000 rules" });
        }
        rules.iter().map(Self::parse).collect()
    }

    fn parse(rule: &DeviceRule) -> Result<Self> {
        let wrong = |why| Error::DeviceRule { rule: describe(rule), why };
        let kind = match rule.kind.as_deref() {
            None | Some("" | "a") => Kind::Any,
            Some("b") => Kind::Block,
            // u is the unbuffered character device of mknod(1).
            Some("c" | "u") => Kind::Character,
            Some(_) => return Err(wrong("the type is a, b or c")),
        };
        let number = |value: Option<i64>| match value {
            // runc's and Docker's wildcard.
            None | Some(-1) => Ok(None),
            Some(value) => {
                u32::try_from(value).map(Some).map_err(|_| wrong("a device number is 0 to 4294967295"))
            }
        };
        let mut access = 0;
        for letter in rule.access.as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm").bytes() {
            access |= match letter {
                b'r' => READ,
                b'w' => WRITE,
                b'm' => MKNOD,
                _ => return Err(wrong("the access is made of r, w and m")),
            };
        }
        Ok(Self { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
    }

    /// The accesses as in `rwm`.
    pub(crate) fn letters(&self) -> impl Iterator<Item = char> {
        let access = self.access;
        [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
            .into_iter()
            .filter(move |(bit, _)| access & bit != 0)
            .map(|(_, letter)| letter)
    }

    /// Every device and every access.
    pub(crate) fn covers_all(&self) -> bool {
        self.kind == Kind::Any && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }
}

impl fmt::Display for Rule {
    /// As v1's `devices.allow` takes it: `c 1:3 rwm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Any => 'a',
            Kind::Block => 'b',
            Kind::Character => 'c',
        };
        let number = |value: Option<u32>| value.map_or_else(|| "*".to_owned(), |value| value.to_string());
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        self.letters().try_for_each(|letter| f.write_char(letter))
    }
}

fn describe(rule: &DeviceRule) -> String {
    let number = |value: Option<i64>| value.map_or_else(|| "*".to_owned(), |value| value.to_string());
    let clip = |text: &Option<String>, absent: &str| {
        text.as_deref().unwrap_or(absent).chars().take(20).collect::<String>()
    };
    let verb = if rule.allow { "allow" } else { "deny" };
    format!(
        "\"{verb} {} {}:{} {}\"",
        clip(&rule.kind, "a"),
        number(rule.major),
        number(rule.minor),
        clip(&rule.access, "rwm")
    )
}

/// What the filter must answer: the judge of both forms in their tests.
#[cfg(test)]
pub(crate) fn decide(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    [READ, WRITE, MKNOD].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        let covers = |rule: &&Rule| {
            (rule.kind == Kind::Any || rule.kind == kind)
                && rule.major.is_none_or(|value| value == major)
                && rule.minor.is_none_or(|value| value == minor)
                && rule.access & bit != 0
        };
        rules.iter().rev().find(covers).is_some_and(|rule| rule.allow)
    })
}

/// Rules over few devices, so that they overlap.
#[cfg(test)]
pub(crate) fn any_rule() -> impl proptest::strategy::Strategy<Value = Rule> {
    use proptest::prelude::*;
    let kind = prop_oneof![Just(Kind::Any), Just(Kind::Block), Just(Kind::Character)];
    let number = || proptest::option::of(0u32..3);
    (any::<bool>(), kind, number(), number(), 1u8..=ALL)
        .prop_map(|(allow, kind, major, minor, access)| Rule { allow, kind, major, minor, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, major: Option<i64>, access: &str) -> DeviceRule {
        DeviceRule {
            allow: true,
            kind: Some(kind.to_owned()),
            major,
            minor: None,
            access: Some(access.to_owned()),
        }
    }

    #[test]
    fn rules_are_checked() {
        assert_eq!(Rule::parse(&rule("c", Some(1), "rm")).expect("valid").to_string(), "c 1:* rm");
        assert!(Rule::parse(&DeviceRule::default()).expect("valid").covers_all());
        assert!(Rule::parse(&rule("a", Some(-1), "")).expect("valid").covers_all());
        for bad in [
            rule("x", None, "r"),
            rule("c", Some(-2), "r"),
            rule("c", Some(1 << 32), "r"),
            rule("c", None, "rx"),
        ] {
            let message = Rule::parse(&bad).expect_err("refused").to_string();
            assert!(message.contains("allow") && !message.contains('\n'), "{message}");
        }
    }
}
