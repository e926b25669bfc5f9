//! What registries say
#![no_main]

#[path = "../src/registry.rs"]
mod registry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| registry::registry(bytes));
