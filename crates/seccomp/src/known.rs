//! The names that a profile may hold, for a runtime's features document (features-linux.md#seccomp).

use conex_sys::seccomp::{Flags, knows};

use crate::{action, arch, condition};

const FLAGS: [(&str, Flags); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", Flags::TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", Flags::LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", Flags::SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", Flags::WAIT_KILLABLE_RECV),
];

/// Actions, sorted.
pub fn actions() -> Vec<&'static str> {
    sorted(action::NAMES.iter().map(|(_, name)| *name))
}

/// Operators of argument filters, sorted.
pub fn operators() -> Vec<&'static str> {
    sorted(condition::NAMES.iter().map(|(_, name)| *name))
}

/// Architectures, also those whose calls no kernel of a supported machine runs, sorted.
pub fn architectures() -> Vec<&'static str> {
    sorted(arch::NAMES.iter().map(|(name, _)| *name))
}

/// Flags, sorted.
pub fn flags() -> Vec<&'static str> {
    sorted(FLAGS.iter().map(|(name, _)| *name))
}

/// Those of them that this kernel has, sorted.
pub fn supported_flags() -> Vec<&'static str> {
    sorted(FLAGS.iter().filter(|(_, flag)| knows(*flag)).map(|(name, _)| *name))
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use conex_oci::runtime::Seccomp;

    #[test]
    fn every_flag_is_one_that_is_understood() {
        for flag in super::flags() {
            let seccomp = Seccomp {
                default_action: "SCMP_ACT_ALLOW".to_owned(),
                flags: Some(vec![flag.to_owned()]),
                ..Seccomp::default()
            };
            crate::compile(&seccomp).unwrap_or_else(|error| panic!("{flag}: {error}"));
        }
    }
}
