//! A real image of six layers, made of Debian packages by tools that build no containers (`cargo xtask debian-image`): what is
//! in it is what GNU tar and the rules for whiteouts make of its layers, it runs, and peers and Conex pass it to each other.

#![allow(missing_docs)]

mod made;
mod peers;
mod reference;
#[path = "../../../crates/archive/tests/tree/mod.rs"]
mod tree;

use std::path::{Path, PathBuf};

use conex_tests::{Conex, skip};
use serde_json::Value;

/// What the archive calls it.
const NAME: &str = "debian-python:1";

/// What its program prints: a line for each part of the image that it uses.
const SAID: &str = "python 3 \nuser 1000 1000 /app\njson {'a': [1, 2]}\njinja2 1+2\nsqlite3 42\nsha256 e3b0c44298fc1c14\n\
    ctypes 3\nauthorities True\nrequests http://x/?a=1\npygments True\nzones ['Etc/UTC']\n";

/// The archive that `cargo xtask test` has made, or the one that is left of an earlier run; skips the test without.
macro_rules! image {
    () => {{
        conex_tests::needs_root!();
        match crate::archive() {
            Some(archive) => archive,
            None => conex_tests::skip!("no image of Debian packages (cargo xtask debian-image says why)"),
        }
    }};
}
use image;

fn archive() -> Option<PathBuf> {
    let named = std::env::var_os("CONEX_TEST_DEBIAN_IMAGE").map(PathBuf::from);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debian-python/debian-python.oci.tar");
    named.or(Some(kept)).filter(|path| path.is_file())
}

/// One Conex with the image, its layers kept one of the two ways.
struct Bed {
    conex: Conex,
    layers: &'static str,
}

impl Bed {
    fn load(layers: &'static str, archive: &Path) -> Self {
        let bed = Self { conex: Conex::new().with_layers(layers), layers };
        let loaded = bed.ok(&["load", "--quiet", "--input", archive.to_str().expect("text")]);
        assert_eq!(loaded, format!("Loaded image: {NAME}\n"));
        bed
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.conex.run(words);
        assert_eq!(output.code, 0, "conex {words:?} ({}): {}", self.layers, output.stderr);
        output.stdout
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.ok(words)).expect("a JSON document")
    }

    /// In a container of the image.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        self.ok(&[
            "run",
            "--rm",
            "--network",
            "none",
            // It has files of ids that no range of 65,536 has.
            "--userns",
            "host",
            "--user",
            "0",
            "--entrypoint",
            "/bin/sh",
            NAME,
            "-c",
            script,
        ])
    }
}

/// Whether it is what the program says, whichever the version of Python.
#[track_caller]
fn assert_said(said: &str) {
    let (version, rest) = said.split_once('\n').expect("lines");
    let (begin, expected) = SAID.split_once('\n').expect("lines");
    assert!(version.starts_with(begin) && rest == expected, "{said}");
}

/// Whether layers can be kept so on this machine.
fn has(layers: &'static str) -> bool {
    Conex::new().with_layers(layers).run(&["info"]).code == 0
}

#[test]
fn runs_and_is_told_apart_layer_by_layer_from_erofs() {
    let archive = image!();
    if !has("erofs") {
        skip!("this kernel mounts no EROFS images here");
    }
    runs_and_is_told_apart(&Bed::load("erofs", &archive));
}

#[test]
fn runs_and_is_told_apart_layer_by_layer_from_directories() {
    let archive = image!();
    runs_and_is_told_apart(&Bed::load("directories", &archive));
}

