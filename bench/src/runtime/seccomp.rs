//! The default profile of Conex, which is Docker's but for a few calls, as `linux.seccomp` of a bundle.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bundle::CAPABILITIES;

const PROFILE: &str = include_str!("../../../crates/seccomp/profiles/default.profile");

/// For a process with Docker's capabilities on this architecture.
pub(crate) fn docker_like() -> Value {
    // Unconditional ones go into one rule, as in Docker's.
    let mut rules: BTreeMap<(u8, String), (Value, Vec<&str>)> = BTreeMap::new();
    let mut current = None;
    for line in PROFILE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            current = section(head).map(|rule| {
                let plain = u8::from(rule.get("args").is_some() || rule["action"] != "SCMP_ACT_ALLOW");
                ((plain, head_key(plain, head)), rule)
            });
        } else if let Some((key, rule)) = &current {
            let names = &mut rules.entry(key.clone()).or_insert_with(|| (rule.clone(), Vec::new())).1;
            names.extend(line.split_whitespace());
        }
    }
    let syscalls: Vec<Value> = rules
        .into_values()
        .map(|(mut rule, names)| {
            rule["names"] = json!(names);
            rule
        })
        .collect();
    let architectures = match std::env::consts::ARCH {
        "x86_64" => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        _ => json!([]),
    };
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": architectures, "syscalls": syscalls})
}

fn head_key(conditional: u8, head: &str) -> String {
    if conditional == 0 { String::new() } else { head.to_owned() }
}

/// The rule of a section's head, without names; `None` when a capability decides against it. Every kernel that Conex runs on
/// is newer than those that the profile names.
fn section(head: &str) -> Option<Value> {
    let mut words = head.split_whitespace().peekable();
    let mut rule = match words.next()? {
        "allow" => json!({"action": "SCMP_ACT_ALLOW"}),
        _ => json!({"action": "SCMP_ACT_ERRNO", "errnoRet": if words.next()? == "ENOSYS" { 38 } else { 1 }}),
    };
    while let Some(word) = words.next() {
        let subject = words.next()?;
        let held = CAPABILITIES.contains(&subject);
        match word {
            "if" if subject == "kernel" => drop(words.next()),
            "if" if held => {}
            "unless" if !held => {}
            "where" => rule["args"] = json!([condition(subject, &mut words)?]),
            _ => return None,
        }
    }
    Some(rule)
}

fn condition<'a>(subject: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<Value> {
    let index: u32 = subject.strip_prefix("arg")?.parse().ok()?;
    let operator = words.next()?;
    let value = number(words.next()?)?;
    let name = match operator {
        "<" => "SCMP_CMP_LT",
        "<=" => "SCMP_CMP_LE",
        "==" => "SCMP_CMP_EQ",
        "!=" => "SCMP_CMP_NE",
        ">=" => "SCMP_CMP_GE",
        ">" => "SCMP_CMP_GT",
        "&" => {
            let wanted = words.nth(1).and_then(number)?;
            return Some(
                json!({"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": value, "valueTwo": wanted}),
            );
        }
        _ => return None,
    };
    Some(json!({"index": index, "op": name, "value": value}))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_becomes_rules() {
        let profile = docker_like();
        let rules = profile["syscalls"].as_array().unwrap();
        let plain = rules[0]["names"].as_array().unwrap();
        assert!(plain.len() > 300 && plain.contains(&json!("openat2")), "{}", plain.len());
        assert!(plain.contains(&json!("chroot")) && !plain.contains(&json!("bpf")), "by capability");
        let named = |name: &str| -> Vec<&Value> {
            rules[1..]
                .iter()
                .filter(|rule| rule["names"].as_array().unwrap().contains(&json!(name)))
                .collect()
        };
        assert_eq!((named("personality").len(), named("socket").len(), named("clone3").len()), (5, 3, 1));
        assert_eq!(named("clone3")[0]["errnoRet"], 38);
    }
}
