//! The table of explained differences in docs/runtime-differences.md.

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runtime-differences.md");

/// Stands above the table.
const HEADING: &str = "### Explained differences";

/// A row. `*` stands for any text.
#[derive(Debug)]
pub(crate) struct Row {
    /// The fact, as the probe names it.
    what: String,
    ours: String,
    peer: String,
    theirs: String,
}

/// All rows.
///
/// # Panics
/// When the table is not there.
pub(crate) fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(DOCUMENT).expect("docs/runtime-differences.md");
    let (_, after) = text.split_once(HEADING).expect("the table of explained differences");
    let rows: Vec<Row> = after
        .lines()
        .skip_while(|line| !line.starts_with("|--") && !line.starts_with("| --"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect();
            let [what, ours, peer, theirs, why] = &cells[..] else { panic!("five columns: {line}") };
            assert!(why.len() > 10, "a reason: {line}");
            Row { what: what.clone(), ours: ours.clone(), peer: peer.clone(), theirs: theirs.clone() }
        })
        .collect();
    assert!(!rows.is_empty(), "the table of explained differences has rows");
    rows
}

impl Row {
    /// Whether it speaks of this difference.
    pub(crate) fn explains(&self, what: &str, ours: &str, peer: &str, theirs: &str) -> bool {
        matches(&self.what, what)
            && matches(&self.ours, ours)
            && matches(&self.peer, peer)
            && matches(&self.theirs, theirs)
    }
}

/// A pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[test]
fn patterns_match() {
    assert!(matches("mount * options", "mount /a b options") && matches("*", "") && matches("a", "a"));
    assert!(!matches("mount * options", "mount /a source") && !matches("a", "ab") && !matches("a*c", "ab"));
}
