//! How the small program, the one that is shipped, is linked: without tables for unwinding, an eighth of it (its panics abort,
//! and nobody reads them), and without a C library (`crates/sys/nolibc`).

use std::path::PathBuf;

/// What the standard library asks the linker for on Linux, beside the compiler's own.
const LIBRARIES: [&str; 6] = ["c", "util", "rt", "pthread", "m", "dl"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=small.ld");
    println!("cargo::rustc-check-cfg=cfg(nolibc)");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("OPT_LEVEL") != "s" {
        return;
    }
    let script = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("small.ld");
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    if ["x86_64", "aarch64"].contains(&variable("CARGO_CFG_TARGET_ARCH").as_str())
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
    {
        println!("cargo::rustc-cfg=nolibc");
        // Found before the system's, and empty: a function that is missing is an error here, and not one of glibc's that
        // nobody has set up.
        let empty = PathBuf::from(variable("OUT_DIR"));
        for library in LIBRARIES {
            std::fs::write(empty.join(format!("lib{library}.a")), "!<arch>\n")
                .expect("write an empty archive");
        }
        println!("cargo::rustc-link-arg-bins=-L{}", empty.display());
    }
}
