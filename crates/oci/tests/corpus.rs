//! The fuzz targets for names and documents over what is kept of their corpora: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/manifest.rs"]
mod manifest;
#[path = "../../../fuzz/src/reference.rs"]
mod reference;

use corpus::corpus;

/// Whether the bytes are taken.
type Takes = fn(&[u8]) -> bool;

const TARGETS: [(&str, Takes); 2] = [("reference", reference::reference), ("manifest", manifest::manifest)];

/// Some of each corpus has to be taken, some not.
#[test]
fn the_kept_corpora() {
    for (target, takes) in TARGETS {
        let corpus = corpus(target);
        let taken = corpus.iter().filter(|bytes| takes(bytes)).count();
        assert!((1..corpus.len()).contains(&taken), "{target}: {taken} of {} are taken", corpus.len());
    }
}

#[test]
fn beginnings_and_other_bytes() {
    for (target, takes) in TARGETS {
        for document in corpus(target) {
            for at in (0..document.len()).step_by(document.len() / 20 + 1) {
                takes(&document[..at]);
                for byte in [0, b'/', b':', b'.', b'@', b'"', b'9', 0xff] {
                    let mut changed = document.clone();
                    changed[at] = byte;
                    takes(&changed);
                }
            }
        }
    }
}
