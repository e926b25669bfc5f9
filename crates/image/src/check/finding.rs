//! What a check tells of: on what, what is wrong, whom it hurts, what `--repair` does about it, and what came of that.

use std::fmt;
use std::path::PathBuf;

use conex_content::EntryKind;
use conex_oci::{Descriptor, DiffId, Digest};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// On what.
    pub subject: Subject,
    /// What is wrong.
    pub fault: Fault,
    /// The images that need it, by their names; those without one by short digests.
    pub needed_by: Vec<String>,
    /// Of a blob: whether they run all the same, since its layer is unpacked and sound.
    pub still_runs: bool,
    /// Whether only images for other platforms than this machine's need it.
    pub is_others: bool,
    /// What `--repair` does.
    pub cure: Cure,
    /// What came of it.
    pub outcome: Outcome,
}

/// A thing in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// `index.json`
    Index,
    /// A reference, by its short name; a nameless image by the short digest of what is kept.
    Reference(String),
    /// A blob.
    Blob(Digest),
    /// A layer as it is mounted.
    Layer(DiffId),
    /// An image's layers merged; the chain id.
    Merged(Digest),
    /// A container, by its name.
    Container(String),
    /// Something else, by its path below ROOT.
    File(PathBuf),
    /// All blobs that no image needs.
    Unneeded,
}

impl Subject {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Reference(_) => "reference",
            Self::Blob(_) => "blob",
            Self::Layer(_) => "layer",
            Self::Merged(_) => "merged",
            Self::Container(_) => "container",
            Self::File(_) => "file",
            Self::Unneeded => "blobs",
        }
    }

    /// Its name, in full.
    pub fn name(&self) -> String {
        match self {
            Self::Index => "index.json".to_owned(),
            Self::Reference(name) | Self::Container(name) => name.clone(),
            Self::Blob(digest) | Self::Layer(DiffId(digest)) | Self::Merged(digest) => digest.to_string(),
            Self::File(path) => path.display().to_string(),
            Self::Unneeded => "unneeded".to_owned(),
        }
    }

    /// Its name, short enough for a table.
    pub fn short(&self) -> String {
        match self {
            Self::Blob(digest) | Self::Layer(DiffId(digest)) | Self::Merged(digest) => digest.short(),
            other => other.name(),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is needed and not here.
    Missing,
    /// It has another size than its descriptor says, in bytes.
    Size {
        /// Of the file.
        size: u64,
        /// By the descriptor.
        expected: u64,
    },
    /// Its bytes are not those that its name promises.
    Flipped {
        /// What they are.
        found: Digest,
    },
    /// The bytes are right, and a descriptor says that there should be more or fewer: nobody but the image's author can mend that.
    Promised {
        /// Bytes of the blob.
        size: u64,
        /// Bytes by the descriptor.
        expected: u64,
    },
    /// The disk does not give it back.
    Unreadable(String),
    /// A link, a device, a directory where a file should be or the other way round.
    WrongType(EntryKind),
    /// Its contents are not what they should be; in words.
    Torn(String),
    /// A reference whose manifest or index is not here.
    Dangling(Digest),
    /// The reference's file is gone, and `index.json` still has it.
    Lost,
    /// An index of which no manifest is here.
    Nothing(Digest),
    /// `index.json` is not what the references say.
    Stale,
    /// Another platform's image, of which blobs are missing: a pull of all platforms that came to no end.
    Incomplete {
        /// Its manifest.
        manifest: Digest,
        /// How many blobs.
        missing: usize,
    },
    /// No image has it. Bytes.
    Orphan(u64),
    /// Blobs that no image needs, and their bytes.
    Unneeded(usize, u64),
    /// A killed command has left it. Bytes.
    Leftover(u64),
    /// Half a download or upload, which the next one goes on with. Bytes.
    Half(u64),
    /// Nobody knows what it is.
    Stray(EntryKind),
    /// A container's image that is not here any more.
    ImageGone(Digest),
    /// A container's image that is here and would not run.
    ImageBroken(Digest),
}

impl Fault {
    /// Whether something is broken; otherwise it only takes space, or is none of ours.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            Self::Incomplete { .. }
                | Self::Orphan(_)
                | Self::Unneeded(..)
                | Self::Leftover(_)
                | Self::Half(_)
                | Self::Stray(_)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |kind: &EntryKind| match kind {
            EntryKind::File => "a file",
            EntryKind::Directory => "a directory",
            EntryKind::Other(words) => words,
        };
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Size { size, expected } if size < expected => {
                write!(f, "truncated: {size} of {expected} bytes")
            }
            Self::Size { size, expected } => write!(f, "too long: {size} bytes instead of {expected}"),
            Self::Flipped { found } => write!(f, "changed: its bytes are {}", found.short()),
            Self::Promised { size, expected } => {
                write!(f, "is {size} bytes, its descriptor says {expected}")
            }
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::WrongType(what) => write!(f, "is {}", kind(what)),
            Self::Torn(why) => write!(f, "damaged: {}", shortened(why)),
            Self::Dangling(target) => write!(f, "dangling: {} is missing", target.short()),
            Self::Lost => f.write_str("lost: only index.json still has it"),
            Self::Nothing(index) => write!(f, "no image of the index {} is here", index.short()),
            Self::Stale => f.write_str("not what the references say"),
            Self::Incomplete { manifest, missing } => {
                let blobs = if *missing == 1 { "1 blob is" } else { &format!("{missing} blobs are") };
                write!(f, "{blobs} missing of {}, another platform's image", manifest.short())
            }
            Self::Orphan(bytes) => write!(f, "no image has it ({bytes} bytes)"),
            Self::Unneeded(count, bytes) => write!(f, "no image needs them: {count} with {bytes} bytes"),
            Self::Leftover(bytes) => write!(f, "left by a killed command ({bytes} bytes)"),
            Self::Half(bytes) => write!(f, "half of a transfer ({bytes} bytes)"),
            Self::Stray(what) => write!(f, "{} that is not Conex's", kind(what)),
            Self::ImageGone(image) => write!(f, "its image {} is not here", image.short()),
            Self::ImageBroken(image) => write!(f, "its image {} is damaged", image.short()),
        }
    }
}

