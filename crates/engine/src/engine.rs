//! The handle on a store and a run directory that all verbs hang on.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use conex_cgroup::{CgroupPath, Driver, Host};
use conex_image::rootfs::{self, RootfsRequest, Scratch};
use conex_oci::ContainerId;
use conex_oci::runtime::Spec;

use crate::events::{Event, Follow};
use crate::network::FirewallSettings;
use crate::options::NotifyMode;
use crate::rootless::is_rootless;
use crate::store::lock::Owned;
use crate::store::writable::WritableLayer;
use crate::store::{Record, Store, write};
use crate::supervise::Job;
use crate::{Error, Result};

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `--root`: survives a reboot.
    pub root: PathBuf,
    /// `--run-root`: gone at a reboot.
    pub run: PathBuf,
}

/// A handle on a store; cheap to open.
pub struct Engine {
    pub(crate) parts: Parts,
    /// What [`Engine::prepare`] made for the start that follows.
    pub(crate) prepared: RefCell<Option<(Owned, Job)>>,
}

impl Engine {
    /// Opens a store, making its directories when they are missing.
    ///
    /// # Errors
    /// [`Error::Directory`] when they cannot be made.
    pub fn open(paths: Paths) -> Result<Self> {
        // The supervisor works from another directory.
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).map_err(|source| Error::Directory { path: path.clone(), source })
        };
        let paths = Paths { root: absolute(paths.root)?, run: absolute(paths.run)? };
        let store = Store::new(&paths.root, &paths.run);
        let images = conex_image::Store::open_to_run(&paths.root, &paths.run)?;
        let parts = Parts {
            paths,
            store,
            images,
            host: OnceLock::new(),
            init: None,
            notify: None,
            publish_address: None,
            host_ids: false,
            firewall: FirewallSettings::default(),
            cdi: conex_cdi::DIRECTORIES.map(PathBuf::from).to_vec(),
        };
        Ok(Self { parts, prepared: RefCell::new(None) })
    }

    /// Gives the program (a static ELF file) that `--init` makes PID 1.
    #[must_use]
    pub fn with_init(mut self, program: &'static [u8]) -> Self {
        self.parts.init = Some(program);
        self
    }

    /// Who tells the service manager, whatever the containers' own `--sdnotify` says.
    #[must_use]
    pub fn with_notify(mut self, mode: Option<NotifyMode>) -> Self {
        self.parts.notify = mode;
        self
    }

    /// Where ports are published that name no address (everywhere without), and what holds for all containers' packets.
    #[must_use]
    pub fn with_ports(mut self, address: Option<std::net::IpAddr>, firewall: FirewallSettings) -> Self {
        self.parts.publish_address = address;
        // An ordinary user's ports are a program's of his: the host's input chains see it anyway.
        self.parts.firewall =
            FirewallSettings { ask_input: firewall.ask_input && !is_rootless(), ..firewall };
        self
    }

    /// Gives containers that say nothing of `--userns` the host's user ids, as Docker does.
    #[must_use]
    pub fn with_host_ids(mut self, host: bool) -> Self {
        self.parts.host_ids = host;
        self
    }

    /// Where networks of CNI and their plugins are found.
    #[must_use]
    pub fn with_cni(mut self, settings: conex_network::cni::Settings) -> Self {
        self.parts.store.set_cni(settings);
        self
    }

    /// Where subnets of networks are cut from that ask for none.
    #[must_use]
    pub fn with_pools(mut self, pools: Option<Vec<conex_network::Pool>>) -> Self {
        self.parts.store.set_pools(pools);
        self
    }

    /// Where CDI specifications are looked for, the last directory's going first.
    #[must_use]
    pub fn with_cdi(mut self, directories: Vec<PathBuf>) -> Self {
        self.parts.cdi = directories;
        self
    }

    /// Where everything is.
    pub fn paths(&self) -> &Paths {
        &self.parts.paths
    }

    /// The images.
    pub fn images(&self) -> &conex_image::Store {
        &self.parts.images
    }

    /// The containers' records and states.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Notes that something has happened. One open(2) for several in a row, one write(2) each; never an error.
    pub fn event(&self, event: &Event) {
        self.parts.event(event);
    }

    /// Notes that something has happened to a container: `action` is Docker's word, such as `update`.
    pub fn container_event(&self, id: &ContainerId, action: &str) {
        self.parts.store.event_of(id, |subject| subject.event(action));
    }

    /// The events that are kept, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn events(&self) -> Result<Follow> {
        let directory = self.parts.store.journal().directory();
        Follow::open(directory).map_err(|source| Error::Read { path: directory.to_owned(), source })
    }

    /// The container that a user means: an id, a name, or a unique prefix of an id, in this order.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], [`Error::Ambiguous`].
    pub fn find(&self, text: &str) -> Result<ContainerId> {
        let store = &self.parts.store;
        let missing = || Error::NoSuchContainer { name: text.to_owned() };
        // What a dead owner left is settled before anybody builds on it.
        let known = |id: &ContainerId| -> Result<bool> {
            Ok(store.directory(id).join("config.json").exists() && store.state(id)?.is_some())
        };
        if let Ok(id) = text.parse::<ContainerId>()
            && known(&id)?
        {
            return Ok(id);
        }
        if let Ok(name) = text.parse()
            && let Some(id) = store.named(&name)?
            && known(&id)?
        {
            return Ok(id);
        }
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(missing());
        }
        let mut found = None;
        for id in store.ids()?.into_iter().filter(|id| id.as_str().starts_with(text)) {
            if known(&id)? && found.replace(id).is_some() {
                return Err(Error::Ambiguous { prefix: text.to_owned() });
            }
        }
        found.ok_or_else(missing)
    }
}

