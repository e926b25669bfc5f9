//! Names of images, platforms, digests, containers
#![no_main]

#[path = "../src/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    reference::reference(bytes);
});
