//! A store to be damaged, and the damage.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, Dice, Entry, Forge, Output, Registry, archive, finish};
use serde_json::Value;

/// The forms of layers that this machine has.
pub(crate) const FORMS: [&str; 2] = ["erofs", "directories"];

/// Alpine, pulled from a registry of its own; busybox, loaded; and `app:1` of two plain layers.
pub(crate) struct Store {
    pub(crate) conex: Conex,
    pub(crate) form: &'static str,
    pub(crate) alpine: String,
    pub(crate) registry: Registry,
    dice: Dice,
}

impl Store {
    /// `None` where an image or a tool is missing, or the form of layers is not to be had.
    pub(crate) fn new(form: &'static str, seed: u64) -> Option<Self> {
        let (alpine, busybox) = (archive("alpine-3.20.oci.tar")?, archive("busybox-1.38-musl.oci.tar")?);
        let registry = Registry::start()?;
        registry.fill(&alpine, "some/alpine:3.20");
        let name = format!("{}/some/alpine:3.20", registry.address());
        let store = Self {
            conex: Conex::new().with_layers(form),
            form,
            alpine: name,
            registry,
            dice: Dice::new(seed),
        };
        if store.run(&["info"]).code != 0 {
            return None;
        }
        store.ok(&["pull", "--quiet", &store.alpine]);
        store.ok(&["load", "--quiet", "--input", busybox.to_str()?]);
        let app =
            Forge::with_busybox()?.named("app:1").layer(&[Entry::File("content", b"of the second layer")]);
        let scratch = store.conex.scratch().join("app.tar");
        fs::write(&scratch, app.archive()).expect("written");
        store.ok(&["load", "--quiet", "--input", scratch.to_str()?]);
        store.all_run();
        store.assert_sound();
        Some(store)
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.conex.run(words)
    }

    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.code, 0, "{} {words:?}: {output:?}", self.form);
        output.stdout
    }

    /// What a check finds: the exit code, and its findings.
    #[track_caller]
    pub(crate) fn check(&self, flags: &[&str]) -> (i32, Vec<Value>) {
        let words = [&["system", "check", "--format", "json"], flags].concat();
        let output = self.run(&words);
        assert!(output.stderr.is_empty(), "{}: {output:?}", self.form);
        let findings =
            output.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line"));
        (output.code, findings.collect())
    }

    /// That there is a finding of this kind, on this, with these words in it, and it was told of as damage.
    #[track_caller]
    pub(crate) fn finds(&self, kind: &str, name: &str, words: &str) {
        let (code, findings) = self.check(&[]);
        let found = findings.iter().any(|finding| {
            finding["Kind"] == kind
                && finding["Name"].as_str().is_some_and(|text| text.contains(name))
                && finding["Problem"].as_str().is_some_and(|text| text.contains(words))
                && finding["State"] == "damaged"
        });
        assert!(found && code == 1, "{}: {code}, no {kind} {name} {words:?} in {findings:#?}", self.form);
    }

    /// That a repair with these flags mends all, and says so.
    #[track_caller]
    pub(crate) fn mends(&self, flags: &[&str]) -> Vec<Value> {
        let (code, findings) = self.check(&[&["--repair"], flags].concat());
        assert_eq!(code, 0, "{}: {findings:#?}", self.form);
        assert!(findings.iter().all(|finding| finding["State"] != "damaged"), "{}: {findings:#?}", self.form);
        let (code, left) = self.check(&[]);
        assert!(code == 0 && left.is_empty(), "{}: {findings:#?} left {left:#?}", self.form);
        findings
    }

    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let output = self.run(&["system", "check"]);
        assert!(output.code == 0 && output.stdout.ends_with(": sound\n"), "{}: {output:?}", self.form);
        assert_eq!(output.stdout.lines().count(), 1, "{}: {output:?}", self.form);
    }

    /// Every image that is listed runs, and is what it is called.
    #[track_caller]
    pub(crate) fn all_run(&self) {
        let verified = self.run(&["image", "verify"]);
        assert_eq!(verified.code, 0, "{}: {verified:?}", self.form);
        for image in [&self.alpine[..], "busybox:1.38.0-musl", "app:1"] {
            let words = ["run", "--rm", "--pull", "never", "--network", "none", image, "echo", "it runs"];
            assert_eq!(self.ok(&words), "it runs\n", "{image}");
        }
        assert_eq!(
            self.ok(&["run", "--rm", "--network", "none", "app:1", "cat", "/content"]),
            "of the second layer"
        );
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.conex.root().join(below)
    }

    /// All files in a directory of the store, in order of their names.
    pub(crate) fn files(&self, directory: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files
    }

    /// The layers' images; of directories there are none.
    pub(crate) fn layers(&self) -> Vec<PathBuf> {
        let images = self.files("layers").into_iter().map(|layer| layer.join("layer.erofs"));
        images.filter(|image| image.exists()).collect()
    }

    /// Flips a bit somewhere in a file; tells where, for the message of a failure.
    pub(crate) fn flip(&mut self, path: &Path) -> String {
        let mut bytes = fs::read(path).expect("read");
        let at = usize::try_from(self.dice.roll(bytes.len() as u64)).expect("small");
        let bit = self.dice.roll(8);
        bytes[at] ^= 1 << bit;
        // In place, as a disk does it: no new file.
        fs::write(path, &bytes).expect("written");
        format!("bit {bit} of byte {at} of {}", path.display())
    }
}

