//! Archives of images
#![no_main]

#[path = "../src/load.rs"]
mod load;
#[path = "../src/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    load::load(bytes);
});
