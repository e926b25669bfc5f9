//! The fuzz target for config.json, over the kept corpus and what comes of it by cutting, flipping and putting odd values in
//! every place: `fuzz/` has the long runs.

#[path = "../../../fuzz/src/config.rs"]
mod fuzz;

use std::path::PathBuf;

use serde_json::{Value, json};

fn corpus() -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/config");
    let files =
        std::fs::read_dir(directory).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let corpus: Vec<_> = files.map(|file| std::fs::read(file).expect("a document")).collect();
    assert!(corpus.len() >= 6, "the corpus is gone");
    corpus
}

#[test]
fn the_corpus_and_all_its_beginnings() {
    for document in corpus() {
        (0..=document.len())
            .step_by(document.len() / 1000 + 1)
            .for_each(|end| fuzz::config(&document[..end]));
    }
}

#[test]
fn other_bytes() {
    for document in corpus() {
        // The large ones in some 250 places.
        for at in (0..document.len()).step_by(document.len() / 250 + 1) {
            for byte in [0, b'"', b'{', b']', b'-', b'9', b'\\', 0xff] {
                let mut document = document.clone();
                document[at] = byte;
                fuzz::config(&document);
            }
        }
    }
}

#[test]
fn odd_values_everywhere() {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\u{0}"),
        json!("../../../../etc/passwd"),
        json!("x".repeat(5000)),
        json!([]),
        json!({}),
        json!(["", 7]),
        json!({"": {}}),
        deep,
    ];
    for document in corpus() {
        let Ok(document) = serde_json::from_slice::<Value>(&document) else { continue };
        for pointer in pointers(&document) {
            for value in &odd {
                let mut document = document.clone();
                *document.pointer_mut(&pointer).expect("it was found there") = value.clone();
                fuzz::config(document.to_string().as_bytes());
            }
        }
    }
}

/// All places of a document (RFC 6901).
fn pointers(document: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut under = |name: String, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        found.extend(pointers(value).into_iter().map(|below| format!("/{name}{below}")));
    };
    match document {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| under(name.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| under(at.to_string(), value)),
        _ => {}
    }
    found
}
