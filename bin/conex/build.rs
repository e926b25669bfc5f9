//! Builds what the program carries in itself: the `hello` image, made of `images/hello` compiled for the same target, static
//! and small, in an OCI archive; the init of `--init` (docs/adr/0007), and the image of pods that it is alone in. The same sources and compiler give the same bytes.

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

    let init = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../crates/sys/init/main.rs");
    println!("cargo::rerun-if-changed={}", init.display());
    let (rustc, target) = (variable("RUSTC"), variable("TARGET"));
    // Neither a C library nor its start files: the init is its own.
    let bare = ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,norelro"];
    compile(
        &rustc,
        &target,
        &init,
        &out.join("init"),
        &bare.map(|argument| format!("-Clink-arg={argument}")),
    );

    let program = out.join("hello");
    let hello = ["-Ctarget-feature=+crt-static".to_owned()];
    compile(&rustc, &target, &source.join("main.rs"), &program, &hello);
    let program =
        fs::read(&program).unwrap_or_else(|error| panic!("cannot read {}: {error}", program.display()));
    let hello = archive::Content {
        name: "hello",
        reference: "docker.io/library/hello:latest",
        description: "What a container is made of, told from inside",
        program: &program,
    };
    let init = out.join("init");
    let init = fs::read(&init).unwrap_or_else(|error| panic!("cannot read {}: {error}", init.display()));
    let pause = archive::Content {
        name: "pause",
        reference: "localhost/conex/pause:latest",
        description: "Keeps what a pod's containers share",
        program: &init,
    };
    for content in [hello, pause] {
        let image =
            archive::image(&content, &variable("CARGO_CFG_TARGET_ARCH"), &variable("CARGO_PKG_VERSION"));
        let path = out.join(format!("{}.oci.tar", content.name));
        fs::write(&path, image).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

fn compile(rustc: &str, target: &str, source: &Path, program: &Path, options: &[String]) {
    let directory = source.parent().unwrap_or(source);
    let mut command = Command::new(rustc);
    command
        .args(["--edition=2024", "--crate-name=builtin", "--crate-type=bin", "--target", target])
        .args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Ccodegen-units=1"])
        .args(["-Crelocation-model=static", "-Awarnings"])
        .args(options)
        .arg(format!("--remap-path-prefix={}=builtin", directory.display()))
        .arg("-o")
        .arg(program)
        .arg(source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = std::ffi::OsString::from("-Clinker=");
        flag.push(linker);
        command.arg(flag);
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {rustc}: {error}"));
    assert!(status.success(), "cannot compile {}: {rustc} failed with {status}", source.display());
}
