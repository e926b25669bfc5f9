//! EROFS images
#![no_main]

#[path = "../src/erofs.rs"]
mod erofs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(erofs::erofs(bytes)));
