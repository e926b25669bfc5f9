//! What can go wrong with a control group, each with the controller or the path it went wrong on.
//! Every message is one line and ends with the kernel's own reason.

use std::path::PathBuf;

use rustix::io::Errno;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on control groups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An ordinary user's limit, and no group of his to put it on.
    #[error(
        "{source}: an ordinary user has the control groups that were delegated to him (Delegate= in user@.service); without them nothing can be limited"
    )]
    NotDelegated {
        /// What was denied.
        source: Box<Error>,
    },
    /// `/proc/self/mountinfo` or `/proc/self/cgroup` could not be read.
    #[error("cannot read {path} to find the control groups: {source}")]
    Detect {
        /// The file.
        path: &'static str,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// No cgroup file system is mounted.
    #[error("no cgroup file system is mounted: mount cgroup2 on /sys/fs/cgroup")]
    NotMounted,
    /// A group's path could leave its place, or is malformed.
    #[error("cgroup path {path:?} is invalid: {why}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A group could not be made.
    #[error("cannot make the cgroup {path}: {source}", path = path.display())]
    Make {
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A group or one of its files could not be opened.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A file of a group could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A file of a group holds something that no kernel writes.
    #[error("cannot understand {path}: {text:?}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What it holds, clipped.
        text: String,
    },
    /// The group exists already and processes are in it.
    #[error("the cgroup {path} exists already and is in use", path = path.display())]
    InUse {
        /// The group's directory.
        path: PathBuf,
    },
    /// The group exists already and is frozen: nothing would run in it.
    #[error("the cgroup {path} exists already and is frozen", path = path.display())]
    Frozen {
        /// The group's directory.
        path: PathBuf,
    },
    /// The host does not have the controller that a limit needs.
    #[error("cannot set {limit}: this host has no {controller} cgroup controller ({hint})")]
    NoController {
        /// The controller.
        controller: String,
        /// The limit, by its name in the runtime specification.
        limit: String,
        /// What to do.
        hint: &'static str,
    },
    /// The controller is there, but the file that carries the limit is not.
    #[error("cannot set {limit}: the {controller} cgroup controller has no {path} on this host ({hint})", path = path.display())]
    NoFile {
        /// The controller.
        controller: String,
        /// The limit, by its name in the runtime specification.
        limit: String,
        /// The file that is missing.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// This generation of control groups never had the limit.
    #[error("cannot set {limit}: the {controller} cgroup controller of this host cannot enforce it ({hint})")]
    Unsupported {
        /// The controller.
        controller: String,
        /// The limit, by its name in the runtime specification.
        limit: String,
        /// What to do.
        hint: &'static str,
    },
    /// A limit's value makes no sense.
    #[error("cannot set {limit} to {value}: {why}")]
    Value {
        /// The limit, by its name in the runtime specification.
        limit: String,
        /// As given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel refused a limit.
    #[error("cannot set {limit}: the {controller} cgroup controller refused {value:?} in {path}: {source}", path = path.display())]
    Limit {
        /// The controller.
        controller: String,
        /// The limit, by its name in the runtime specification.
        limit: String,
        /// What was written.
        value: String,
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A controller could not be handed down to a group's children.
    #[error("cannot enable the {controllers} controllers in {path}: {source} ({hint})", path = path.display())]
    Enable {
        /// Their names.
        controllers: String,
        /// The `cgroup.subtree_control` file.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
        /// What to do.
        hint: &'static str,
    },
    /// A file of a group could not be written (not a limit: `cgroup.procs`, `cgroup.freeze`).
    #[error("cannot write {value:?} to {path}: {source}", path = path.display())]
    Write {
        /// What was written.
        value: String,
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A device rule of the specification is malformed.
    #[error("device rule {rule} is invalid: {why}")]
    DeviceRule {
        /// The rule, as in `devices.list`.
        rule: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The device filter could not be loaded or attached.
    #[error("cannot {doing} the device filter of {path}: {source}", path = path.display())]
    DeviceFilter {
        /// `load`, `attach`, ...
        doing: &'static str,
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A group did not freeze, thaw or become empty in time.
    #[error("the cgroup {path} is not {state} after {seconds} s", path = path.display())]
    Timeout {
        /// The group's directory.
        path: PathBuf,
        /// `frozen`, `thawed`, `empty`.
        state: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// A new v1 group did not get hold of every process.
    #[error("cannot move all processes into {path}: they fork faster than they are moved (pause the container first)", path = path.display())]
    Move {
        /// The group's directory.
        path: PathBuf,
    },
    /// A process could not be killed.
    #[error("cannot kill process {pid} of the cgroup {path}: {source}", path = path.display())]
    Kill {
        /// The process.
        pid: u32,
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// A group could not be handed to a user.
    #[error("cannot make the user {uid} the owner of the cgroup {path}: {source}", path = path.display())]
    Delegate {
        /// The user, in the caller's user namespace.
        uid: u32,
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// The kernel does not tell of the group's events.
    #[error("cannot watch the cgroup {path}: {source}", path = path.display())]
    Watch {
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// The message bus, by which systemd is spoken to, cannot be reached or broke off.
    #[error("cannot speak to systemd over {address}: {source}")]
    Bus {
        /// The bus's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// systemd refused something.
    #[error("systemd cannot {doing} the unit {unit}: {why}")]
    Unit {
        /// `start`, `change`, `stop`, `enter`.
        doing: &'static str,
        /// The unit's name.
        unit: String,
        /// What systemd says.
        why: String,
    },
    /// An annotation that sets a property of the scope is malformed.
    #[error("the annotation org.systemd.property.{name} cannot be {value:?}: {why}")]
    Property {
        /// The property.
        name: String,
        /// As given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The process that keeps a new scope alive could not be made.
    #[error("cannot make a process to keep the new scope alive: {source}")]
    StandIn {
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A group could not be removed.
    #[error("cannot remove the cgroup {path}: {source}", path = path.display())]
    Delete {
        /// The group's directory.
        path: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
}