/// What verbs and supervisors share.
pub(crate) struct Parts {
    pub(crate) paths: Paths,
    pub(crate) store: Store,
    pub(crate) images: conex_image::Store,
    host: OnceLock<Host>,
    pub(crate) init: Option<&'static [u8]>,
    /// `--sdnotify` of the command, over the container's own.
    pub(crate) notify: Option<NotifyMode>,
    /// Where ports are published that say nothing of their own; everywhere without.
    pub(crate) publish_address: Option<std::net::IpAddr>,
    /// `run.userns = "host"`: containers that say nothing have the host's user ids.
    pub(crate) host_ids: bool,
    /// What holds for all containers' packets.
    pub(crate) firewall: FirewallSettings,
    /// Directories of CDI specifications.
    pub(crate) cdi: Vec<PathBuf>,
}

impl Parts {
    /// The machine's control groups, looked at once.
    pub(crate) fn host(&self) -> Result<&Host> {
        if self.host.get().is_none() {
            let _ = self.host.set(Host::detect()?);
        }
        Ok(self.host.get().unwrap_or_else(|| unreachable!("just set")))
    }

    /// Where a container's control groups go; an ordinary user's go beside his own.
    pub(crate) fn group_path(&self, parent: Option<&str>, id: &ContainerId) -> Result<CgroupPath> {
        let host = self.host()?;
        Ok(match parent {
            None if is_rootless() => host.bundle_path(Driver::Cgroupfs, None, id.as_str())?,
            parent => host.container_path(parent, id.as_str())?,
        })
    }

    /// Notes that something has happened. Never an error.
    pub(crate) fn event(&self, event: &Event) {
        self.store.journal().write(event);
    }

    /// The networks.
    pub(crate) fn networks(&self) -> conex_network::Networks {
        self.store.networks()
    }

    /// The cache of compiled filters.
    pub(crate) fn seccomp(&self) -> conex_seccomp::Cache {
        conex_seccomp::Cache::new(self.paths.root.join("cache/seccomp"))
    }

    /// What the start of an existing container needs.
    pub(crate) fn job(&self, id: &ContainerId) -> Result<Job> {
        let record = self.store.must_record(id)?;
        let mut spec = self.spec(id)?;
        self.rejoin(&record, &mut spec)?;
        if record.limits_changed {
            crate::spec::limit_anew(&mut spec, &record.options.limits, &crate::spec::LiveHost)?;
        }
        self.equip(&record, &mut spec)?;
        Ok(Job { record, spec, rootfs: None, size: None, descriptors: 0 })
    }

    /// A container's spec.
    pub(crate) fn spec(&self, id: &ContainerId) -> Result<Spec> {
        let path = self.store.directory(id).join("spec.json");
        match write::read_json(&path)? {
            Some(spec) => Ok(spec),
            // Removed since its record was read: the record goes first.
            None => {
                self.store.must_record(id)?;
                Err(Error::Read { path, source: std::io::ErrorKind::NotFound.into() })
            }
        }
    }

    /// Mounts a container's root filesystem, detached.
    pub(crate) fn mount(&self, record: &Record) -> Result<OwnedFd> {
        let image = self.images.resolve(&record.image_id.to_string(), None)?;
        let lowers = self.images.lowers(&image)?;
        self.mount_over(record, &lowers, None)
    }

    /// The same over layers at hand, and through a user namespace that is.
    pub(crate) fn mount_over(
        &self,
        record: &Record,
        lowers: &[PathBuf],
        idmap: Option<&OwnedFd>,
    ) -> Result<OwnedFd> {
        let directory = self.store.directory(&record.id);
        let layer = match record.options.storage.size {
            Some(_) => WritableLayer::open(&directory)?,
            None => WritableLayer::unlimited(&directory),
        };
        let Scratch { upper, work } = &layer.scratch;
        let made = match (idmap, record.id_range) {
            (None, Some(range)) => Some(super::idmap::namespace(range)?),
            _ => None,
        };
        let mount = rootfs::mount(&RootfsRequest {
            lowers,
            upper,
            work,
            volatile: record.options.auto_remove,
            read_only: false,
            idmap: idmap.or(made.as_ref()).map(AsFd::as_fd),
        });
        match mount {
            Err(source) if layer.is_image() => Err(Error::LimitedLayer { source }),
            mount => Ok(mount?),
        }
    }
}
