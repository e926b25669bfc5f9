//! Faults on the way of images: sudden deaths, full disks, registries that go. Whatever happened, each image that is listed
//! afterwards is whole and runs, and a `system prune` leaves nothing that none of them accounts for (`aftermath`).
//!
//! `CONEX_FAULTS=all`, or a number of deaths, takes many more points than a run of the suite does, in some minutes; `CONEX_FAULTS_SEED` takes the same
//! ones again.

mod aftermath;
mod full_disk;
mod killed;
mod registry_dies;

use std::path::{Path, PathBuf};

use conex_tests::{Dice, Entry, Forge};

/// Images of our own, `app:0` and so on, all on one layer with a busybox; the last two share another one besides.
const APPS: usize = 4;

/// Whether many more points are asked for.
fn all() -> bool {
    std::env::var_os("CONEX_FAULTS").is_some_and(|which| !which.is_empty())
}

/// As many deaths as `CONEX_FAULTS` says, if that is a number.
fn deaths() -> Option<usize> {
    std::env::var("CONEX_FAULTS").ok()?.parse().ok()
}

fn dice() -> Dice {
    Dice::from_env("CONEX_FAULTS_SEED")
}

/// An archive of each of our images, in `directory`, with about so many bytes of its own; `None` without a busybox.
fn archives(directory: &Path, size: usize) -> Option<Vec<PathBuf>> {
    let base = Forge::with_busybox()?;
    let mut dice = Dice::new(1);
    let shared = dice.noise(size);
    let made = (0..APPS).map(|number| {
        let noise = dice.noise(size / 2 * (number + 1));
        let mut image = base.clone().named(&format!("app:{number}"));
        if number >= 2 {
            image = image.layer(&[Entry::Directory("shared"), Entry::File("shared/noise", &shared)]);
        }
        let name = number.to_string();
        let image = image.layer(&[Entry::File("name", name.as_bytes()), Entry::File("noise", &noise)]);
        let path = directory.join(format!("app{number}.tar"));
        std::fs::write(&path, image.archive()).expect("an archive");
        path
    });
    Some(made.collect())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
