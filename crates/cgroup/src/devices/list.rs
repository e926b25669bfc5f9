//! The device filter as v1's `devices.deny` and `devices.allow` take it.
//!
//! v1 keeps one behaviour ("deny all" or "allow all") and a set of exceptions, and a rule only removes an exception that
//! is exactly its own. So the ordered rules are first turned into one behaviour and a set; a rule that cuts a piece out
//! of a wider exception cannot be said in v1, and is an error.

use crate::error::{Error, Result};

use super::rule::{Kind, Rule};

/// The writes, in order, for a new group.
pub(crate) fn writes(rules: &[Rule]) -> Result<Vec<(&'static str, String)>> {
    let (allows_all, exceptions) = settled(rules)?;
    let (behaviour, file) =
        if allows_all { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let exceptions = exceptions.iter().map(|exception| (file, exception.to_string()));
    Ok(std::iter::once((behaviour, "a".to_owned())).chain(exceptions).collect())
}

/// Whether everything is allowed, and the exceptions from that.
pub(crate) fn settled(rules: &[Rule]) -> Result<(bool, Vec<Rule>)> {
    let mut allows_all = false;
    let mut exceptions: Vec<Rule> = Vec::new();
    for rule in rules.iter().flat_map(|rule| split(*rule)) {
        if rule.covers_all() {
            allows_all = rule.allow;
            exceptions.clear();
            continue;
        }
        if rule.allow != allows_all {
            exceptions.push(rule);
            continue;
        }
        // Back to the behaviour: what earlier exceptions said about these devices goes.
        for exception in &mut exceptions {
            if exception.access & rule.access == 0 || !overlaps(exception, &rule) {
                continue;
            }
            if !contains(&rule, exception) {
                let why = "cgroup v1 cannot take it out of a wider rule before it; order or narrow the rules";
                return Err(Error::DeviceRule { rule: format!("{rule:?}", rule = rule.to_string()), why });
            }
            exception.access &= !rule.access;
        }
        exceptions.retain(|exception| exception.access != 0);
    }
    Ok((allows_all, exceptions))
}

/// v1 takes `a` for everything only: a narrower rule for both kinds becomes one for each.
fn split(rule: Rule) -> Vec<Rule> {
    if rule.kind != Kind::Any || rule.covers_all() {
        return vec![rule];
    }
    vec![Rule { kind: Kind::Block, ..rule }, Rule { kind: Kind::Character, ..rule }]
}

fn overlaps(one: &Rule, other: &Rule) -> bool {
    let numbers = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    one.kind == other.kind && numbers(one.major, other.major) && numbers(one.minor, other.minor)
}

fn contains(outer: &Rule, inner: &Rule) -> bool {
    let numbers = |outer: Option<u32>, inner: Option<u32>| outer.is_none() || outer == inner;
    outer.kind == inner.kind && numbers(outer.major, inner.major) && numbers(outer.minor, inner.minor)
}

#[cfg(test)]
mod tests {
    use super::super::rule::{ALL, any_rule, decide};
    use super::*;
    use proptest::prelude::*;

    /// What the v1 controller would answer after these writes: an exception must cover a whole access (in "deny all"),
    /// or none of it (in "allow all").
    fn judge(writes: &[(&str, String)], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let allows_all = writes[0].0 == "devices.allow";
        let letter = if kind == Kind::Block { "b" } else { "c" };
        let matching = writes[1..].iter().filter_map(|(_, entry)| {
            let mut words = entry.split([' ', ':']);
            let mut word = || words.next().expect("four words");
            let (kind, a, b, letters) = (word(), word(), word(), word());
            let is = |text: &str, number: u32| text == "*" || text == number.to_string();
            let bits = letters.bytes().fold(0u8, |bits, letter| {
                bits | match letter {
                    b'r' => 2,
                    b'w' => 4,
                    _ => 1,
                }
            });
            (kind == letter && is(a, major) && is(b, minor)).then_some(bits)
        });
        let bits = matching.fold(0, |all, bits| all | bits);
        if allows_all { bits & access == 0 } else { bits & access == access }
    }

    fn rule(allow: bool, kind: Kind, major: Option<u32>, minor: Option<u32>) -> Rule {
        Rule { allow, kind, major, minor, access: ALL }
    }

    #[test]
    fn the_usual_allow_list() {
        let rules = [
            rule(false, Kind::Any, None, None),
            rule(true, Kind::Character, Some(1), Some(3)),
            rule(true, Kind::Character, Some(136), None),
        ];
        let writes = writes(&rules).expect("sayable");
        let expected =
            [("devices.deny", "a"), ("devices.allow", "c 1:3 rwm"), ("devices.allow", "c 136:* rwm")];
        assert_eq!(writes, expected.map(|(file, entry)| (file, entry.to_owned())));
    }

    #[test]
    fn a_hole_in_a_wider_rule_is_refused() {
        let rules =
            [rule(true, Kind::Character, Some(1), None), rule(false, Kind::Character, Some(1), Some(3))];
        assert!(writes(&rules).is_err());
    }

    proptest! {
        #[test]
        fn what_can_be_said_is_said_right(rules in proptest::collection::vec(any_rule(), 0..6)) {
            let Ok(writes) = writes(&rules) else { return Ok(()) };
            for kind in [Kind::Block, Kind::Character] {
                for (major, minor) in (0..4).flat_map(|major| (0..4).map(move |minor| (major, minor))) {
                    for access in 1..=ALL {
                        let expected = decide(&rules, kind, major, minor, access);
                        prop_assert_eq!(judge(&writes, kind, major, minor, access), expected, "{:?}", writes);
                    }
                }
            }
        }
    }
}
