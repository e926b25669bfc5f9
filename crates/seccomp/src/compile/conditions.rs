//! Deciding by arguments: 64-bit comparisons in words of 32 bits.

use super::assemble::{Assembler, Compare, Label};
use crate::condition::{Condition, Test};
use crate::rules::Decision;

/// `args` in `struct seccomp_data`.
const ARGUMENTS: u32 = 16;

/// Writes the alternatives of a decision, each with its conditions in a row.
pub(super) fn write(code: &mut Assembler, decision: &Decision) -> Label {
    let mut next = code.ret(decision.otherwise.verdict());
    for rule in decision.rules.iter().rev() {
        let mut matched = code.ret(rule.action.verdict());
        for condition in rule.conditions.iter().rev() {
            matched = compare(code, *condition, matched, next);
        }
        next = matched;
    }
    next
}

fn compare(code: &mut Assembler, condition: Condition, yes: Label, no: Label) -> Label {
    let (yes, no) = if condition.negated { (no, yes) } else { (yes, no) };
    let (low, high) = offsets(condition.argument);
    match condition.test {
        Test::Masked { mask, value } => {
            let yes = masked(code, low, mask as u32, value as u32, yes, no);
            if condition.wide {
                masked(code, high, (mask >> 32) as u32, (value >> 32) as u32, yes, no)
            } else if value >> 32 == 0 {
                yes
            } else {
                no
            }
        }
        Test::Greater(value) => ordered(code, Compare::Greater, condition, value, yes, no),
        Test::AtLeast(value) => ordered(code, Compare::AtLeast, condition, value, yes, no),
    }
}

fn masked(code: &mut Assembler, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
    if value & !mask != 0 {
        return no;
    }
    if mask == 0 || yes == no {
        return yes;
    }
    let branch = code.branch(Compare::Equal, value, yes, no);
    code.load(offset, mask, branch)
}

fn ordered(
    code: &mut Assembler,
    compare: Compare,
    condition: Condition,
    value: u64,
    yes: Label,
    no: Label,
) -> Label {
    let (low, high) = offsets(condition.argument);
    let value_high = (value >> 32) as u32;
    if yes == no || (!condition.wide && value_high != 0) {
        return no;
    }
    let branch = code.branch(compare, value as u32, yes, no);
    let low = code.load(low, u32::MAX, branch);
    if !condition.wide {
        return low;
    }
    let same = code.branch(Compare::Equal, value_high, low, no);
    let branch = code.branch(Compare::Greater, value_high, yes, same);
    code.load(high, u32::MAX, branch)
}

/// Where the low and the high word of an argument lie.
fn offsets(argument: u8) -> (u32, u32) {
    let low = ARGUMENTS + u32::from(argument) * 8;
    if cfg!(target_endian = "little") { (low, low + 4) } else { (low + 4, low) }
}
