//! The fuzz target for what clients say over what is kept of its corpus: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/requests.rs"]
mod requests;

#[test]
fn what_clients_say() {
    for words in corpus::corpus("requests") {
        requests::requests(&words);
        requests::requests(&words[..words.len() / 2]);
    }
}
