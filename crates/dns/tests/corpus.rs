//! The fuzz target for DNS messages over what is kept of its corpus: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/src/dns.rs"]
mod dns;

#[test]
fn the_kept_corpus() {
    let corpus = corpus::corpus("dns");
    let queries = corpus.iter().filter(|bytes| dns::dns(bytes)).count();
    assert!((1..corpus.len()).contains(&queries), "{queries} of {} are queries", corpus.len());
}

#[test]
fn beginnings_and_other_bytes() {
    for mut bytes in corpus::corpus("dns").into_iter().filter(|bytes| bytes.len() < 150) {
        for end in 0..bytes.len() {
            dns::dns(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            let old = bytes[at];
            for other in [0, 0x3f, 0xc0, old ^ 0x20] {
                bytes[at] = other;
                dns::dns(&bytes);
            }
            bytes[at] = old;
        }
    }
}
