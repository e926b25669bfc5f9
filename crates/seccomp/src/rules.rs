//! From the specification's rules, by name, to what holds for each number of one architecture.
//!
//! The meaning given to a profile (runc's and libseccomp's, made independent of the order of rules):
//! - the rules of a call are alternatives; when several match, the strictest action wins, of two errors the first;
//! - the conditions of a rule hold together, unless two of them look at the same argument: then each is a rule of its
//!   own, which profiles in the field rely on;
//! - a rule without conditions that says what the default says adds nothing, so it does not win over one with conditions
//!   (libseccomp refuses such a rule and runc skips it);
//! - names that the architecture does not have are skipped;
//! - with ERRNO as the default, a call newer than our table gets ENOSYS, so that C libraries fall back instead of
//!   failing.

use std::collections::BTreeMap;

use conex_oci::runtime::{Seccomp, SyscallRule};

use crate::action::{Action, ENOSYS};
use crate::arch::Arch;
use crate::condition::Condition;
use crate::syscalls::Numbers;
use crate::{Error, Result, multiplexed};

/// One alternative.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    /// All hold; none means always.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

/// What holds for a call: the first rule that matches, else `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decision {
    pub(crate) rules: Vec<Rule>,
    pub(crate) otherwise: Action,
}

impl Decision {
    /// The same for every call.
    pub(crate) fn always(action: Action) -> Self {
        Self { rules: Vec::new(), otherwise: action }
    }

    fn new(mut rules: Vec<Rule>, default: Action) -> Self {
        rules.sort_by_key(|rule| rule.action.leniency());
        let unconditional = rules.iter().position(|rule| rule.conditions.is_empty());
        let otherwise = unconditional.map_or(default, |at| rules[at].action);
        rules.truncate(unconditional.unwrap_or(rules.len()));
        while rules.last().is_some_and(|rule| rule.action == otherwise) {
            rules.pop();
        }
        Self { rules, otherwise }
    }
}

/// What holds for the numbers from `first` up to the next range's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) decision: Decision,
}

/// How many alternatives the calls of one architecture may have together: some hundred times what profiles in the field
/// have, and little memory. A profile is small where names and conditions multiply.
const ALTERNATIVES: usize = 1 << 16;

/// The ranges of one architecture in rising order, neighbours different, from its first number on.
pub(crate) fn ranges(seccomp: &Seccomp, default: Action, arch: Arch) -> Result<Vec<Range>> {
    let numbers = Numbers::of(arch);
    let mut by_number: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    let mut budget = ALTERNATIVES;
    for rule in &seccomp.syscalls {
        let mut alternatives = alternatives(rule, arch)?;
        alternatives.retain(|rule| !rule.conditions.is_empty() || rule.action != default);
        for name in &rule.names {
            budget = budget.checked_sub(alternatives.len()).ok_or(Error::TooMany)?;
            if let Some(number) = numbers.get(name) {
                by_number.entry(number).or_default().extend(alternatives.iter().cloned());
            }
            if arch == Arch::X86
                && let Some(call) = multiplexed::find(name)
                && let Some(number) = numbers.get(call.through)
            {
                let rules = alternatives.iter().filter_map(|rule| call.rule(rule, default));
                by_number.entry(number).or_default().extend(rules);
            }
        }
    }

    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |first, decision| {
        if ranges.last().is_none_or(|last| last.decision != decision) {
            ranges.push(Range { first, decision });
        }
    };
    let newer = match default {
        Action::Errno(_) => Action::Errno(ENOSYS),
        _ => default,
    };
    let beyond = numbers.newest() + 1;
    let mut next = arch.number_bit();
    for (number, rules) in by_number {
        gap(&mut push, next..number, beyond, default, newer);
        push(number, Decision::new(rules, default));
        next = number + 1;
    }
    gap(&mut push, next..u32::MAX, beyond, default, newer);
    Ok(ranges)
}

/// Numbers that no rule names: the default, and what newer calls get from `beyond` on.
fn gap(
    push: &mut impl FnMut(u32, Decision),
    numbers: std::ops::Range<u32>,
    beyond: u32,
    default: Action,
    newer: Action,
) {
    if numbers.start < numbers.end.min(beyond) {
        push(numbers.start, Decision::always(default));
    }
    if numbers.start.max(beyond) < numbers.end {
        push(numbers.start.max(beyond), Decision::always(newer));
    }
}

/// A rule of the specification as the alternatives it stands for on one architecture.
fn alternatives(rule: &SyscallRule, arch: Arch) -> Result<Vec<Rule>> {
    let action = Action::parse(&rule.action, rule.errno_ret)?;
    if action == Action::Notify && rule.names.iter().any(|name| name == "write") {
        return Err(Error::Notify("applied to write"));
    }
    let syscall = rule.names.first().map_or("", String::as_str);
    let conditions =
        rule.args.iter().map(|arg| Condition::new(arg, syscall, arch)).collect::<Result<Vec<_>>>()?;
    let mut seen = [false; 6];
    let repeats = conditions.iter().any(|c| std::mem::replace(&mut seen[usize::from(c.argument)], true));
    if repeats {
        return Ok(conditions.into_iter().map(|c| Rule { conditions: vec![c], action }).collect());
    }
    Ok(vec![Rule { conditions, action }])
}
