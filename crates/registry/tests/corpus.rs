//! The fuzz target for what registries say over what is kept of its corpus, whole and cut: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/registry.rs"]
mod registry;

#[test]
fn what_registries_say() {
    for words in corpus::corpus("registry") {
        for end in (0..words.len()).step_by(words.len() / 60 + 1).chain([words.len()]) {
            registry::registry(&words[..end]);
        }
    }
}
