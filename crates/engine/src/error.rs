//! What can go wrong, one variant an operation. Exit codes and hints are decided in `bin/conex`, from [`Error::failure`].

use std::io;
use std::path::PathBuf;

use conex_oci::ContainerId;
use serde::{Deserialize, Serialize};

use crate::store::ContainerState;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a start failed, as exit codes see it; survives the way from the supervisor's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The engine's or the host's doing: 125.
    Engine,
    /// The program cannot be executed: 126.
    NotExecutable,
    /// The program is not there: 127.
    NotFound,
}

/// What can go wrong. Each is one line; containers are named as people know them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are what their names and the message say: which, and why")]
pub enum Error {
    /// Docker's words.
    #[error("No such container: {name}")]
    NoSuchContainer { name: String },
    /// A prefix of several ids.
    #[error("multiple containers have an id that starts with {prefix:?}; give more of it")]
    Ambiguous { prefix: String },
    /// Docker's words.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse { name: String, id: ContainerId },
    /// An image that is not for Linux.
    #[error("cannot run {image}: it is an image for {os}, and this host runs linux")]
    ForeignSystem { image: String, os: String },
    /// A device of CDI's.
    #[error(transparent)]
    Device(#[from] conex_cdi::Error),
    /// `--gpus`
    #[error("--gpus: {why}")]
    NoGpu { why: String },
    /// `rename` to the name that it has.
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    /// Another command is at work on the container for longer than it should.
    #[error("container {name} is busy: another command is at work on it; try again")]
    Busy { name: String },
    /// An operation that needs a running container.
    #[error("container {name} is not running")]
    NotRunning { name: String },
    /// An operation that a paused container does not take.
    #[error("container {name} is paused; unpause it first")]
    Paused { name: String },
    /// `pause` of a paused one.
    #[error("container {name} is already paused")]
    AlreadyPaused { name: String },
    /// `unpause` of one that is not paused.
    #[error("container {name} is not paused")]
    NotPaused { name: String },
    /// An operation that needs a process, between two of them.
    #[error("container {name} is restarting, wait until it is running")]
    Restarting { name: String },
    /// Docker's words.
    #[error("cannot start a paused container, try unpause instead")]
    StartPaused,
    /// Docker's words.
    #[error("You cannot attach to a stopped container, start it first")]
    AttachStopped,
    /// Docker's words.
    #[error("You cannot attach to a paused container, unpause it first")]
    AttachPaused,
    /// Docker's words.
    #[error("You cannot attach to a restarting container, wait until it is running")]
    AttachRestarting,
    /// `rm` of a running one, without force.
    #[error(
        "cannot remove container \"{name}\": container is running: stop the container before removing or force remove"
    )]
    RemoveRunning { name: String },
    /// `rm` of a paused one, without force.
    #[error(
        "cannot remove container \"{name}\": container is paused and must be unpaused first: unpause and stop it or force remove"
    )]
    RemovePaused { name: String },
    /// `rm` of a restarting one, without force.
    #[error(
        "cannot remove container \"{name}\": container is restarting: stop the container before removing or force remove"
    )]
    RemoveRestarting { name: String },
    /// `--network container:NAME` and its like.
    #[error("cannot join the {kind} namespace of container {name}: it is not running; start it first")]
    JoinNotRunning { kind: String, name: String },
    /// It is stopped, or hangs.
    #[error("container {name}: its supervisor does not answer; 'conex rm -f' ends it and the container")]
    Deaf { name: String },
    /// A container whose namespace another one shares is no more.
    #[error(
        "cannot join the {kind} namespace of container {id}: it has been removed; make this container anew without it"
    )]
    JoinGone { kind: String, id: String },
    /// SIGKILL did not end it: it hangs in the kernel.
    #[error("container {name} does not end, not even by SIGKILL; a process of it hangs in the kernel")]
    Undying { name: String },
    /// The container's process could not be started; told by the supervisor.
    #[error("{message}")]
    Start { failure: Failure, message: String },
    /// The supervisor ended before it said anything.
    #[error("the container's supervisor died while it started the container")]
    SupervisorDied,
    /// `healthcheck run` and waiting for a health, of a container without a check.
    #[error("container {name} has no defined healthcheck")]
    NoHealthcheck { name: String },
    /// A health that there is not.
    #[error("invalid health {text:?}: expected starting, healthy or unhealthy")]
    HealthStatus { text: String },
    /// An option that is about a health check, without one.
    #[error("{option} needs a health check (--health-cmd, or the image's HEALTHCHECK)")]
    NeedsHealthcheck { option: &'static str },
    /// NOTIFY_SOCKET.
    #[error("cannot reach the service manager at NOTIFY_SOCKET={}: {source}", socket.display())]
    Notify { socket: PathBuf, source: io::Error },
    /// `--init` in a build without one.
    #[error("--init: this build of conex has no init program")]
    NoInit,
    /// A terminal was asked for and none was made.
    #[error("the runtime made no terminal")]
    NoTerminal,
    /// An ordinary user's engine.
    #[error("cannot make a user namespace: {source}")]
    NoUserNamespace { source: io::Error },
    /// An ordinary user's engine.
    #[error("cannot make a user namespace: {why}")]
    UserIds { why: String },
    /// The log driver keeps nothing that can be read back.
    #[error("configured logging driver does not support reading: {driver}")]
    LogDriver { driver: &'static str },
    /// No journal.
    #[error(
        "log driver journald: nobody listens at {} (is systemd-journald running? --log-driver json-file needs nothing)",
        path.display()
    )]
    NoJournal { path: PathBuf },
    /// `ps --filter`
    #[error("invalid filter {filter:?}: {why}")]
    Filter { filter: String, why: String },
    /// `top` with options.
    #[error("cannot run ps: {source}")]
    Ps { source: io::Error },
    /// `top` with options.
    #[error("ps: {why}")]
    PsFailed { why: String },
    /// `top` with options.
    #[error("ps: its output has no column PID; the options must not leave it out")]
    PsWithoutPid,
    /// The options contradict each other or the host.
    #[error(transparent)]
    Options(#[from] crate::options::OptionError),
    /// No spec can be made of the options.
    #[error(transparent)]
    Spec(#[from] crate::spec::SpecError),
    /// `commit --change`
    #[error(transparent)]
    Change { source: conex_image::configure::ChangeError },
    /// The image store.
    #[error(transparent)]
    Image(#[from] conex_image::Error),
    /// The root filesystem.
    #[error(transparent)]
    Rootfs(#[from] conex_image::rootfs::RootfsError),
    /// The control groups.
    #[error(transparent)]
    Cgroup(conex_cgroup::Error),
    /// The control groups, on what a flag says.
    #[error("invalid {flag} {value:?}: {why}")]
    Limit { flag: &'static str, value: String, why: String },
    /// The filter.
    #[error("cannot compile the seccomp profile: {0}")]
    Seccomp(#[from] conex_seccomp::Error),
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] conex_runtime::Error),
    /// A network.
    #[error(transparent)]
    Network(#[from] conex_network::Error),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] conex_volume::Error),
    /// `--storage-opt size=`, by a file system in a file.
    #[error(
        "cannot mount the container's limited layer (without project quotas of the file system that needs Linux 6.15): {source}"
    )]
    LimitedLayer { source: conex_image::rootfs::RootfsError },
    /// `--volumes-from`
    #[error("--volumes-from {name}: {source}")]
    VolumesFrom { name: String, source: Box<Error> },
    /// A volume's place.
    #[error("{what} {path:?}: {why}")]
    VolumePlace { what: &'static str, path: PathBuf, why: &'static str },
    /// `--mount type=image`
    #[error("cannot use {path:?} of image {image}: {source}")]
    ImagePath { image: String, path: PathBuf, source: io::Error },
    /// `--volume …:U`
    #[error("--volume {}: U would give a directory of the system's to the container's user", path.display())]
    SystemDirectory { path: PathBuf },
    /// `network connect` of a container that has no namespace of its own for it.
    #[error("container {name} cannot be connected to networks: it is on --network {mode}")]
    NotOnNetworks { name: String, mode: String },
    /// `network connect`
    #[error("container {name} is on network {network} already")]
    Connected { name: String, network: String },
    /// `network disconnect`
    #[error("container {name} is not connected to network {network}")]
    NotConnected { name: String, network: String },
    /// `port`
    #[error("no public port '{port}' published for {name}")]
    NotPublished { name: String, port: String },
    /// `nsenter`, `netns exec`
    #[error("cannot {what}: {source}")]
    Enter { what: &'static str, source: io::Error },
    /// `nsenter --wd`
    #[error("cannot change to directory {path}: {source}")]
    EnterWorkdir { path: String, source: io::Error },
    /// A program of the host's that was to run in a container's namespaces.
    #[error("cannot run the host's {program:?}: {fault}")]
    HostProgram { program: String, fault: ProgramFault },
    /// `--netns-link`
    #[error("cannot link the container's network namespace: {} is there already", path.display())]
    NetnsTaken { path: PathBuf },
    /// The kernel's networks.
    #[error("cannot set up the container's networks: {source}")]
    Netlink {
        #[from]
        source: conex_netlink::Error,
    },
    /// `--userns` of an ordinary user's.
    #[error(
        "--userns needs root: the kernel maps the owners of an image's files for the machine's root alone, and this user's containers are in a user namespace of his already"
    )]
    UserMode,
    /// An ordinary user without control groups.
    #[error(
        "container {name} has no control group of its own to be paused or limited by: none was delegated to this user"
    )]
    NoGroup { name: String },
    /// `update`: v2 would kill instead.
    #[error(
        "cannot lower the memory limit to {limit} bytes: {used} bytes are in use that the kernel cannot take back"
    )]
    MemoryInUse { limit: u64, used: u64 },
    /// `update`: Docker's words.
    #[error(
        "cannot update container {name}: Restart policy cannot be updated because AutoRemove is enabled for the container"
    )]
    RestartOfRemoved { name: String },
    /// An ordinary user's own networks.
    #[error("cannot make the network namespace of one's own networks: {source}")]
    NetworkNamespace { source: io::Error },
    /// What only root has.
    #[error("network driver {driver} needs root: an ordinary user's networks are bridges")]
    RootDriver { driver: &'static str },
    /// An ordinary user's default network.
    #[error("{why}")]
    Carried { why: String },
    /// The name service of the container's networks.
    #[error("cannot set up the names of the container's networks: {source}")]
    Names { source: io::Error },
    /// A network without a subnet: a definition written by hand.
    #[error("network {network} has no subnet to give an address of")]
    NoAddress { network: String },
    /// A namespace that plugins are to find.
    #[error("cannot {what} the container's network namespace at {}: {source}", path.display())]
    Namespace { what: &'static str, path: PathBuf, source: io::Error },
    /// An image's name.
    #[error(transparent)]
    Reference { source: conex_oci::ReferenceError },
    /// A container's name.
    #[error(transparent)]
    Id { source: conex_oci::IdError },
    /// A directory.
    #[error("cannot make directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// A file.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file.
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file.
    #[error("cannot remove {}: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    /// A container's directory.
    #[error("cannot remove the container's directory: {source}")]
    Tree { source: conex_image::rootfs::RemoveError },
    /// A document of ours that is none.
    #[error("{} is damaged: {source}", path.display())]
    Document { path: PathBuf, source: serde_json::Error },
    /// An owner's lock.
    #[error("cannot lock {}: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    /// A name's file.
    #[error("cannot claim {}: {source}", path.display())]
    Name { path: PathBuf, source: io::Error },
    /// A name's file that another command does not let go of.
    #[error("{} is locked by another command; try again", path.display())]
    NameBusy { path: PathBuf },
    /// The kernel's random numbers.
    #[error("cannot get random numbers: {source}")]
    Random { source: io::Error },
    /// The supervisor's process.
    #[error("cannot set up the container's supervisor: {source}")]
    Supervisor { source: io::Error },
    /// The connection to a supervisor.
    #[error("the connection to the container's supervisor failed: {source}")]
    Attachment { source: io::Error },
    /// The standard streams.
    #[error("cannot make the container's standard streams: {source}")]
    Pipes { source: io::Error },
    /// A process of the container.
    #[error("cannot look at process {pid}: {source}")]
    Process { pid: u32, source: io::Error },
    /// A signal.
    #[error("cannot send signal {signal}: {source}")]
    Kill { signal: i32, source: io::Error },
    /// `--pod`, `pod …`
    #[error("no such pod: {name}")]
    NoSuchPod { name: String },
    /// What a pod's containers share cannot be another's.
    #[error("conflicting options: {option} and --pod: pod {pod} shares that; see 'conex pod create --share'")]
    PodShares { option: &'static str, pod: String },
    /// `pod rm` without force.
    #[error("cannot remove pod {name}: container {} runs in it; stop the pod or take --force", container.short())]
    PodRunning { name: String, container: ContainerId },
    /// A pod's own container.
    #[error(
        "container {name} holds what the containers of pod {name} share; remove it with 'conex pod rm {name}'"
    )]
    IsPod { name: String },
    /// A user namespace for an idmapped mount.
    #[error("cannot make a user namespace: {source}")]
    UserNamespace { source: io::Error },
    /// `logs -f`
    #[error("cannot watch the log: {source}")]
    Watch { source: io::Error },
    /// `cp`
    #[error(transparent)]
    Copy(#[from] crate::copy::CopyError),
    /// Where `logs` goes.
    #[error("cannot write the output: {source}")]
    Output { source: io::Error },
}

/// What is wrong with a program of the host's.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are what their names say")]
pub enum ProgramFault {
    /// No such file, no such name.
    #[error("there is no such program on the host")]
    Missing,
    /// execve(2) said ENOENT of a file that is there.
    #[error(
        "the interpreter that it names (a dynamic loader, or a script's) is not where it runs; take a static program, or leave --mount and --root out"
    )]
    NoInterpreter,
    /// An argument or a variable that no program can be given.
    #[error("an argument holds a NUL")]
    Nul,
    /// The kernel's word.
    #[error("{source}")]
    Refused { source: io::Error },
}

impl From<conex_network::cni::CniError> for Error {
    fn from(error: conex_network::cni::CniError) -> Self {
        Self::Network(error.into())
    }
}

impl Error {
    /// What is wrong with a container in this state, of which something is asked that runs.
    pub(crate) fn at_rest(state: Option<&ContainerState>, name: String) -> Self {
        match state {
            Some(ContainerState::Restarting(_)) => Self::Restarting { name },
            _ => Self::NotRunning { name },
        }
    }

    /// How an exit code sees it.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Start { failure, .. } => *failure,
            Self::Runtime(conex_runtime::Error::NotFound { .. }) => Failure::NotFound,
            Self::Runtime(conex_runtime::Error::NotExecutable { .. }) => Failure::NotExecutable,
            Self::HostProgram { fault: ProgramFault::Missing, .. } => Failure::NotFound,
            Self::HostProgram { .. } => Failure::NotExecutable,
            _ => Failure::Engine,
        }
    }
}
