//! How many tests passed, failed and were skipped: the last line of `cargo xtask test`.

use std::fmt;
use std::ops::AddAssign;

/// The counts of a test run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Tests that ran and passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that could not run here; each has printed `skipped: why`.
    pub(crate) skipped: u64,
}

impl Summary {
    /// The counts of one `test result: ok. 3 passed; 0 failed; …` line.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |what: &str| {
            counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: 0 })
    }

    /// Counts a test that said why it could not run: libtest had counted it as passed.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.1s";
        assert_eq!(Summary::of_line(line), Some(Summary { passed: 12, failed: 3, skipped: 0 }));
        assert_eq!(Summary::of_line("test result: ok"), None);
        assert_eq!(Summary::of_line("running 3 tests"), None);
    }
}
