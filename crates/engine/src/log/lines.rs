//! Cuts a stream into lines of at most 16 KiB, as Docker's copier does.

/// Docker's buffer: a longer line is cut into pieces of this size, and only the last has a newline.
pub(super) const LONGEST: usize = 16 << 10;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Hands every finished line (with its newline) and every full piece (without) to `each`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LONGEST - self.unfinished.len();
            let end = bytes.iter().take(room).position(|&byte| byte == b'\n');
            let (now, later) = bytes.split_at(end.map_or(bytes.len().min(room), |end| end + 1));
            bytes = later;
            if end.is_none() && now.len() < room {
                self.unfinished.extend_from_slice(now);
            } else if self.unfinished.is_empty() {
                each(now);
            } else {
                self.unfinished.extend_from_slice(now);
                each(&self.unfinished);
                // A buffer of 16 KiB is not worth keeping in every idle supervisor.
                self.unfinished = Vec::new();
            }
        }
    }

    /// What is unfinished, if anything.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        (!self.unfinished.is_empty()).then(|| std::mem::take(&mut self.unfinished))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, |line| seen.push(line.to_vec()));
        }
        seen.extend(lines.take());
        seen
    }

    #[test]
    fn long_lines_are_cut_at_16_kib() {
        let long = vec![b'x'; LONGEST + 3];
        let seen = cut(&[&long, b"\nshort\n", b"end"]);
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, 4, 6, 3]);
        let exact = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert_eq!(cut(&[&exact]).iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, 1]);
    }

    proptest! {
        // The texts are long.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn nothing_is_lost_and_chunking_does_not_matter(text in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => Just(b'\n')], 0..3 * LONGEST), at in any::<prop::sample::Index>()) {
            let whole = cut(&[&text]);
            prop_assert_eq!(whole.concat(), text.clone());
            let (left, right) = text.split_at(if text.is_empty() { 0 } else { at.index(text.len()) });
            prop_assert_eq!(cut(&[left, right]), whole);
        }
    }
}
