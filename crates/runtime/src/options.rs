//! Mount options as mount(8) writes them, sorted into what the mount API takes (config.md#linux-mount-options).

use conex_sys::mount::{Attributes, Propagation};

use crate::Error;

/// One mount's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// `bind` or `rbind`.
    pub(crate) bind: Option<Recursion>,
    /// Attributes of the mount itself.
    pub(crate) set: Attributes,
    pub(crate) clear: Attributes,
    /// Attributes of it and all mounts below (`rro`, …).
    pub(crate) set_all: Attributes,
    pub(crate) clear_all: Attributes,
    /// Changed after it is in place.
    pub(crate) propagation: Option<(Propagation, Recursion)>,
    /// The idmap reaches the mounts below.
    pub(crate) idmap: Option<Recursion>,
    /// A tmpfs starts with what the image has there.
    pub(crate) copy_up: bool,
    /// For the filesystem: `size=64m`, or a flag.
    pub(crate) data: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recursion {
    One,
    All,
}

impl MountOptions {
    pub(crate) fn parse(options: &[String]) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for option in options {
            parsed.take(option)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, option: &str) -> Result<(), Error> {
        use Propagation::{Private, Shared, Slave, Unbindable};
        use Recursion::{All, One};
        match option {
            "" | "defaults" | "async" | "loud" | "nomand" => {}
            "bind" => self.bind = Some(One),
            "rbind" => self.bind = Some(All),
            "private" => self.propagation = Some((Private, One)),
            "rprivate" => self.propagation = Some((Private, All)),
            "shared" => self.propagation = Some((Shared, One)),
            "rshared" => self.propagation = Some((Shared, All)),
            "slave" => self.propagation = Some((Slave, One)),
            "rslave" => self.propagation = Some((Slave, All)),
            "unbindable" => self.propagation = Some((Unbindable, One)),
            "runbindable" => self.propagation = Some((Unbindable, All)),
            "idmap" => self.idmap = Some(One),
            "ridmap" => self.idmap = Some(All),
            "tmpcopyup" => self.copy_up = true,
            "mand" | "remount" => {
                return Err(Error::Spec { what: format!("mounts: the option {option:?} is not supported") });
            }
            _ => {
                let (name, recursive) =
                    match option.strip_prefix('r').filter(|rest| attribute(rest).is_some()) {
                        // `ro` and `rw` alone start with an r of their own.
                        Some(rest) if attribute(option).is_none() => (rest, true),
                        _ => (option, false),
                    };
                match attribute(name) {
                    Some((bits, on)) => self.change(bits, on, recursive),
                    None => self.data.push(match option.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (option.to_owned(), None),
                    }),
                }
            }
        }
        Ok(())
    }

    /// A later option wins over an earlier one.
    fn change(&mut self, bits: Attributes, on: bool, recursive: bool) {
        let (set, clear) = if recursive {
            (&mut self.set_all, &mut self.clear_all)
        } else {
            (&mut self.set, &mut self.clear)
        };
        let access_time = bits.0 & Attributes::ATIME_FIELD.0 != 0 || bits == Attributes::RELATIME;
        if access_time {
            set.0 &= !Attributes::ATIME_FIELD.0;
            clear.0 |= Attributes::ATIME_FIELD.0;
        }
        if on {
            set.0 |= bits.0;
            if !access_time {
                clear.0 &= !bits.0;
            }
        } else {
            set.0 &= !bits.0;
            clear.0 |= bits.0 & !Attributes::ATIME_FIELD.0;
        }
    }
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
        "relatime" | "atime" | "nostrictatime" | "norelatime" => (Attributes::RELATIME, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_specs_own_words() {
        let options = parse("rbind,ro,nosuid,rslave,size=64m");
        assert_eq!(options.bind, Some(Recursion::All));
        assert_eq!(options.set, Attributes::RDONLY.with(Attributes::NOSUID));
        assert_eq!(options.propagation, Some((Propagation::Slave, Recursion::All)));
        assert_eq!(options.data, [("size".to_owned(), Some("64m".to_owned()))]);
    }

    #[test]
    fn later_wins_and_r_means_all_below() {
        assert_eq!(parse("ro,rw").set, Attributes::default());
        assert_eq!(parse("noexec,exec").clear, Attributes::NOEXEC);
        assert_eq!(parse("rro,rnosuid").set_all, Attributes::RDONLY.with(Attributes::NOSUID));
        assert_eq!(parse("rro").set, Attributes::default());
        assert_eq!(parse("noatime,strictatime").set, Attributes::STRICTATIME);
    }
}