/// A way to spoil a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Flipped,
    Truncated,
    Longer,
    Missing,
    Link,
    Directory,
    Fifo,
}

pub(crate) const DAMAGES: [Damage; 7] = [
    Damage::Flipped,
    Damage::Truncated,
    Damage::Longer,
    Damage::Missing,
    Damage::Link,
    Damage::Directory,
    Damage::Fifo,
];

impl Damage {
    pub(crate) fn is_done_to(self, store: &mut Store, path: &Path) {
        let bytes = fs::read(path).expect("read");
        match self {
            Self::Flipped => drop(store.flip(path)),
            Self::Truncated => {
                let left = usize::try_from(store.dice.roll(bytes.len() as u64)).expect("small");
                fs::write(path, &bytes[..left]).expect("written");
            }
            Self::Longer => fs::write(path, [&bytes[..], b"x"].concat()).expect("written"),
            Self::Missing => fs::remove_file(path).expect("removed"),
            // To what would be the right thing, if it were followed.
            Self::Link => {
                let elsewhere = store.conex.scratch().join("elsewhere");
                fs::rename(path, &elsewhere).expect("renamed");
                symlink(&elsewhere, path).expect("a link");
            }
            Self::Directory => {
                fs::remove_file(path).expect("removed");
                fs::create_dir(path).expect("a directory");
                fs::write(path.join("file"), "somebody's").expect("written");
            }
            Self::Fifo => {
                fs::remove_file(path).expect("removed");
                let made = finish(Command::new("mkfifo").arg(path));
                assert_eq!(made.code, 0, "{made:?}");
            }
        }
    }

    /// What a check says of a blob that this was done to.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Flipped => "changed",
            Self::Truncated => "truncated",
            Self::Longer => "too long",
            Self::Missing => "missing",
            Self::Link => "is a symbolic link",
            Self::Directory => "is a directory",
            Self::Fifo => "is a FIFO",
        }
    }
}

/// A store in each form that there is, or in one form; without any image or tool the test is skipped.
#[macro_export]
macro_rules! stores {
    ($seed:expr) => {
        $crate::stores!($seed, &$crate::attack::FORMS)
    };
    ($seed:expr, $forms:expr) => {{
        conex_tests::needs_root!();
        let stores: Vec<_> =
            $forms.iter().filter_map(|form| $crate::attack::Store::new(form, $seed)).collect();
        if stores.is_empty() {
            conex_tests::skip!(
                "no images (CONEX_TEST_IMAGES), docker-registry or skopeo, or no layers in {:?}",
                $forms
            );
        }
        stores
    }};
}
