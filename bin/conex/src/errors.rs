//! The one place where an error becomes an exit code, a line on standard error, and a hint.
//!
//! 125: the command line's flags, or the engine on `run` and `create`; 126 and 127: the container's program cannot
//! be executed, is not there; 1: any other verb that failed. As with Docker, what its daemon or its verbs look at after the flags (keys
//! of filters, kinds of objects, times) is no matter of flags.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use conex_engine::Failure;
use conex_engine::options::OptionError;
use conex_oci::{IdError, PlatformError, ReferenceError};

use crate::cli::Verb;
use crate::terminal::{KeysError, RelayError};
use crate::{format, output};

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A flag that does not exist, is not supported yet, or has no such value.
    #[error("{0}")]
    Usage(String),
    /// A verb that does not exist.
    #[error("{0}")]
    Command(String),
    /// Too many or too few arguments.
    #[error("{0}")]
    Arguments(String),
    /// The value of a flag.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A container's name.
    #[error(transparent)]
    Id(#[from] IdError),
    /// An image's reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// `--platform`
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// `--detach-keys`
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// `--format`
    #[error("cannot use --format: {0}")]
    Format(#[from] format::Error),
    /// `-t` with something else than a terminal at standard input.
    #[error("the input device is not a TTY; leave -t out, or run this in a terminal")]
    NotATerminal,
    /// A file that the user named.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `write`, `create`, …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// Refused before anything was done.
    #[error("{0}")]
    Refused(String),
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// The streams of a container.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Containers.
    #[error(transparent)]
    Engine(#[from] conex_engine::Error),
    /// Networks.
    #[error(transparent)]
    Network(#[from] conex_engine::network::Error),
    /// What a network is to be.
    #[error(transparent)]
    Definition(#[from] conex_engine::network::DefinitionError),
    /// Images.
    #[error(transparent)]
    Image(#[from] conex_image::Error),
    /// The registry that is served here.
    #[error(transparent)]
    Distribution(#[from] conex_distribution::Error),
    /// What containers use, for others.
    #[error(transparent)]
    Metrics(#[from] conex_metrics::Error),
    /// A server's signals and threads.
    #[error("cannot set up the server: {source}")]
    Signals {
        /// Why.
        source: io::Error,
    },
    /// Registries.
    #[error(transparent)]
    Registry(#[from] conex_registry::Error),
}

/// What a process killed by SIGPIPE leaves: the reader of our output has gone.
const BROKEN_PIPE: u8 = 141;

impl Error {
    /// A fault in the command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Prints the error, one line; gives the exit code.
    pub(crate) fn report(&self, verb: Option<&Verb>) -> u8 {
        if self.is_broken_pipe() {
            return BROKEN_PIPE;
        }
        output::note(format!("conex: {}{}", one_line(&self.to_string()), self.hint()));
        log::debug!("{self:?}");
        self.code(verb)
    }

    /// Prints the error of one of several things; the others go on.
    pub(crate) fn tell(&self) {
        output::note(format!("conex: {}{}", one_line(&self.to_string()), self.hint()));
        log::debug!("{self:?}");
    }

    /// Whether whoever read our output has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Output(source) | Self::Relay(RelayError::Write(source)) => {
                source.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    fn code(&self, verb: Option<&Verb>) -> u8 {
        match self {
            Self::Usage(_) | Self::Option(_) | Self::Keys(_) | Self::Platform(_) => 125,
            Self::NotATerminal => 1,
            Self::Engine(error) | Self::Relay(RelayError::Engine(error)) => match error.failure() {
                Failure::NotExecutable => 126,
                Failure::NotFound => 127,
                Failure::Engine => verb.map_or(1, |verb| verb.failure),
            },
            _ => verb.map_or(1, |verb| verb.failure),
        }
    }

    /// Whether an error of a disk without room can be of the stores' disk, and not of a volume's or a container's own limit or of
    /// another disk.
    fn is_of_the_store(&self) -> bool {
        match self {
            Self::Image(conex_image::Error::Output { .. }) | Self::File { .. } | Self::Output(_) => {
                store_is_full()
            }
            Self::Engine(conex_engine::Error::Image(_)) => true,
            Self::Engine(_) | Self::Relay(_) => store_is_full(),
            _ => true,
        }
    }

    /// What to do about it, where the error does not say so itself.
    fn hint(&self) -> &'static str {
        match self {
            Self::Engine(conex_engine::Error::NoSuchContainer { .. }) => "; 'conex ps -a' lists them",
            Self::Engine(conex_engine::Error::Network(conex_engine::network::Error::NotFound { .. })) => {
                "; 'conex network ls' lists them"
            }
            Self::Engine(conex_engine::Error::NoUserNamespace { .. }) => {
                "; has the host switched them off (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns)? As root none is needed"
            }
            Self::Engine(conex_engine::Error::Network(conex_engine::network::Error::NoCarrier)) => {
                "; Debian's packages passt and slirp4netns have them, and --network none needs none"
            }
            Self::Image(conex_image::Error::NotFound { .. }) => "; 'conex images' lists them",
            // chown(2) to an id that is not mapped.
            Self::Image(error)
                if !conex_sys::namespace::in_first_user() && is_unmapped(&error.to_string()) =>
            {
                "; this user has too few ids for it in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 \
                 --add-subgids 100000-165535 USER, as root)"
            }
            // What a supervisor says comes as words.
            error
                if (conex_content::is_full(error)
                    || error.to_string().contains("No space left on device"))
                    && error.is_of_the_store() =>
            {
                "; 'conex system df' shows what takes space, 'conex system prune' removes what nothing needs"
            }
            _ => "",
        }
    }
}

/// Where the stores are, for hints.
static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Says where the stores are.
pub(crate) fn know_root(root: &Path) {
    let _ = ROOT.set(root.to_owned());
}

/// Less than this is no room: a write that failed may have been taken back.
const ROOM: u64 = 64 << 20;

/// Whether the file system of the stores has no room left, for bytes or for files.
fn store_is_full() -> bool {
    let room = |found: rustix::fs::StatVfs| {
        // Some file systems (btrfs) do not count files.
        let has_files = found.f_files == 0 || found.f_favail > 0;
        has_files && found.f_bavail.saturating_mul(found.f_frsize) >= ROOM
    };
    !ROOT.get().and_then(|root| rustix::fs::statvfs(root).ok()).is_some_and(room)
}

fn is_unmapped(text: &str) -> bool {
    text.contains("set the owner of") && text.contains("Invalid argument")
}

/// An error never breaks its line, whatever was in a name or a file, and says what the kernel said in words alone.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    const NUMBER: &str = " (os error ";
    while let Some(start) = line.find(NUMBER) {
        let digits = line[start + NUMBER.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + NUMBER.len() + digits;
        if digits == 0 || !line[end..].starts_with(')') {
            break;
        }
        line.replace_range(start..=end, "");
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_full_disk_is_found_at_the_bottom() {
        use std::io;
        let full = || io::Error::from_raw_os_error(28);
        let image = |source| super::Error::Image(conex_image::Error::Output { source });
        assert!(conex_content::is_full(&image(full())));
        assert!(conex_content::is_full(&image(io::Error::other(image(full())))));
        assert!(!conex_content::is_full(&image(io::Error::from_raw_os_error(13))));
    }

    #[test]
    fn errors_are_one_line_of_words() {
        let line = super::one_line("cannot open a\nb: No such file (os error 2); twice (os error 13)");
        assert_eq!(line, "cannot open a b: No such file; twice");
        assert_eq!(super::one_line("a (os error x)"), "a (os error x)");
    }
}
