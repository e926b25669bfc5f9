//! The fuzz targets for loading and pulling over what is kept of their corpora: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/load.rs"]
mod load;
#[path = "../../../fuzz/src/pieces.rs"]
mod pieces;
#[path = "../../../fuzz/src/pull.rs"]
mod pull;

use conex_tests::needs_root;

/// Runs a target over its corpus; some of it has to be taken, some not.
fn run(target: &str, takes: fn(&[u8]) -> bool) {
    let corpus = corpus::corpus(target);
    let taken = corpus.iter().filter(|bytes| takes(bytes)).count();
    assert!((1..corpus.len()).contains(&taken), "{taken} of {} are taken", corpus.len());
}

/// As root: layers hold files of many owners.
#[test]
fn archives() {
    needs_root!();
    run("load", load::load);
}

#[test]
fn images_in_a_registry() {
    needs_root!();
    run("pull", pull::pull);
}
