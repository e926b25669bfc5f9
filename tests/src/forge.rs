//! Images made by hand, entry by entry: what no honest tool would write. Nothing here uses the code that is tested.
//!
//! The outcome is a docker-archive on standard input of `conex load`; the tar writer takes any name, link or device.

use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Conex, Output};

/// One entry of a layer; paths are written as they stand, at most 100 bytes.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A directory.
    Directory(&'a str),
    /// A regular file, mode 0755.
    File(&'a str, &'a [u8]),
    /// A file of so many bytes, all of them a hole (GNU's old sparse format).
    Hole(&'a str, u64),
    /// A symbolic link: name, target.
    Symlink(&'a str, &'a str),
    /// A hard link: name, target.
    HardLink(&'a str, &'a str),
    /// A fifo.
    Fifo(&'a str),
    /// A character device: name, major, minor.
    Character(&'a str, u32, u32),
    /// A block device.
    Block(&'a str, u32, u32),
}

/// An image in the making, named `evil:latest`.
#[derive(Debug, Clone, Default)]
pub struct Forge {
    name: Option<String>,
    layers: Vec<Vec<u8>>,
    config: Value,
    raw: Option<Vec<u8>>,
}

impl Forge {
    /// No layer, no configuration.
    pub fn new() -> Self {
        Self { config: json!({}), ..Self::default() }
    }

    /// With busybox and its links in a first layer; `None` when the fixture is not on this machine.
    pub fn with_busybox() -> Option<Self> {
        let program = busybox()?;
        let links: Vec<String> = APPLETS.iter().map(|name| format!("bin/{name}")).collect();
        let mut entries = vec![Entry::Directory("bin"), Entry::File("bin/busybox", program)];
        entries.extend(links.iter().map(|link| Entry::Symlink(link, "busybox")));
        Some(Self::new().layer(&entries))
    }

    /// Named otherwise; an empty name is none.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// A tar alone.
    pub fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
        tar(entries)
    }

    /// One more layer, upon the others.
    #[must_use]
    pub fn layer(mut self, entries: &[Entry<'_>]) -> Self {
        self.layers.push(tar(entries));
        self
    }

    /// A field of the `config` object.
    #[must_use]
    pub fn config(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.config[field] = value.into();
        self
    }

    /// The configuration blob, whatever it is.
    #[must_use]
    pub fn document(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// The configuration blob as it would be, to be made worse.
    pub fn honest(&self) -> Value {
        let layers: Vec<String> = self.layers.iter().map(|layer| digest(layer)).collect();
        json!({"architecture": arch(), "os": "linux", "config": self.config, "rootfs": {"type": "layers", "diff_ids": layers}})
    }

    /// The docker-archive.
    pub fn archive(&self) -> Vec<u8> {
        let config = self.raw.clone().unwrap_or_else(|| self.honest().to_string().into_bytes());
        let names: Vec<String> = (0..self.layers.len()).map(|number| format!("{number}.tar")).collect();
        let tags = match self.name.as_deref().unwrap_or("evil:latest") {
            "" => json!(null),
            name => json!([name]),
        };
        let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).to_string();
        let mut entries =
            vec![Entry::File("manifest.json", manifest.as_bytes()), Entry::File("config.json", &config)];
        entries.extend(names.iter().zip(&self.layers).map(|(name, layer)| Entry::File(name, layer)));
        tar(&entries)
    }

    /// Loads it.
    #[track_caller]
    pub fn load(&self, conex: &Conex) -> Output {
        conex.run_with_input(&["load", "--quiet"], &self.archive())
    }

    /// Loads it, and runs it with these flags and words; the output of whichever fails first.
    #[track_caller]
    pub fn run(&self, conex: &Conex, flags: &[&str], words: &[&str]) -> Output {
        let loaded = self.load(conex);
        if loaded.code != 0 {
            return loaded;
        }
        conex.run(&[&["run", "--rm", "--network", "none"], flags, &["evil"], words].concat())
    }
}

const APPLETS: [&str; 22] = [
    "sh", "cat", "ls", "touch", "true", "mkdir", "id", "pwd", "echo", "sleep", "mount", "mknod", "head",
    "stat", "env", "grep", "wc", "readlink", "test", "cp", "chmod", "kill",
];

/// A static busybox, taken out of the fixture by running it.
fn busybox() -> Option<&'static [u8]> {
    static PROGRAM: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let taken = PROGRAM.get_or_init(|| {
        let conex = Conex::new();
        let image = conex.busybox()?;
        let volume = format!("{}:/out", conex.scratch().display());
        conex.ok(&["run", "--rm", "-v", &volume, image, "cp", "/bin/busybox", "/out/busybox"]);
        Some(std::fs::read(conex.scratch().join("busybox")).expect("the copy"))
    });
    taken.as_deref()
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

const BLOCK: usize = 512;

/// GNU tar.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let (name, kind, link, content): (_, _, _, &[u8]) = match *entry {
            Entry::Directory(name) => (name, b'5', "", &[]),
            Entry::File(name, content) => (name, b'0', "", content),
            Entry::Hole(name, _) => (name, b'S', "", &[]),
            Entry::Symlink(name, target) => (name, b'2', target, &[]),
            Entry::HardLink(name, target) => (name, b'1', target, &[]),
            Entry::Fifo(name) => (name, b'6', "", &[]),
            Entry::Character(name, ..) => (name, b'3', "", &[]),
            Entry::Block(name, ..) => (name, b'4', "", &[]),
        };
        let mut header = [0u8; BLOCK];
        let mut field = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(name.len() <= 100 && link.len() <= 100, "{name} -> {link} is too long");
        field(0, name.as_bytes());
        field(100, b"0000755\x000000000\x000000000");
        field(124, format!("{:011o}", content.len()).as_bytes());
        field(136, b"00000000000");
        field(148, b"        ");
        field(156, &[kind]);
        field(157, link.as_bytes());
        field(257, b"ustar  \0");
        match *entry {
            Entry::Character(_, major, minor) | Entry::Block(_, major, minor) => {
                field(329, format!("{major:07o}\0{minor:07o}").as_bytes());
            }
            // One segment of nothing at the end, and the size in base 256.
            Entry::Hole(_, size) => {
                for at in [386, 483] {
                    field(at, &[0x80, 0, 0, 0]);
                    field(at + 4, &size.to_be_bytes());
                }
                field(398, b"00000000000");
            }
            _ => {}
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}
