//! Leaves the tables for unwinding out of the small program, an eighth of it: its panics abort, and nobody reads them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=small.ld");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("OPT_LEVEL") == "z" {
        let script = std::path::Path::new(&variable("CARGO_MANIFEST_DIR")).join("small.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    }
}
