//! `linux.resources.cpu.cpus` and `.mems`: lists of processors and memory nodes.
//!
//! Both generations take a list that names absent processors without a word (v2 then runs the group on all of its
//! parent's), so the list is checked against what is there. A v1 group takes no process before both its lists are
//! filled, and its lists must lie within those of the group above: new groups get a copy from above first.

use conex_oci::runtime::Cpu;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};
use crate::host::Hierarchy;

const CPUS: &str = "cpuset.cpus";
const MEMS: &str = "cpuset.mems";

pub(crate) fn needed(cpu: &Cpu) -> Option<&'static str> {
    let is_set = |list: &Option<String>| list.as_ref().is_some_and(|list| !list.is_empty());
    let settings = [(is_set(&cpu.cpus), "cpu.cpus"), (is_set(&cpu.mems), "cpu.mems")];
    settings.into_iter().find(|(is_set, _)| *is_set).map(|(_, name)| name)
}

pub(crate) fn apply(group: &Group, cpu: &Cpu) -> Result<()> {
    let lists = [
        ("cpu.cpus", &cpu.cpus, CPUS, "/sys/devices/system/cpu/online"),
        ("cpu.mems", &cpu.mems, MEMS, "/sys/devices/system/node/online"),
    ];
    for (name, list, file, online) in lists {
        let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else { continue };
        let wrong = |why: String| Error::Value {
            limit: name.to_owned(),
            value: list.chars().take(80).collect(),
            why,
        };
        let wanted = parse(list).ok_or_else(|| wrong("it is not a list such as 0-2,7".to_owned()))?;
        // A machine without /sys says nothing about what is there; then the kernel alone decides.
        if let Some(there) = std::fs::read_to_string(online).ok().as_deref().and_then(parse)
            && !is_within(&wanted, &there)
        {
            return Err(wrong(format!("this machine has only {} (the cpuset controller)", text(&there))));
        }
        let limit =
            Limit { controller: "cpuset", name, hint: "this kernel does not have it; drop the setting" };
        group.set(limit, file, list.trim())?;
    }
    Ok(())
}

/// v1: fills the empty lists of a new group, and of those above it up to one that has them.
pub(crate) fn seed(hierarchy: &Hierarchy, group: &Group) -> Result<()> {
    for file in [CPUS, MEMS] {
        let mut from_above = None;
        for above in &group.above(hierarchy)? {
            from_above = Some(fill(above, file, from_above)?);
        }
        fill(group, file, from_above)?;
    }
    Ok(())
}

fn fill(group: &Group, file: &str, from_above: Option<String>) -> Result<String> {
    let now = group.read(file)?;
    match from_above {
        Some(list) if now.trim().is_empty() => {
            group.write(file, list.trim())?;
            Ok(list)
        }
        _ => Ok(now),
    }
}

/// Ranges, both ends included, as the kernel prints and takes them: `0-2,7`.
pub(crate) fn parse(list: &str) -> Option<Vec<(u32, u32)>> {
    let number =
        |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    list.trim()
        .split(',')
        .map(|range| match range.split_once('-') {
            Some((first, last)) => {
                Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
            }
            None => number(range).map(|only| (only, only)),
        })
        .collect()
}

fn is_within(wanted: &[(u32, u32)], there: &[(u32, u32)]) -> bool {
    // The kernel prints its own ranges merged: a wanted one lies in a single one of them.
    wanted.iter().all(|(first, last)| there.iter().any(|(from, to)| from <= first && last <= to))
}

fn text(ranges: &[(u32, u32)]) -> String {
    let range = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0-2,7\n"), Some(vec![(0, 2), (7, 7)]));
        for bad in ["", ",", "a", "2-1", "0-", "-1", "+1", "0;1", "1-2-3", "99999999999", "0,,1"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        let there = [(0, 1), (4, 7)];
        assert!(is_within(&[(0, 0), (5, 7)], &there));
        assert!(!is_within(&[(1, 4)], &there));
        assert!(!is_within(&[(8, 8)], &there));
        assert_eq!(text(&there), "0-1,4-7");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(list in "[0-9,\\- ]{0,30}") {
            if let Some(ranges) = parse(&list) {
                prop_assert_eq!(parse(&text(&ranges)), Some(ranges));
            }
        }
    }
}
