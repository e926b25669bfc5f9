//! Unpacks a layer into a directory that will be a lower layer of an overlay mount.
//!
//! Nothing in the archive can reach outside the directory: parents are resolved by openat2 within it, the last name is
//! never followed, and everything is made, owned and dated through directory handles; and root's thread is in a mount
//! namespace that has nothing but the directory. What a layer says in AUFS's
//! whiteout names becomes what overlayfs understands.
//!
//! Devices are made as they are, as Docker does: a container opens none that its device filter does not allow. The
//! directory must therefore lie where no other user of the host can enter, as it must for setuid programs too.

mod confine;
mod create;
mod tree;
mod xattr;

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use self::confine::confine;
use self::tree::Tree;
use crate::apply::{Destination, NamesMean, apply_names};
use crate::{Entry, Error, Header, Limits, Result};

/// Which extended attributes overlayfs will look for when the directory is a lower layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlayXattrs {
    /// `trusted.overlay.*`: a mount by root.
    #[default]
    Trusted,
    /// `user.overlay.*`: a mount with `userxattr`, inside a user namespace.
    User,
}

impl OverlayXattrs {
    /// Those of a mount by this process: `trusted.` attributes are the machine's root's alone.
    pub fn here() -> Self {
        if conex_sys::namespace::in_first_user() { Self::Trusted } else { Self::User }
    }

    /// How the names of all of them begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    /// The name of the attribute that marks an opaque directory with the value `y`.
    pub fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// How to unpack.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// The bounds.
    pub limits: Limits,
    /// How opaque directories are marked.
    pub overlay: OverlayXattrs,
    /// What names that begin with `.wh.` mean.
    pub names: NamesMean,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackStats {
    /// Entries of every kind.
    pub entries: u64,
    /// Bytes of regular files, holes included: the size of the layer, as image listings add it up.
    pub bytes: u64,
    /// Whiteouts and opaque marks.
    pub whiteouts: u64,
    /// Entries passed over: of unknown types, AUFS's bookkeeping (`.wh..wh.*`), devices when not root.
    pub skipped: u64,
    /// Extended attributes that were not set: reserved for the host, or not supported by the file system.
    pub dropped_xattrs: u64,
}

/// Unpacks the tar stream `reader` into the directory `destination`, which should be empty, and reads the stream to its
/// very end. After an error the directory holds a part of the archive and is only good to be removed.
///
/// That is done by a thread of its own, which has ended when this returns, in a mount namespace whose root is `destination`; `reader`
/// is read there, and must have open what it reads. Who may make no such namespace has none.
pub fn unpack(
    reader: impl Read + Send,
    destination: BorrowedFd<'_>,
    options: &UnpackOptions,
) -> Result<UnpackStats> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("unpack".to_owned());
        let thread = thread.spawn_scoped(scope, || match confine(destination) {
            Ok(root) => in_thread(reader, root.as_fd(), true, options),
            // Without the namespace the handles alone hold.
            Err(error) => {
                log::debug!("unpacking without a namespace of its own: {error}");
                in_thread(reader, destination, false, options)
            }
        });
        let thread = thread.map_err(|source| Error::Unpack {
            what: "start a thread for",
            path: ".".to_owned(),
            source,
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// `is_confined`: the working directory is this thread's own, and it has no /proc.
fn in_thread(
    reader: impl Read,
    destination: BorrowedFd<'_>,
    is_confined: bool,
    options: &UnpackOptions,
) -> Result<UnpackStats> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut unpacker = Unpacker {
        tree: Tree::new(destination, options.overlay, is_confined),
        overlay: options.overlay,
        owner: (uid.as_raw(), gid.as_raw()),
        is_root: uid.is_root(),
        stats: UnpackStats::default(),
    };
    let applied = apply_names(reader, &options.limits, &mut unpacker, options.names)?;
    unpacker.tree.leave()?;
    let (entries, whiteouts) = (applied.entries, applied.whiteouts);
    let skipped = unpacker.stats.skipped + applied.skipped;
    Ok(UnpackStats { entries, whiteouts, skipped, ..unpacker.stats })
}

struct Unpacker<'a> {
    tree: Tree<'a>,
    overlay: OverlayXattrs,
    /// What new files belong to.
    owner: (u32, u32),
    is_root: bool,
    stats: UnpackStats,
}

impl Destination for Unpacker<'_> {
    fn root(&mut self, header: &Header) -> Result<()> {
        self.root_directory(header)
    }

    fn create<R: Read>(&mut self, parent: &[u8], name: &[u8], entry: &mut Entry<'_, R>) -> Result<()> {
        self.entry(parent, name, entry)
    }

    fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
        self.tree.whiteout(parent, name)
    }

    fn opaque(&mut self, directory: &[u8]) -> Result<()> {
        self.tree.opaque(directory)
    }

    fn implied(&self) -> u64 {
        self.tree.implied
    }
}
