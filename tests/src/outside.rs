//! Files of the host that no image and no container may touch, and a look at whether one did.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Conex, Output};

/// What one file is: mode, owner, size, modification time, links, and its content where that is short.
type Look = (u32, u32, u64, i64, u64, Vec<u8>);

/// A directory beside the stores with a file to steal, one to overwrite, and an empty directory to write into.
#[derive(Debug)]
pub struct Outside {
    directory: PathBuf,
    before: BTreeMap<PathBuf, Look>,
}

/// What the file to steal says.
pub const SECRET: &str = "the host's secret";

impl Outside {
    /// Makes it, and remembers the host's own files that an image would go for too.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(conex: &Conex) -> Self {
        let directory = conex.scratch().join("outside");
        std::fs::create_dir_all(directory.join("empty")).expect("a directory");
        std::fs::write(directory.join("secret"), SECRET).expect("a file");
        // As a passwd file and a group file it would make anybody root.
        let accounts = "evil:x:0:0::/:/bin/sh\nevil:x:0:\n";
        std::fs::write(directory.join("accounts"), accounts).expect("a file");
        let before = look(&directory);
        Self { directory, before }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The path of something in it, absolute.
    pub fn at(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The same by way of more `..` than there are directories.
    pub fn up(&self, name: &str) -> String {
        format!("../../../../../..{}", self.at(name))
    }

    /// # Panics
    /// When anything is new, gone or changed.
    #[track_caller]
    pub fn assert_untouched(&self, after: &str) {
        assert_eq!(self.before, look(&self.directory), "touched outside by {after}");
    }
}

fn look(directory: &Path) -> BTreeMap<PathBuf, Look> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![directory.to_owned()];
    ahead.extend(
        ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].map(PathBuf::from),
    );
    while let Some(path) = ahead.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let content = if metadata.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        if metadata.is_dir() {
            ahead.extend(
                std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()),
            );
        }
        let look =
            (metadata.mode(), metadata.uid(), metadata.size(), metadata.mtime(), metadata.nlink(), content);
        found.insert(path, look);
    }
    found
}

/// What may become of a hostile image: it runs, and is contained, or one clear line says why not.
///
/// # Panics
/// On a crash, a silent failure, a page of errors or control characters in the error.
#[track_caller]
pub fn contained_or_clear(output: &Output, what: &str) {
    let shown = format!("{what}: {output:?}");
    assert!(!output.stdout.contains(SECRET) && !output.stderr.contains(SECRET), "stolen by {shown}");
    assert!(!output.stderr.contains("panicked"), "{shown}");
    if matches!(output.code, 1 | 125..=127) && output.stderr.contains("conex: ") {
        let line = output.stderr.trim_end_matches('\n');
        assert!(!line.chars().any(char::is_control) && line.len() < 1500, "{shown}");
    } else {
        assert!(output.code < 125, "{shown}");
    }
}
