//! `pod create`, and what `--pod` makes of a container's options.

use crate::options::{
    CreateOptions, IpcMode, Made, NamespaceMode, NetworkMode, PodOptions, PodPart, SharedKind, VolumesFrom,
};
use crate::store::ContainerState;
use crate::verbs::StartMode;
use crate::{Engine, Error, Result};

/// What the user says himself of a container that goes into a pod.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chosen {
    /// `--network`, `--ip`, …
    pub network: bool,
    /// `--restart`
    pub restart: bool,
}

impl Engine {
    /// Makes a pod of the options of its own container, whose image holds a program that waits.
    ///
    /// # Errors
    /// As [`Engine::create`].
    pub fn create_pod(&self, options: &CreateOptions, pod: PodOptions) -> Result<Made> {
        let mut options = options.clone();
        let spaces = &mut options.namespaces;
        if pod.shared.has(SharedKind::Ipc) && spaces.ipc == IpcMode::Private {
            spaces.ipc = IpcMode::Shareable;
        }
        // Its containers find it by this name, as it is theirs.
        if spaces.hostname.is_none() && spaces.uts == NamespaceMode::Private && !joins_names(&spaces.network)
        {
            spaces.hostname = options.name.as_ref().map(ToString::to_string).filter(|name| name.len() <= 63);
        }
        options.pod = Some(PodPart::Infra(pod));
        self.create(&options)
    }

    /// Lets a container share what the pod `name` shares, and its restart policy. What the user chose himself for a kind that is shared is
    /// refused.
    ///
    /// # Errors
    /// [`Error::NoSuchPod`], [`Error::PodShares`].
    pub fn join_pod(&self, options: &mut CreateOptions, name: &str, chosen: Chosen) -> Result<()> {
        let pod = self.find_pod(name)?;
        let (record, shares) = self.pod_record(&pod)?;
        let id = pod.to_string();
        let refuse = |option: &'static str| Error::PodShares { option, pod: record.name.to_string() };
        let ports = &options.ports;
        let publishes = ports.publish_all || !ports.publish.is_empty() || !ports.expose.is_empty();
        if !chosen.restart && !options.auto_remove {
            options.supervision.restart = record.options.supervision.restart;
        }
        let spaces = &mut options.namespaces;
        for kind in shares.shared.kinds() {
            match kind {
                SharedKind::Net if chosen.network => return Err(refuse("--network")),
                SharedKind::Net if publishes => return Err(refuse("--publish")),
                SharedKind::Net if record.options.namespaces.network == NetworkMode::Host => {
                    spaces.network = NetworkMode::Host;
                }
                SharedKind::Net => spaces.network = NetworkMode::Container(id.clone()),
                SharedKind::Ipc if spaces.ipc != IpcMode::Private => return Err(refuse("--ipc")),
                SharedKind::Ipc => {
                    spaces.ipc = match record.options.namespaces.ipc {
                        IpcMode::Host => IpcMode::Host,
                        _ => IpcMode::Container(id.clone()),
                    };
                }
                SharedKind::Pid => {
                    spaces.pid =
                        shared(&spaces.pid, &record.options.namespaces.pid, &id, || refuse("--pid"))?;
                }
                SharedKind::Uts => {
                    spaces.uts =
                        shared(&spaces.uts, &record.options.namespaces.uts, &id, || refuse("--uts"))?;
                }
                SharedKind::Cgroup => {
                    let theirs = &record.options.namespaces.cgroup;
                    spaces.cgroup = shared(&spaces.cgroup, theirs, &id, || refuse("--cgroupns"))?;
                }
            }
        }
        // What all of a pod's containers see.
        if !record.options.storage.binds.is_empty() || !record.volumes.is_empty() {
            options.storage.volumes_from.insert(0, VolumesFrom { container: id, read_only: false });
        }
        options.pod = Some(PodPart::Member { pod });
        Ok(())
    }

    /// Starts the pod of a container that is about to start. Forks: the caller must have one thread.
    pub(crate) fn start_pod_of(&self, part: Option<&PodPart>) -> Result<()> {
        let Some(PodPart::Member { pod }) = part else { return Ok(()) };
        match self.parts.store.state(pod)? {
            Some(ContainerState::Running(_) | ContainerState::Paused(_)) => Ok(()),
            Some(_) => self.start(pod, StartMode::Detached).map(drop),
            None => Err(Error::NoSuchPod { name: pod.short().to_owned() }),
        }
    }
}

/// The container's mode of a kind that its pod shares.
fn shared(
    asked: &NamespaceMode,
    of_pod: &NamespaceMode,
    id: &str,
    refuse: impl Fn() -> Error,
) -> Result<NamespaceMode> {
    match (asked, of_pod) {
        (NamespaceMode::Private, NamespaceMode::Host) => Ok(NamespaceMode::Host),
        (NamespaceMode::Private, _) => Ok(NamespaceMode::Container(id.to_owned())),
        _ => Err(refuse()),
    }
}

/// Whether the network brings a hostname along.
fn joins_names(network: &NetworkMode) -> bool {
    matches!(network, NetworkMode::Host | NetworkMode::Container(_))
}
