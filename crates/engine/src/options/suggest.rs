//! The near name for one that was mistyped.

/// The known name at most two slips (insertions, deletions, replacements, swaps of neighbours) away, the nearest first; case is
/// ignored. Names shorter than four letters allow one slip.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let allowed = if text.chars().count() < 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|name| (slips(text, name), name))
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// Optimal string alignment distance, three rows at a time.
fn slips(left: &str, right: &str) -> usize {
    let fold = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (left, right) = (fold(left), fold(right));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let mut cost =
                (last[column] + usize::from(a != b)).min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                cost = cost.min(before[column - 1] + 1);
            }
            this.push(cost);
        }
        before = std::mem::replace(&mut last, this);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        assert_eq!(slips("kitten", "sitting"), 3);
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("source", "soruce"), 1);
        assert_eq!(nearest("redonly", ["readonly", "source"]), Some("readonly"));
        assert_eq!(nearest("xyz", ["readonly", "source"]), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest("NOFLE", ["nofile", "core"]), Some("nofile"));
    }
}
