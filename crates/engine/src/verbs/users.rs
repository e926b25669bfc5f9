//! Whose ids a container has: a range of host ids of its own, unless what else was asked needs the host's, or the host can do no other.
//!
//! Root in a container is then nobody outside ([ADR 26](../../../../docs/adr/0026-user-namespaces-by-default.md)). What the user said with
//! `--userns` is done or refused; what was settled without him is told by `inspect`, and once a boot by a warning when it is the
//! kernel's or a file system's doing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use conex_oci::ContainerId;
use conex_oci::image::ImageConfig;
use rustix::io::Errno;

use crate::engine::Parts;
use crate::options::{
    Bind, CreateOptions, IpcMode, NamespaceMode, NetworkMode, Propagation, Recursion, UserMode,
};
use crate::spec::{self, IdRange, Joined, JoinedContainer, SpecError};
use crate::store::names::Claim;
use crate::store::ranges;
use crate::volumes::VolumeUse;
use crate::{Error, Result};

/// In force only for who has them in the first user namespace (capabilities(7); the kernel asks `capable()`, not `ns_capable()`).
const FIRST_ONLY: [&str; 18] = [
    "ALL",
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_IPC_LOCK",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_PERFMON",
    "CAP_SYSLOG",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_RAWIO",
    "CAP_SYS_TIME",
    "CAP_WAKE_ALARM",
];

/// How many ids the kernel lets a machine have user namespaces for; 0 switches them off.
const LIMIT: &str = "/proc/sys/user/max_user_namespaces";

/// What a container is to have.
pub(super) struct Users {
    own: Option<(IdRange, Claim)>,
    /// The user namespace that the files of the host are shown through.
    idmap: Option<OwnedFd>,
    /// Nobody asked for it, so that the host's ids will do.
    by_default: bool,
    /// Why it has the host's ids, if nobody asked for those.
    pub(super) notice: Option<String>,
    /// Whether that is the host's doing, and worth a warning.
    pub(super) warns: bool,
}

impl Users {
    /// Settles `--userns` in `options`: afterwards it is `host`, `private` or another container's.
    ///
    /// # Errors
    /// What was asked for and cannot be.
    pub(super) fn settle(
        parts: &Parts,
        id: &ContainerId,
        options: &mut CreateOptions,
        (image, volumes): (&ImageConfig, &[VolumeUse]),
        (joined, joined_ids): (&mut Joined, &mut BTreeMap<String, ContainerId>),
    ) -> Result<Self> {
        let asked = std::mem::take(&mut options.namespaces.user);
        let mut users = Self { own: None, idmap: None, by_default: false, notice: None, warns: false };
        let (mode, notice) = match asked {
            UserMode::Default if crate::rootless::is_rootless() => (UserMode::Host, None),
            UserMode::Default => {
                users.by_default = true;
                by_default(parts, options, image, (joined, joined_ids))
            }
            asked => (asked, None),
        };
        options.namespaces.user = mode;
        users.notice = notice;
        if options.namespaces.user == UserMode::Private {
            users.own(parts, id, options, volumes)?;
        } else if let Some(range) = joined.user.as_ref().and_then(|of| of.id_range) {
            ranges::share(&parts.store, id, range)?;
        }
        Ok(users)
    }

    /// Takes a range; the host's ids instead if that will do and a file that is to be seen cannot be shown by it.
    fn own(
        &mut self,
        parts: &Parts,
        id: &ContainerId,
        options: &mut CreateOptions,
        volumes: &[VolumeUse],
    ) -> Result<()> {
        if crate::rootless::is_rootless() {
            return Err(Error::UserMode);
        }
        let (range, claim) = ranges::claim(&parts.store, id)?;
        self.own = Some((range, claim));
        let idmap = match crate::idmap::namespace(range) {
            Ok(idmap) => idmap,
            // Not when too many are in use: another container could bring that about, for this one to be less safe.
            Err(error) if self.by_default && switched_off() => {
                return self.as_docker(options, error.to_string());
            }
            Err(error) => return Err(error),
        };
        // Those that have a file system of their own are made when they are mounted.
        let all = parts.volumes();
        let root = (!volumes.is_empty()).then_some((all.root(), false));
        let plain = volumes.iter().filter(|volume| !volume.detached).map(|volume| (&*volume.source, false));
        let binds = options.storage.binds.iter();
        let binds = binds.map(|bind| (&*bind.source, bind.recursion != Recursion::Disabled));
        let unseen = binds
            .chain(root)
            .chain(plain)
            .find_map(|(source, deep)| showable(source, deep, range, &idmap).err());
        match unseen {
            None => self.idmap = Some(idmap),
            Some(why) if self.by_default => return self.as_docker(options, why),
            Some(why) => {
                return Err(SpecError::Unavailable { option: "--userns private".to_owned(), why }.into());
            }
        }
        Ok(())
    }

    /// The range that is its own.
    pub(super) fn range(&self) -> Option<IdRange> {
        self.own.as_ref().map(|(range, _)| *range)
    }

    /// What the image's files are to be shown through, for the first mount.
    pub(super) fn idmap(&self) -> Option<&OwnedFd> {
        self.idmap.as_ref()
    }

    /// Whether the host's ids may mend this error: it comes of the mapping, and nobody asked for one.
    pub(super) fn may_do_without(&self, error: &Error) -> bool {
        let of_mapping = match error {
            Error::Rootfs(error) => error.is_invalid(),
            Error::Spec(SpecError::UnmappedUser { .. }) => true,
            _ => false,
        };
        self.by_default && self.own.is_some() && of_mapping
    }

