//! Tar streams of layers
#![no_main]

#[path = "../src/sealed.rs"]
mod sealed;
#[path = "../src/tar.rs"]
mod tar;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tar::tar(bytes);
});
