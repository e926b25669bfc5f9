//! Finding the decision for a number: a balanced tree over ranges.

use std::collections::BTreeMap;

use super::assemble::{Assembler, Compare, Label};
use super::conditions;
use crate::rules::Range;

/// A stretch of numbers decided alike but for a few single ones.
struct Leaf {
    first: u32,
    common: Label,
    exceptions: Vec<(u32, Label)>,
}

/// More exceptions in a row would cost more comparisons than a deeper tree.
const EXCEPTIONS: usize = 3;

/// Writes the search for the number in the accumulator. The first range holds below its first number too.
pub(super) fn write(code: &mut Assembler, ranges: &[Range]) -> Label {
    let mut written = BTreeMap::new();
    for range in ranges {
        if !written.contains_key(&range.decision) {
            let label = conditions::write(code, &range.decision);
            written.insert(&range.decision, label);
        }
    }
    let labels: Vec<Label> = ranges.iter().map(|range| written[&range.decision]).collect();
    tree(code, &leaves(ranges, &labels))
}

/// Joins ranges like `A b A c A`, where b and c are single numbers.
fn leaves(ranges: &[Range], labels: &[Label]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut at = 0;
    while at < ranges.len() {
        let common = labels[at];
        let mut leaf = Leaf { first: ranges[at].first, common, exceptions: Vec::new() };
        while leaf.exceptions.len() < EXCEPTIONS
            && at + 2 < ranges.len()
            && labels[at + 2] == common
            && ranges[at + 2].first - ranges[at + 1].first == 1
        {
            leaf.exceptions.push((ranges[at + 1].first, labels[at + 1]));
            at += 2;
        }
        leaves.push(leaf);
        at += 1;
    }
    leaves
}

fn tree(code: &mut Assembler, leaves: &[Leaf]) -> Label {
    if let [leaf] = leaves {
        return leaf.exceptions.iter().rev().fold(leaf.common, |otherwise, (number, label)| {
            code.branch(Compare::Equal, *number, *label, otherwise)
        });
    }
    let (low, high) = leaves.split_at(leaves.len() / 2);
    let at_least = tree(code, high);
    let below = tree(code, low);
    code.branch(Compare::AtLeast, high[0].first, at_least, below)
}
