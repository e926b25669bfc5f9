//! Builds the `hello` image that the program carries in itself: compiles `images/hello` for the same target, static and
//! small, and puts it in an OCI archive. The same sources and compiler give the same bytes.

#[path = "build/archive.rs"]
mod archive;
#[path = "build/sha256.rs"]
mod sha256;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let source = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../images/hello/src");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=RUSTC");

    let program = out.join("hello");
    compile(&variable("RUSTC"), &variable("TARGET"), &source, &program);
    let program =
        fs::read(&program).unwrap_or_else(|error| panic!("cannot read {}: {error}", program.display()));
    let image = archive::image(&program, &variable("CARGO_CFG_TARGET_ARCH"), &variable("CARGO_PKG_VERSION"));
    let path = out.join("hello.oci.tar");
    fs::write(&path, image).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

fn compile(rustc: &str, target: &str, source: &Path, program: &Path) {
    let mut command = Command::new(rustc);
    command
        .args(["--edition=2024", "--crate-name=hello", "--crate-type=bin", "--target", target])
        .args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Clto=fat", "-Ccodegen-units=1"])
        .args(["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Awarnings"])
        .arg(format!("--remap-path-prefix={}=hello", source.display()))
        .arg("-o")
        .arg(program)
        .arg(source.join("main.rs"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = std::ffi::OsString::from("-Clinker=");
        flag.push(linker);
        command.arg(flag);
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {rustc}: {error}"));
    assert!(status.success(), "cannot compile images/hello: {rustc} failed with {status}");
}
