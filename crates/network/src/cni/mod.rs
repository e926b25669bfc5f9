//! CNI: networks that an administrator's plugins make (Container Network Interface, SPEC.md 0.1.0 to 1.1.0).
//!
//! A network is a file with a list of plugins ([`List`]). To put a container on it each plugin is run in turn with `ADD`, its configuration
//! on standard input, what the one before has said in it ([`Cni::add`]); to take it off, each with `DEL` the other way round
//! ([`Cni::delete`]). What was added is written down before the first plugin runs ([`Attachment`]), so that whoever finds a dead owner
//! deletes it, with the configuration and the result that it was added with:
//!
//! ```text
//! ROOT/cni/<network>/<container>.<device>.json   an attachment; survives a reboot, as what plugins keep on disk does
//! ROOT/cni/<network>/.<container>.<device>.lock  held by who adds or deletes, and by each plugin, whose standard input it is
//! ROOT/cni/<network>/.lock                       held shared by all these, alone by who collects (GC)
//! ```
//!
//! Nothing here knows of an engine: a container is an id and the path of a network namespace.
//!
//! Plugins are the administrator's and are trusted; what they say is bounded all the same, and so is their time.

mod attachment;
mod chain;
mod conflist;
mod error;
mod invoke;
mod request;
mod result;
mod version;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::attachment::Attachment;
pub use self::chain::is_namespace;
pub use self::conflist::{List, Plugin};
pub use self::error::{CniError, Command, Fault};
pub use self::request::{Request, Resolver};
pub use self::result::{AddResult, Dns, Interface, Ip};
pub use self::version::Version;

/// Where networks and plugins are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory of configuration files.
    pub config: PathBuf,
    /// Where plugins are looked for, in order.
    pub plugins: Vec<PathBuf>,
    /// How long one run of a plugin may take.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: "/etc/cni/net.d".into(),
            // Where most put them, Fedora, Debian.
            plugins: ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"].map(PathBuf::from).to_vec(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// The networks of CNI, and who is on them.
#[derive(Debug, Clone)]
pub struct Cni {
    settings: Settings,
    /// `ROOT/cni`
    attachments: PathBuf,
}

impl Cni {
    /// With attachments below `root`. Nothing is made before it is needed.
    pub fn open(settings: Settings, root: &Path) -> Self {
        Self { settings, attachments: root.join("cni") }
    }
}
