//! Named volumes: directories that outlive containers, and what is mounted in their place.
//!
//! A volume is `ROOT/volumes/<name>/`: `volume.json`, which says what it is, and `_data/`, which is the containers'. It appears whole
//! by rename and goes by rename; a directory whose name begins with a dot is one that is being made or removed, and whoever finds it
//! unlocked clears it. The lock of a volume is flock(2) on its directory: shared from the look at a volume until the record of the
//! container that uses it is written, alone while it is removed. First contents have a lock of their own, on `volume.json`.
//!
//! What lies in `_data` was written by containers and is hostile: it is walked over held descriptors, no symbolic link is followed,
//! nothing but a regular file is opened, and a path in it is resolved as if it were the root ([`mount::beneath`]).
//!
//! A volume with options ([`Backing`]) is a file system of its own. It is mounted with the mount API where nobody else sees it, and
//! moved into the container by descriptor: it ends with the last container that has it, whatever happens to us.

mod backing;
mod definition;
mod error;
pub mod mount;
mod name;
mod quota;
mod size;
mod store;
mod tree;

pub use backing::{Backing, FileSystem};
pub use definition::{NewVolume, Volume};
pub use error::{Error, Result};
pub use name::VolumeName;
pub use quota::{DiskImage, Quota, limit};
use size::parse_size;
pub use store::{Held, Turn, Volumes};
pub use tree::{chown, copy, export, import, length, populate, usage};
