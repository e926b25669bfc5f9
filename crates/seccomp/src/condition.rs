//! Comparisons of one argument of a system call with a constant.

use conex_oci::runtime::ArgumentRule;
use serde::Deserialize;

use crate::arch::Arch;
use crate::error::quoted;
use crate::{Error, Result};

/// The specification's operators (config-linux.md#seccomp, `op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

pub(crate) const NAMES: [(Operator, &str); 7] = [
    (Operator::NotEqual, "SCMP_CMP_NE"),
    (Operator::Less, "SCMP_CMP_LT"),
    (Operator::LessOrEqual, "SCMP_CMP_LE"),
    (Operator::Equal, "SCMP_CMP_EQ"),
    (Operator::GreaterOrEqual, "SCMP_CMP_GE"),
    (Operator::Greater, "SCMP_CMP_GT"),
    (Operator::MaskedEqual, "SCMP_CMP_MASKED_EQ"),
];

impl Operator {
    /// From the specification's name.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(operator, _)| *operator).ok_or_else(|| Error::Operator(quoted(name)))
    }

    /// As a specification writes it.
    pub(crate) fn spec_name(self) -> &'static str {
        NAMES.iter().find(|(operator, _)| *operator == self).map_or("", |(_, name)| name)
    }
}

impl TryFrom<String> for Operator {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

/// What a positive comparison asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    /// `argument & mask == value`; equality is a full mask.
    Masked { mask: u64, value: u64 },
    /// `argument > value`
    Greater(u64),
    /// `argument >= value`
    AtLeast(u64),
}

/// A comparison, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub(crate) argument: u8,
    pub(crate) test: Test,
    pub(crate) negated: bool,
    /// Whether the high word of the argument is looked at; it is zero on 32-bit architectures.
    pub(crate) wide: bool,
}

impl Condition {
    /// From a rule of the specification for `syscall` (named in errors), on one architecture.
    pub(crate) fn new(rule: &ArgumentRule, syscall: &str, arch: Arch) -> Result<Self> {
        let argument = u8::try_from(rule.index).ok().filter(|index| *index < 6);
        let argument =
            argument.ok_or_else(|| Error::Argument { syscall: quoted(syscall), index: rule.index })?;
        let value = on(arch, rule.value);
        let (test, negated) = match Operator::parse(&rule.op)? {
            Operator::Equal => (Test::Masked { mask: u64::MAX, value }, false),
            Operator::NotEqual => (Test::Masked { mask: u64::MAX, value }, true),
            Operator::Greater => (Test::Greater(value), false),
            Operator::LessOrEqual => (Test::Greater(value), true),
            Operator::GreaterOrEqual => (Test::AtLeast(value), false),
            Operator::Less => (Test::AtLeast(value), true),
            Operator::MaskedEqual => {
                (Test::Masked { mask: rule.value, value: on(arch, rule.value_two) }, false)
            }
        };
        Ok(Self { argument, test, negated, wide: arch.is_wide() })
    }

    /// `argument == value`
    pub(crate) fn equal(argument: u8, mask: u64, value: u64) -> Self {
        Self { argument, test: Test::Masked { mask, value }, negated: false, wide: false }
    }
}

/// A constant as an architecture passes it: a negative 32-bit number, written with its sign carried to 64 bits, arrives
/// without its high word on a 32-bit one.
fn on(arch: Arch, value: u64) -> u64 {
    let is_negative = value >= 0xffff_ffff_8000_0000;
    if is_negative && !arch.is_wide() { value & 0xffff_ffff } else { value }
}
