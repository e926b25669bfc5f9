//! Failures that are known, with their reasons.

/// Lines of `SUITE TEST = REASON`; the test may end in `*`.
const KNOWN: &str = include_str!("known.txt");

/// Why a test of a suite fails; `None` when it should pass.
pub(crate) fn reason(suite: &str, test: &str) -> Option<&'static str> {
    find(KNOWN, suite, test)
}

/// Whether a line names exactly this test.
pub(crate) fn is_one(suite: &str, test: &str) -> bool {
    KNOWN.lines().any(|line| line.starts_with(&format!("{suite} {test} = ")))
}

fn find<'a>(known: &'a str, suite: &str, test: &str) -> Option<&'a str> {
    known.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (name, reason) = line.strip_prefix(suite)?.strip_prefix(' ')?.split_once(" = ")?;
        let named = match name.strip_suffix('*') {
            Some(beginning) => test.starts_with(beginning),
            None => test == name,
        };
        named.then_some(reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found() {
        let known = "# contest no = comment\ncontest a::b = because\ncontest c::* = all of it\n";
        assert_eq!(find(known, "contest", "a::b"), Some("because"));
        assert_eq!(find(known, "contest", "c::d"), Some("all of it"));
        assert_eq!(find(known, "contest", "a::bc"), None);
        assert_eq!(find(known, "runtime-tools", "a::b"), None);
    }

    #[test]
    fn each_line_has_a_reason() {
        for line in KNOWN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let suite = line.split(' ').next().unwrap_or_default();
            assert!(["contest", "runtime-tools"].contains(&suite) && line.contains(" = "), "{line}");
        }
    }
}