    /// The host's ids, as Docker has it.
    ///
    /// # Errors
    /// [`Error::Remove`] of the range.
    pub(super) fn as_docker(&mut self, options: &mut CreateOptions, why: String) -> Result<()> {
        options.namespaces.user = UserMode::Host;
        self.idmap = None;
        if let Some((_, claim)) = self.own.take() {
            claim.forfeit()?;
        }
        self.notice = Some(why);
        self.warns = true;
        Ok(())
    }
}

/// A mode for who said none, and why if it is not a range of the container's own.
fn by_default(
    parts: &Parts,
    options: &CreateOptions,
    image: &ImageConfig,
    (joined, ids): (&mut Joined, &mut BTreeMap<String, ContainerId>),
) -> (UserMode, Option<String>) {
    if let Some(why) = parts.host_ids.then(|| "run.userns is host".to_owned()).or_else(|| needs_host(options))
    {
        return (UserMode::Host, Some(why));
    }
    // Namespaces belong to a user namespace: who joins some joins that one, or has the host's ids as they do.
    let others = [&joined.network, &joined.pid, &joined.ipc, &joined.uts, &joined.cgroup, &joined.time];
    let kinds = ["network", "pid", "ipc", "uts", "cgroup", "time"];
    let mut others = others.into_iter().zip(kinds).filter_map(|(of, kind)| Some((of.as_ref()?, kind)));
    if let Some((other, kind)) = others.next() {
        let id = ids[kind].clone();
        return match other.id_range {
            Some(_) => {
                let other: JoinedContainer = other.clone();
                joined.user = Some(other);
                ids.insert("user".to_owned(), id.clone());
                (UserMode::Container(id.to_string()), None)
            }
            None => (
                UserMode::Host,
                Some(format!("{}, whose namespaces it joins, has the host's ids", id.short())),
            ),
        };
    }
    // Where names are numbers; an image's own names are looked up when its files can be seen.
    let user = options.process.user.as_deref().unwrap_or(&image.user);
    let ids = user.split(':').chain(options.process.groups.iter().map(String::as_str));
    let beyond = ids.filter_map(|text| text.parse::<u32>().ok()).find(|id| *id >= spec::RANGE_SIZE);
    match beyond {
        Some(id) => {
            (UserMode::Host, Some(format!("user or group {id} is not among {} ids", spec::RANGE_SIZE)))
        }
        None => (UserMode::Private, None),
    }
}

/// The option that asks for something that only the first user namespace has.
fn needs_host(options: &CreateOptions) -> Option<String> {
    let (spaces, security) = (&options.namespaces, &options.security);
    if security.privileged {
        return Some("--privileged needs the host's ids".to_owned());
    }
    let host = [
        (spaces.network == NetworkMode::Host, "--network"),
        (spaces.pid == NamespaceMode::Host, "--pid"),
        (spaces.ipc == IpcMode::Host, "--ipc"),
        // The kernel mounts control groups for who owns the namespace that they are seen through.
        (spaces.cgroup == NamespaceMode::Host, "--cgroupns"),
    ];
    if let Some((_, option)) = host.into_iter().find(|(is_host, _)| *is_host) {
        return Some(format!("{option} host needs the host's ids"));
    }
    if let Some(name) = security.asked_for().find(|name| FIRST_ONLY.contains(name)) {
        return Some(format!("{name} means nothing without the host's ids"));
    }
    if !options.storage.device_rules.is_empty() {
        return Some("--device-cgroup-rule is for nodes that the container makes".to_owned());
    }
    let shared = |bind: &&Bind| matches!(bind.propagation, Propagation::Shared | Propagation::Rshared);
    let bind = options.storage.binds.iter().find(shared)?;
    Some(format!("mounts below {} are to reach the host", bind.target.display()))
}

fn switched_off() -> bool {
    std::fs::read_to_string(LIMIT).map_or(true, |limit| limit.trim() == "0")
}

/// Whether a directory of the host's can be seen with the container's ids, with what is mounted below or without: a mount of it takes a
/// mapping, and its owner is mapped.
fn showable(source: &Path, deep: bool, range: IdRange, idmap: &OwnedFd) -> std::result::Result<(), String> {
    // One that is not there yet is made where the nearest one is.
    let mut places = source.ancestors().map(|place| (place, rustix::fs::stat(place)));
    let Some((place, Ok(stat))) = places.find(|(_, found)| !matches!(found, Err(Errno::NOENT))) else {
        // Whoever binds it says what is wrong with it.
        return Ok(());
    };
    if place == source && (stat.st_uid >= range.size || stat.st_gid >= range.size) {
        let (source, uid, gid) = (source.display(), stat.st_uid, stat.st_gid);
        return Err(format!("{source} is {uid}:{gid}'s, which is not among {} ids", range.size));
    }
    match crate::idmap::try_map(place, deep, idmap) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            let source = source.display();
            Err(format!(
                "the file system of {source}, or one mounted below, cannot show its files with other owners"
            ))
        }
        Err(error) => Err(format!("cannot map the owners of {}: {error}", source.display())),
        Ok(()) => Ok(()),
    }
}

/// Whether this is the first time since the machine started that a warning is to be given; noted in `RUN/warned`.
pub(super) fn first_time(run: &Path, warning: &str) -> bool {
    let path: PathBuf = run.join("warned");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    if known.lines().any(|line| line == warning) {
        return false;
    }
    use io::Write as _;
    // A few lines a machine; whoever fills it with names of directories is warned again.
    let is_full = known.len() > 64 << 10;
    let file =
        std::fs::File::options().create(true).append(!is_full).write(true).truncate(is_full).open(path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{warning}")) {
        log::debug!("cannot note a warning: {error}");
    }
    true
}
