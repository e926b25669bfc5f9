//! DNS messages of containers and of name servers
#![no_main]

#[path = "../src/dns.rs"]
mod dns;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dns::dns(bytes);
});
