//! Mount options as mount(8) writes them, sorted into what the mount API takes (config.md#linux-mount-options).

use conex_sys::mount::{Attributes, Propagation};

/// One mount's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// `bind` or `rbind`.
    pub(crate) bind: Option<Recursion>,
    /// What is mounted there already changes; nothing is mounted.
    pub(crate) remount: bool,
    /// Attributes of the mount itself.
    pub(crate) own: Switches,
    /// Attributes of it and all mounts below (`rro`, …).
    pub(crate) all: Switches,
    /// Changed after it is in place.
    pub(crate) propagation: Option<(Propagation, Recursion)>,
    /// An idmapped mount, and whether the idmap reaches the mounts below.
    pub(crate) idmap: Option<Recursion>,
    /// A tmpfs starts with what the image has there.
    pub(crate) copy_up: bool,
    /// Flags of a superblock: a bind has none of its own, so there they do nothing, as in mount(2).
    pub(crate) superblock: Vec<&'static str>,
    /// For the filesystem: `size=64m`, or a flag.
    pub(crate) data: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recursion {
    One,
    All,
}

/// Attributes to put on and to take off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    pub(crate) set: Attributes,
    pub(crate) clear: Attributes,
}

impl Switches {
    pub(crate) fn is_empty(self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }

    /// A later option wins over an earlier one.
    fn change(&mut self, bits: Attributes, on: bool) {
        let access_time = bits.0 & Attributes::ATIME_FIELD.0 != 0 || bits == Attributes::RELATIME;
        if access_time {
            self.set.0 &= !Attributes::ATIME_FIELD.0;
            self.clear.0 |= Attributes::ATIME_FIELD.0;
        }
        if on {
            self.set.0 |= bits.0;
            if !access_time {
                self.clear.0 &= !bits.0;
            }
        } else {
            self.set.0 &= !bits.0;
            self.clear.0 |= bits.0 & !Attributes::ATIME_FIELD.0;
        }
    }
}

/// Every option that is ours to handle and not one filesystem's, for the features document (features.md#mount-options).
pub const MOUNT_OPTIONS: [&str; 62] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

impl MountOptions {
    pub(crate) fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.take(option);
        }
        parsed
    }

    fn take(&mut self, option: &str) {
        use Recursion::{All, One};
        if let Some(propagation) = propagation(option) {
            self.propagation = Some(propagation);
            return;
        }
        match option {
            // The mount API knows no SB_SILENT and no SB_I_VERSION: the one is about the kernel's log, the other the file
            // systems that have it do by themselves. norelatime takes off what is the default anyway, as mount(2) sees it.
            "" | "defaults" | "loud" | "silent" | "iversion" | "noiversion" | "norelatime"
            | "rnorelatime" => {}
            "bind" => self.bind = Some(One),
            "rbind" => self.bind = Some(All),
            "remount" => self.remount = true,
            "idmap" => self.idmap = Some(One),
            "ridmap" => self.idmap = Some(All),
            "tmpcopyup" => self.copy_up = true,
            "sync" => self.superblock.push("sync"),
            "async" => self.superblock.push("async"),
            "dirsync" => self.superblock.push("dirsync"),
            "lazytime" => self.superblock.push("lazytime"),
            "nolazytime" => self.superblock.push("nolazytime"),
            "mand" => self.superblock.push("mand"),
            "nomand" => self.superblock.push("nomand"),
            _ => {
                if let Some((bits, on)) = attribute(option) {
                    self.own.change(bits, on);
                } else if let Some((bits, on)) = option.strip_prefix('r').and_then(attribute) {
                    self.all.change(bits, on);
                } else {
                    self.data.push(match option.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (option.to_owned(), None),
                    });
                }
            }
        }
    }

    /// The value of a filesystem's option.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.data.iter().rev().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref())
    }
}

/// `private`, `rshared`, …: also the words of `linux.rootfsPropagation`.
pub(crate) fn propagation(word: &str) -> Option<(Propagation, Recursion)> {
    let kind = |word: &str| {
        Some(match word {
            "private" => Propagation::Private,
            "shared" => Propagation::Shared,
            "slave" => Propagation::Slave,
            "unbindable" => Propagation::Unbindable,
            _ => return None,
        })
    };
    kind(word)
        .map(|kind| (kind, Recursion::One))
        .or_else(|| Some((word.strip_prefix('r').and_then(kind)?, Recursion::All)))
}

fn attribute(name: &str) -> Option<(Attributes, bool)> {
    Some(match name {
        "ro" => (Attributes::RDONLY, true),
        "rw" => (Attributes::RDONLY, false),
        "nosuid" => (Attributes::NOSUID, true),
        "suid" => (Attributes::NOSUID, false),
        "nodev" => (Attributes::NODEV, true),
        "dev" => (Attributes::NODEV, false),
        "noexec" => (Attributes::NOEXEC, true),
        "exec" => (Attributes::NOEXEC, false),
        "nodiratime" => (Attributes::NODIRATIME, true),
        "diratime" => (Attributes::NODIRATIME, false),
        "nosymfollow" => (Attributes::NOSYMFOLLOW, true),
        "symfollow" => (Attributes::NOSYMFOLLOW, false),
        "noatime" => (Attributes::NOATIME, true),
        "strictatime" => (Attributes::STRICTATIME, true),
        "relatime" | "atime" | "nostrictatime" => (Attributes::RELATIME, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_specs_own_words() {
        let options = parse("rbind,ro,nosuid,rslave,size=64m");
        assert_eq!(options.bind, Some(Recursion::All));
        assert_eq!(options.own.set, Attributes::RDONLY.with(Attributes::NOSUID));
        assert_eq!(options.propagation, Some((Propagation::Slave, Recursion::All)));
        assert_eq!(options.value("size"), Some("64m"));
        for option in MOUNT_OPTIONS {
            assert!(parse(option).data.is_empty(), "{option} is taken for a filesystem's");
        }
        assert!(MOUNT_OPTIONS.is_sorted());
    }

    #[test]
    fn later_wins_and_r_means_all_below() {
        assert_eq!(parse("ro,rw").own.set, Attributes::default());
        assert_eq!(parse("noexec,exec").own.clear, Attributes::NOEXEC);
        assert_eq!(parse("rro,rnosuid").all.set, Attributes::RDONLY.with(Attributes::NOSUID));
        assert_eq!(parse("rro").own.set, Attributes::default());
        assert_eq!(parse("rrw").all.clear, Attributes::RDONLY);
        assert_eq!(parse("noatime,strictatime").own.set, Attributes::STRICTATIME);
        assert_eq!(parse("ratime").all.clear, Attributes::ATIME_FIELD);
        assert!(parse("rnorelatime,rsize=4096").all.is_empty());
        assert_eq!(parse("sync,dirsync").superblock, ["sync", "dirsync"]);
    }
}
