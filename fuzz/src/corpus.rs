//! What is kept of a target's corpus, for the ordinary tests of the crates.

use std::path::Path;

/// All files, at least some of which have to be there.
pub(crate) fn corpus(target: &str) -> Vec<Vec<u8>> {
    // Of a crate in crates/.
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files =
        std::fs::read_dir(directory).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let corpus: Vec<_> = files.map(|file| std::fs::read(file).expect("a file")).collect();
    assert!(corpus.len() >= 5, "the corpus is gone");
    corpus
}
