//! The default policy, read from its list. Its form is explained at the head of `profiles/default.profile`.
//!
//! A list of names in lines is read on every start of a container, at a tenth of what JSON would cost.

use std::borrow::Cow;

use conex_oci::runtime::ArgumentRule;

use super::{Architectures, Conditions, Profile, Rule};
use crate::action::ActionName;
use crate::condition::Operator;

static TEXT: &str = include_str!("../../profiles/default.profile");

/// The default policy.
pub(super) fn profile() -> Profile {
    parse(TEXT).unwrap_or_else(|line| unreachable!("line {line} of the default profile; a test reads it"))
}

/// The number of the first line that is not understood is the error.
fn parse(text: &'static str) -> Result<Profile, usize> {
    let mut profile = Profile {
        default: ActionName::KillProcess,
        default_errno: None,
        architectures: Architectures::Listed(Vec::new()),
        flags: None,
        listener_path: None,
        listener_metadata: None,
        rules: Vec::new(),
    };
    let mut map = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let understood = if line.is_empty() || line.starts_with('#') {
            Some(())
        } else if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section(header).map(|rule| profile.rules.push(rule))
        } else if let Some(action) = line.strip_prefix("default ") {
            parse_action(&mut action.split(' ')).map(|(action, errno)| {
                profile.default = action;
                profile.default_errno = errno;
            })
        } else if let Some(names) = line.strip_prefix("arch ") {
            let mut names = names.split(' ').map(|name| format!("SCMP_ARCH_{}", name.to_ascii_uppercase()));
            names.next().map(|native| map.push((native, names.collect())))
        } else {
            let names = line.split_ascii_whitespace().map(Cow::Borrowed);
            profile.rules.last_mut().map(|rule| rule.names.extend(names))
        };
        understood.ok_or(at + 1)?;
    }
    profile.architectures = Architectures::Mapped(map);
    Ok(profile)
}

/// `allow if CAP_BPF where arg0 & 3 == 0`
fn section(header: &str) -> Option<Rule> {
    let mut words = header.split(' ');
    let (action, errno_ret) = parse_action(&mut words)?;
    let mut rule = Rule {
        names: Vec::new(),
        action,
        errno_ret,
        args: Vec::new(),
        includes: Conditions::default(),
        excludes: Conditions::default(),
    };
    while let Some(word) = words.next() {
        match word {
            "if" => condition(&mut rule.includes, &mut words)?,
            "unless" => condition(&mut rule.excludes, &mut words)?,
            "where" => rule.args.push(argument(&mut words)?),
            _ => return None,
        }
    }
    Some(rule)
}

/// `allow`, `errno ENOSYS`
fn parse_action<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(ActionName, Option<u32>)> {
    match words.next()? {
        "allow" => Some((ActionName::Allow, None)),
        "errno" => match words.next()? {
            "EPERM" => Some((ActionName::Errno, Some(1))),
            "ENOSYS" => Some((ActionName::Errno, Some(38))),
            _ => None,
        },
        _ => None,
    }
}

/// `CAP_BPF`, `kernel 4.8`
fn condition<'a>(conditions: &mut Conditions, words: &mut impl Iterator<Item = &'a str>) -> Option<()> {
    match words.next()? {
        "kernel" => conditions.kernel = Some(super::kernel_version(words.next()?)?),
        capability if capability.starts_with("CAP_") => conditions.capabilities.push(capability.to_owned()),
        _ => return None,
    }
    Some(())
}

/// `arg0 & 3 == 0`, `arg1 > 4`
fn argument<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<ArgumentRule> {
    let index = words.next()?.strip_prefix("arg")?.parse().ok()?;
    let operator = words.next()?;
    let value = number(words.next()?)?;
    let rule = |operator: Operator, value_two| ArgumentRule {
        index,
        value,
        value_two,
        op: operator.spec_name().to_owned(),
    };
    Some(match operator {
        "&" => {
            words.next().filter(|word| *word == "==")?;
            rule(Operator::MaskedEqual, number(words.next()?)?)
        }
        "<" => rule(Operator::Less, 0),
        "<=" => rule(Operator::LessOrEqual, 0),
        "==" => rule(Operator::Equal, 0),
        "!=" => rule(Operator::NotEqual, 0),
        ">=" => rule(Operator::GreaterOrEqual, 0),
        ">" => rule(Operator::Greater, 0),
        _ => return None,
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::is_known;

    #[test]
    fn every_line_is_understood_and_every_name_is_a_call() {
        let profile = parse(TEXT).unwrap();
        let mut plain = Vec::new();
        for rule in &profile.rules {
            assert!(!rule.names.is_empty());
            for name in &rule.names {
                assert!(is_known(name), "{name}");
            }
            if rule.args.is_empty()
                && rule.includes == Conditions::default()
                && rule.excludes == Conditions::default()
            {
                plain.extend(rule.names.iter());
            }
        }
        let all = plain.len();
        plain.sort();
        plain.dedup();
        assert_eq!(all, plain.len(), "a name stands twice among what is always allowed");
        assert!((330..400).contains(&all), "{all}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (line, text) in [
            (1, "[allow of]"),
            (1, "[permit]"),
            (1, "read"),
            (2, "[allow]\n[errno EFOO]"),
            (1, "[allow where arg0 & 3]"),
            (1, "[allow where arg0 ~ 3]"),
            (1, "[allow if SYS_ADMIN]"),
        ] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }
}
