//! Layers unpacked, against their images
#![no_main]

#[path = "../src/recipe.rs"]
mod recipe;
#[path = "../src/sealed.rs"]
mod sealed;
#[path = "../../crates/archive/tests/tree/mod.rs"]
mod tree;
#[path = "../src/unpack.rs"]
mod unpack;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    unpack::unpack(bytes);
});
