//! Images in a registry
#![no_main]

#[path = "../src/pieces.rs"]
mod pieces;
#[path = "../src/pull.rs"]
mod pull;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pull::pull(bytes);
});
