//! What can go wrong with a network of CNI.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What a plugin is asked for (`CNI_COMMAND`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Puts a container on the network.
    Add,
    /// Takes it off.
    Del,
    /// Looks whether it is as it was added.
    Check,
    /// Clears what is of nobody who is named.
    Gc,
    /// Says whether it can add.
    Status,
    /// Says which versions it speaks.
    Version,
}

impl Command {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something could not be done with a network of CNI.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A file or directory that cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// The step that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is no network's.
    #[error("{}: {why}", path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A plugin that did not do what it was asked.
    #[error("network {network}: CNI plugin {plugin}, {command}: {fault}")]
    Plugin {
        /// The network.
        network: String,
        /// The plugin's type.
        plugin: String,
        /// What it was asked.
        command: Command,
        /// What became of it.
        #[source]
        fault: Box<Fault>,
    },
    /// What is no container's id (SPEC.md, "CNI_CONTAINERID") or no device's name ("CNI_IFNAME").
    #[error("{text:?} is not {what} that plugins can be told")]
    Invalid {
        /// `a container's id`
        what: &'static str,
        /// As it was given.
        text: String,
    },
    /// Ports where no plugin takes any.
    #[error(
        "network {network} (cni) publishes no ports: no plugin of {} has the capability portMappings",
        path.display()
    )]
    NoPorts {
        /// The network.
        network: String,
        /// Its file.
        path: PathBuf,
    },
    /// What was asked for, and passed on to plugins that took no notice of it.
    #[error("network {network} (cni): its plugins have not given {what}, which was asked for")]
    NotGiven {
        /// The network.
        network: String,
        /// `the address 10.1.2.3`
        what: String,
    },
    /// A wish that no list of arguments can express.
    #[error("network {network} (cni) takes one address (ip= or ip6=): no plugin of {} has the capability ips", path.display())]
    OneAddress {
        /// The network.
        network: String,
        /// Its file.
        path: PathBuf,
    },
}

/// What became of a run of a plugin.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nowhere.
    #[error("it is in none of {directories} (cni.plugins in conex.toml says where to look)")]
    Missing {
        /// The directories, with commas between.
        directories: String,
    },
    /// It cannot be executed.
    #[error("cannot run {}: {source}", path.display())]
    Spawn {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It hangs.
    #[error("it has not ended within {} s and was killed", .0.as_secs())]
    Timeout(Duration),
    /// It says more than anybody would.
    #[error("it has written more than {0} bytes and was killed")]
    TooMuch(usize),
    /// What it says itself (SPEC.md, "Error").
    #[error("{message} (code {code})")]
    Said {
        /// Well-known below 100.
        code: u64,
        /// `msg`, and `details` if there are any.
        message: String,
    },
    /// It failed and said nothing that is understood.
    #[error("it ended with {status}{stderr}")]
    Failed {
        /// `exit status: 2`
        status: String,
        /// What it wrote last, behind a colon.
        stderr: String,
    },
    /// It says that it did what it was asked, in no words of the specification.
    #[error("its result is not valid: {0}")]
    Result(String),
    /// Pipes and processes.
    #[error("cannot talk to it: {0}")]
    Io(#[from] io::Error),
}

impl CniError {
    /// Whether it is what a plugin itself says.
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Self::Plugin { fault, .. } if matches!(**fault, Fault::Said { .. }))
    }

    pub(super) fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