/// The text with its digests as short as people know them.
fn shortened(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        match digits {
            64 => short += &part[..12],
            digits => short += &format!("sha256:{}", &part[..digits]),
        }
        short += &part[digits..];
    }
    short
}

/// What `--repair` does about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cure {
    /// Writes a blob that is a plain tar again, out of its layer.
    RewriteBlob(DiffId, u64),
    /// Removes a blob that images need: a pull fetches it again.
    RemoveBlob,
    /// Nothing but a pull (or a load) brings it.
    Fetch,
    /// Removes what nobody needs; a directory goes to `damaged/`.
    Discard,
    /// Removes a layer and unpacks it again from this blob.
    Unpack(Box<Descriptor>),
    /// Removes a layer whose blob is not here either.
    RemoveLayer,
    /// Writes a layer's record again.
    Record,
    /// Merges an image's layers again.
    Merge,
    /// Writes a reference again.
    Restore(Box<conex_content::Root>),
    /// Moves a file to `damaged/`.
    SetAside,
    /// Writes `index.json` again.
    RewriteIndex,
    /// Nothing: `system prune` does.
    Prune,
    /// Nothing: another command is bringing it at this moment.
    Wait,
    /// Nothing at all: a person has to say.
    Leave,
}

impl Cure {
    /// What it will do, for the table: `removes it`.
    pub fn plan(&self) -> &'static str {
        match self {
            Self::RewriteBlob(..) => "writes it again from its layer",
            Self::RemoveBlob => "removes it",
            Self::Fetch => "none without --pull",
            Self::Discard => "removes it",
            Self::Unpack(_) => "unpacks it again from its blob",
            Self::RemoveLayer => "removes it",
            Self::Record => "writes its record again",
            Self::Merge => "merges its layers again",
            Self::Restore(_) => "restores it",
            Self::SetAside => "moves it to damaged/",
            Self::RewriteIndex => "writes it again",
            Self::Prune => "none; 'conex system prune' removes it",
            Self::Wait => "none; another command is at work on it, look again later",
            Self::Leave => "none",
        }
    }

    /// What it has done.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::RewriteBlob(..) => "written again from its layer",
            Self::RemoveBlob | Self::Discard | Self::RemoveLayer => "removed",
            Self::Unpack(_) => "unpacked again from its blob",
            Self::Record => "its record is written again",
            Self::Merge => "merged again",
            Self::Restore(_) => "restored",
            Self::SetAside => "moved to damaged/",
            Self::RewriteIndex => "written again",
            Self::Fetch | Self::Prune | Self::Wait | Self::Leave => "mended",
        }
    }
}

/// What came of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has repaired anything.
    Found,
    /// It is as it should be; how.
    Mended(String),
    /// It is not; why, or what has happened to it so far.
    Left(String),
}

impl Finding {
    pub(super) fn new(subject: Subject, fault: Fault, cure: Cure) -> Self {
        Self {
            subject,
            fault,
            needed_by: Vec::new(),
            still_runs: false,
            is_others: false,
            cure,
            outcome: Outcome::Found,
        }
    }

    /// Whether something is broken now.
    pub fn is_damage(&self) -> bool {
        self.fault.is_damage() && self.cure != Cure::Wait && !matches!(self.outcome, Outcome::Mended(_))
    }

    /// What is wrong and whom it hurts, in one line.
    pub fn problem(&self) -> String {
        let mut text = self.fault.to_string();
        if let Some((first, rest)) = self.needed_by.split_first() {
            text += &format!("; needed by {first}");
            match rest {
                [] => {}
                [second] => text += &format!(", {second}"),
                more => text += &format!(" and {} more", more.len()),
            }
            if self.is_others {
                text += " for another platform";
            } else if self.still_runs {
                text += " (which runs: its layer is unpacked)";
            }
        }
        text
    }

    /// What `--repair` would do, or what came of it, and what a person can do.
    pub fn repair(&self) -> String {
        let mut text = match &self.outcome {
            Outcome::Found => self.cure.plan().to_owned(),
            Outcome::Mended(how) => return how.clone(),
            Outcome::Left(why) => why.clone(),
        };
        if let Some(advice) = self.advice() {
            text += &format!("; {advice}");
        }
        text
    }

    fn advice(&self) -> Option<String> {
        let pull = |name: &str| match name.contains([':', '@']) {
            false => "pull or load the image again".to_owned(),
            true if self.is_others => format!("'conex pull --all-platforms {name}' (or a load) mends it"),
            true => format!("'conex pull {name}' (or a load) mends it"),
        };
        match (&self.cure, &self.subject) {
            (Cure::RemoveBlob | Cure::Fetch | Cure::RemoveLayer, Subject::Reference(name)) => {
                Some(pull(name))
            }
            (Cure::RemoveBlob | Cure::Fetch | Cure::RemoveLayer, _) => {
                self.needed_by.first().map(|name| pull(name))
            }
            (Cure::Leave, Subject::Container(name)) => match &self.fault {
                Fault::ImageGone(_) | Fault::ImageBroken(_) => {
                    let image = self.needed_by.first().map_or("its image", String::as_str);
                    Some(format!("pull {image} again, or 'conex rm {name}'"))
                }
                _ => Some(format!("'conex rm --force {name}' removes it")),
            },
            _ => None,
        }
    }
}