fn runs_and_is_told_apart(bed: &Bed) {
    assert_said(&bed.ok(&["run", "--rm", "--network", "none", NAME]));
    bed.ok(&["image", "verify", NAME]);

    // Six layers, each with what its step made, and the steps without a layer between and over them.
    let rows =
        bed.ok(&["history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", NAME]);
    let steps: Vec<(u64, &str)> = rows
        .lines()
        .rev()
        .map(|row| {
            row.split_once(' ').map(|(size, by)| (size.parse().expect("bytes"), by)).expect("two words")
        })
        .collect();
    let layers: Vec<u64> = steps.iter().map(|step| step.0).filter(|size| *size > 0).collect();
    assert_eq!((layers.len(), steps.len()), (6, 11), "{rows}");
    assert_eq!(steps[2].1, "RUN apt-get install python3-minimal python3");
    assert_eq!(steps[10], (0, "CMD [\"main.py\"]"));
    assert!((100_000_000..250_000_000).contains(&layers.iter().sum::<u64>()), "{rows}");

    let tree = bed.json(&["image", "tree", "--format", "json", NAME]);
    let rows = tree["Layers"].as_array().expect("a list");
    let field = |layer: usize, name: &str| rows[layer - 1][name].as_u64().expect("a number");
    assert_eq!(rows.len(), 6);
    assert!(field(1, "Added") > 1000 && field(3, "Added") > 500 && field(4, "Added") > 500, "{tree}");
    // The fifth takes away much and brings next to nothing, the last one only adds.
    assert!(field(5, "Deleted") > 50 && field(5, "Size") < 10_000, "{tree}");
    assert_eq!((field(6, "Changed"), field(6, "Deleted")), (0, 0), "{tree}");
    let (all, wasted) = (tree["LayersSize"].as_u64(), tree["WastedSize"].as_u64());
    assert_eq!(all.zip(wasted).map(|(all, wasted)| all - wasted), tree["Size"].as_u64());
    let zone = bed.ok(&["image", "tree", NAME, "/usr/share/zoneinfo/Europe/Berlin"]);
    let zone: Vec<&str> = zone.lines().last().expect("a row").split_whitespace().collect();
    assert_eq!(
        (zone[0], &zone[2..]),
        ("A", &["1", "-", "5", "/usr/share/zoneinfo/Europe/Berlin"][..]),
        "{zone:?}"
    );

    // What is gone is gone for a process, too, and what took its place is there.
    let script = "set -e; for gone in /etc/issue /usr/lib/os-release /usr/share/bash-completion /var/lib/apt/lists \
        /usr/lib/python3/dist-packages/pygments/lexers/__pycache__ /var/log/wtmp; do [ ! -e $gone ]; done; \
        find /usr/share/zoneinfo -type f; [ -f /usr/share/common-licenses ]; readlink /opt; ls -d /etc/localtime/; \
        find / -xdev -name '.wh.*'; stat -c '%n %a %u:%g %h %t,%T' /app/odd/one /app/odd/setuid /app/odd/shared /app/odd/zero";
    let expected = "/usr/share/zoneinfo/Etc/UTC\nusr/local\n/etc/localtime/\n/app/odd/one 644 70000:80000 2 0,0\n\
        /app/odd/setuid 4755 1000:1000 1 0,0\n/app/odd/shared 3777 1000:1000 1 0,0\n/app/odd/zero 644 1000:1000 1 1,5\n";
    // The link count of a directory is the file system's own affair.
    let said = bed.shell(script).replace("3777 1000:1000 2 ", "3777 1000:1000 1 ");
    assert_eq!(said, expected);
}

#[test]
fn holds_what_gnu_tar_and_the_whiteouts_leave() {
    let archive = image!();
    let erofs = has("erofs");
    let scratch = tempfile::Builder::new().prefix("conex-debian-").tempdir().expect("a directory");
    let layout = reference::layout(&archive, scratch.path());
    let rootfs = scratch.path().join("rootfs");
    reference::unpack(&layout, &rootfs);
    let expected = tree::look(&rootfs);
    assert!(expected.len() > 5000, "{}", expected.len());
    for layers in ["erofs", "directories"].into_iter().filter(|layers| erofs || *layers != "erofs") {
        let bed = Bed::load(layers, &archive);
        let mounted = bed.ok(&["image", "mount", NAME]);
        let mut found = tree::look(Path::new(mounted.trim()));
        // The root is that of a view, made for this mount.
        let root = found.get_mut(Path::new("")).expect("a root");
        root.mtime = expected[Path::new("")].mtime;
        tree::assert_same(&found, &expected, layers);
        bed.ok(&["image", "unmount", NAME]);
    }
}
