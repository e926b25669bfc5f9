//! Which namespaces are made, joined or left the host's, and what the container is called.

use std::path::PathBuf;

use conex_oci::runtime::{Namespace, NamespaceKind};

use super::{IdRange, JoinedContainer, SpecError, SpecRequest};
use crate::options::{IpcMode, NamespaceMode, NetworkMode, UserMode};

/// What the container is called.
pub(super) struct Identity {
    /// As `hostname` prints it inside.
    pub(super) hostname: String,
    /// Whether it has a UTS namespace of its own to set it in.
    pub(super) sets_hostname: bool,
}

pub(super) fn identity(request: &SpecRequest<'_>) -> Result<Identity, SpecError> {
    let asked = &request.options.namespaces;
    let hostname = match &asked.uts {
        NamespaceMode::Host => request.host.hostname(),
        NamespaceMode::Container(name) => {
            request.joined("--uts", name, request.joined.uts.as_ref())?.hostname.clone()
        }
        NamespaceMode::Private => {
            let hostname = match (&asked.hostname, &asked.network) {
                (Some(hostname), _) => hostname.clone(),
                (None, NetworkMode::Host) => request.host.hostname(),
                (None, NetworkMode::Container(name)) => {
                    request.joined("--network", name, request.joined.network.as_ref())?.hostname.clone()
                }
                (None, NetworkMode::None | NetworkMode::Networks(_)) => request.id.short().to_owned(),
            };
            return Ok(Identity { hostname, sets_hostname: true });
        }
    };
    Ok(Identity { hostname, sets_hostname: false })
}

/// One of a container's namespaces, settled.
enum Place<'a> {
    Own,
    Host,
    Of(&'a JoinedContainer),
}

pub(super) fn list(request: &SpecRequest<'_>, range: Option<IdRange>) -> Result<Vec<Namespace>, SpecError> {
    let (asked, joined) = (&request.options.namespaces, request.joined);
    let plain = |option: &str, mode: &NamespaceMode, of| match mode {
        NamespaceMode::Private => Ok(Place::Own),
        NamespaceMode::Host => Ok(Place::Host),
        NamespaceMode::Container(name) => request.joined(option, name, of).map(Place::Of),
    };
    let user = match &asked.user {
        UserMode::Default | UserMode::Host => Place::Host,
        UserMode::Private => Place::Own,
        UserMode::Container(name) => {
            let of = request.joined("--userns", name, joined.user.as_ref())?;
            if of.id_range.is_some() { Place::Of(of) } else { Place::Host }
        }
    };
    let network = match &asked.network {
        NetworkMode::None | NetworkMode::Networks(_) => Place::Own,
        NetworkMode::Host => Place::Host,
        NetworkMode::Container(name) => {
            Place::Of(request.joined("--network", name, joined.network.as_ref())?)
        }
    };
    let ipc = match &asked.ipc {
        IpcMode::Private | IpcMode::Shareable | IpcMode::None => Place::Own,
        IpcMode::Host => Place::Host,
        IpcMode::Container(name) => {
            let of = request.joined("--ipc", name, joined.ipc.as_ref())?;
            if matches!(of.ipc, IpcMode::Private | IpcMode::None) {
                let why = "its IPC namespace is not shareable; start it with --ipc shareable";
                return Err(SpecError::Join { option: format!("--ipc container:{name}"), why });
            }
            Place::Of(of)
        }
    };
    let time = match &asked.time {
        None => Place::Host,
        Some(mode) => plain("--timens", mode, joined.time.as_ref())?,
    };
    let places = [
        (NamespaceKind::User, user),
        (NamespaceKind::Mount, Place::Own),
        (NamespaceKind::Network, network),
        (NamespaceKind::Uts, plain("--uts", &asked.uts, joined.uts.as_ref())?),
        (NamespaceKind::Pid, plain("--pid", &asked.pid, joined.pid.as_ref())?),
        (NamespaceKind::Ipc, ipc),
        (NamespaceKind::Cgroup, plain("--cgroupns", &asked.cgroup, joined.cgroup.as_ref())?),
        (NamespaceKind::Time, time),
    ];
    let mut list = Vec::new();
    for (kind, place) in places {
        match place {
            Place::Host => check_host(kind, range)?,
            Place::Own => list.push(Namespace { kind, path: None }),
            Place::Of(of) => {
                check_owner(kind, of, range)?;
                let path = PathBuf::from(format!("/proc/{}/ns/{}", of.pid, kind.proc_name()));
                list.push(Namespace { kind, path: Some(path) });
            }
        }
    }
    Ok(list)
}

/// sysfs and proc cannot be mounted in a user namespace that does not own the network and pid namespaces they show.
fn check_host(kind: NamespaceKind, range: Option<IdRange>) -> Result<(), SpecError> {
    if range.is_none() {
        return Ok(());
    }
    match kind {
        NamespaceKind::Network => Err(SpecError::Conflict(
            "cannot share the host's network namespace when user namespaces are enabled (--network host, --userns)".to_owned(),
        )),
        NamespaceKind::Pid => Err(SpecError::Conflict(
            "cannot share the host PID namespace when user namespaces are enabled (--pid host, --userns)".to_owned(),
        )),
        NamespaceKind::Ipc => Err(SpecError::Conflict(
            "cannot share the host IPC namespace when user namespaces are enabled (--ipc host, --userns)".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// A process in a user namespace may join only what the same one owns: setns(2).
fn check_owner(kind: NamespaceKind, of: &JoinedContainer, range: Option<IdRange>) -> Result<(), SpecError> {
    if range.is_none() || range == of.id_range {
        return Ok(());
    }
    Err(SpecError::Conflict(format!(
        "the {} namespace to join belongs to another user namespace; join that too with --userns container:NAME",
        kind.proc_name()
    )))
}
