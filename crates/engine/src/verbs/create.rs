//! `create`: everything about a container that can be known before it runs, on disk, all or nothing.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use conex_image::{Image, Silent};
use conex_oci::{ContainerId, ContainerName, Platform};

use crate::engine::Parts;
use crate::events::Subject;
use crate::health::Check;
use crate::options::{CreateOptions, Made, NotifyMode, PullPolicy};
use crate::spec::{self, Joined, LiveHost, RootfsFiles, SpecRequest};
use crate::store::lock::Owned;
use crate::store::names::{self, Claim, Claimed};
use crate::store::writable::WritableLayer;
use crate::store::write::Durability;
use crate::store::{Record, Store, ranges, write};
use crate::supervise::Job;
use crate::time::Time;
use crate::volumes::Settled;
use crate::{Engine, Error, Result};

use super::users::{self, Users};

impl Engine {
    /// Makes a container. All or nothing: after an error, or a kill, nothing of it is left. Pulls as
    /// [`CreateOptions::pull`] says, silently: whoever has something to show pulls before.
    ///
    /// # Errors
    /// An image that is not there, a name in use, options that do not fit the host or the image.
    pub fn create(&self, options: &CreateOptions) -> Result<Made> {
        let (made, owned, _) = self.make(options, false)?;
        owned.finish()?;
        Ok(made)
    }

    /// The same for a start by this process right after, which is spared the reading of what is at hand. Until then the
    /// container is this process's: when that is killed, a `--rm` container goes.
    ///
    /// # Errors
    /// As [`Engine::create`].
    pub fn prepare(&self, options: &CreateOptions) -> Result<Made> {
        self.start_pod_of(options.pod.as_ref())?;
        let (made, owned, job) = self.make(options, true)?;
        *self.prepared.borrow_mut() = Some((owned, job));
        Ok(made)
    }

    /// `at_once`: the start follows.
    fn make(&self, options: &CreateOptions, at_once: bool) -> Result<(Made, Owned, Job)> {
        let parts = &self.parts;
        let mut warnings = options.validate()?;
        crate::network::check_carrier(&options.namespaces.network)?;
        let mut options = options.clone();
        options.supervision.log = crate::log::settle(&options.supervision.log)?;
        let image = self.image(&options)?;
        warnings.extend(check_platform(&image, &options)?);
        // Until the record is written nobody removes the image.
        let _lease = parts.images.lease(&image)?;
        let lowers = parts.images.lowers(&image)?;
        let draft = Draft::new(&parts.store)?;
        let id = draft.id.clone();
        let (name, named) = claim_name(&parts.store, &id, options.name.as_ref())?;
        let (mut joined, mut joined_ids) = self.joined(&options)?;
        let settled = self.settle_volumes(&id, &mut options, &image)?;
        let config = &image.document.config;
        let mut users = Users::settle(
            parts,
            &id,
            &mut options,
            (config, &settled.volumes),
            (&mut joined, &mut joined_ids),
        )?;
        let cgroup = parts.group_path(options.limits.cgroup_parent.as_deref(), &id)?;
        let directory = parts.store.directory(&id);
        let mut record = Record {
            id: id.clone(),
            name: name.clone(),
            created: Time::now(),
            image: options.image.clone(),
            image_id: image.id,
            reference: image.references.first().cloned(),
            command: Vec::new(),
            labels: labels(&image, &options),
            cgroup,
            id_range: None,
            id_notice: None,
            stop_signal: 15,
            hostname: String::new(),
            joined: joined_ids,
            health: Check::of(&options.supervision.health, &image.document.config),
            volumes: settled.volumes.clone(),
            images: settled.images.clone(),
            options,
            limits_changed: false,
        };
        let supervision = &record.options.supervision;
        if record.health.as_ref().and_then(Check::command).is_none() {
            if supervision.notify == Some(NotifyMode::Healthy) {
                return Err(Error::NeedsHealthcheck { option: "--sdnotify healthy" });
            }
            if !supervision.health.on_failure.is_none() {
                return Err(Error::NeedsHealthcheck { option: "--health-on-failure" });
            }
        }
        let (rootfs, mut plan) = loop {
            match self.furnish(&mut record, &image, &lowers, &joined, &settled, &users) {
                Err(error) if users.may_do_without(&error) => {
                    WritableLayer::clear(&directory)?;
                    users.as_docker(&mut record.options, error.to_string())?;
                }
                furnished => break furnished?,
            }
        };
        record.id_notice = users.notice.take();
        if let Some(why) = record.id_notice.as_ref().filter(|_| users.warns)
            && users::first_time(&parts.paths.run, why)
        {
            warnings.push(format!("the container has the host's user ids, as in Docker: {why}"));
        }
        for (file, content) in &plan.files {
            write::shared_file(&directory.join(file), content.as_bytes(), plan.owner)?;
        }
        for missing in &plan.directories {
            std::fs::create_dir_all(missing)
                .map_err(|source| Error::Directory { path: missing.clone(), source })?;
        }
        write::new_file(&directory.join("spec.json"), &write::to_json(&plan.spec))?;
        record.command = plan.spec.process.as_ref().map(|process| process.args.clone()).unwrap_or_default();
        record.stop_signal = plan.stop_signal;
        record.hostname = plan.hostname;
        // A container that is made to stay is there after a power failure, too.
        let durability = if record.options.auto_remove { Durability::Passing } else { Durability::Lasting };
        if durability == Durability::Lasting {
            let files = plan.files.iter().map(|(file, _)| directory.join(file));
            files.chain([directory.join("spec.json")]).try_for_each(|file| write::sync(&file))?;
            named.sync()?;
            record.id_range.map_or(Ok(()), |range| ranges::sync(&parts.store, &id, range))?;
        }
        // From here on there is a container.
        write::replace_json(&directory, "config.json", &record, durability)?;
        if durability == Durability::Lasting {
            write::sync(directory.parent().unwrap_or(&directory))?;
        }
        parts.event(&Subject::from(&record).event("create"));
        warnings.extend(plan.warnings);
        if at_once {
            parts.equip(&record, &mut plan.spec)?;
        } else if record.options.storage.has_cdi() {
            parts.edit(&record, &mut plan.spec)?;
        }
        let made = Made { id, name, image: record.reference.clone(), warnings };
        let job = Job { record, spec: plan.spec, rootfs: Some(rootfs), size: None, descriptors: 0 };
        Ok((made, draft.commit(), job))
    }

    /// The writable layer, the root filesystem and the spec that is made for it.
    fn furnish(
        &self,
        record: &mut Record,
        image: &Image,
        lowers: &[PathBuf],
        joined: &Joined,
        settled: &Settled,
        users: &Users,
    ) -> Result<(OwnedFd, spec::Plan)> {
        let parts = &self.parts;
        let directory = parts.store.directory(&record.id);
        // In a neighbour's user namespace the root filesystem needs the neighbour's mapping.
        record.id_range = users.range().or_else(|| joined.user.as_ref().and_then(|of| of.id_range));
        let root = record.id_range.map_or(0, |range| range.base);
        let layer = match record.options.storage.size {
            Some(bytes) => {
                WritableLayer::limit(&directory, bytes).and_then(|()| WritableLayer::open(&directory))?
            }
            None => WritableLayer::unlimited(&directory),
        };
        layer.scratch.create(lowers.last().map(PathBuf::as_path), (root, root))?;
        let rootfs = parts.mount_over(record, lowers, users.idmap())?;
        crate::volumes::fill(parts, settled, image, rootfs.as_fd(), record.id_range)?;
        let plan = spec::build(&SpecRequest {
            options: &record.options,
            image: &image.document.config,
            id: &record.id,
            host: &LiveHost,
            files: &RootfsFiles(rootfs.as_fd()),
            joined,
            directory: &directory,
            id_range: record.id_range,
            cgroups_path: record.cgroup.name(),
            rootfs: Path::new("rootfs"),
            volumes: &record.volumes,
            images: &record.images,
        })?;
        Ok((rootfs, plan))
    }

    /// The image, pulled when the policy says so.
    fn image(&self, options: &CreateOptions) -> Result<Image> {
        let images = &self.parts.images;
        let platform = options.platform.as_ref();
        let pull = || -> Result<Image> {
            let reference = options.image.parse().map_err(|source| Error::Reference { source })?;
            Ok(images.pull(&reference, platform, &Silent)?.image)
        };
        if options.pull == PullPolicy::Always {
            return pull();
        }
        match images.resolve(&options.image, platform) {
            Err(conex_image::Error::NotFound { .. } | conex_image::Error::Platform { .. })
                if options.pull == PullPolicy::Missing =>
            {
                pull()
            }
            found => Ok(found?),
        }
    }
}

/// Docker's warning for an image of another processor that nobody asked for; what is not Linux cannot run at all.
fn check_platform(image: &Image, options: &CreateOptions) -> Result<Option<String>> {
    let (ours, host) = (image.platform(), Platform::host());
    if ours.os != host.os {
        return Err(Error::ForeignSystem { image: options.image.clone(), os: ours.os });
    }
    let unasked = options.platform.is_none() && !ours.serves(&host);
    Ok(unasked.then(|| {
        format!(
            "The requested image's platform ({ours}) does not match the detected host platform ({host}) and no specific platform was requested"
        )
    }))
}

/// What is taken back unless the container is whole.
struct Draft<'a> {
    store: &'a Store,
    id: ContainerId,
    owned: Option<Owned>,
}

impl<'a> Draft<'a> {
    fn new(store: &'a Store) -> Result<Self> {
        // The lock comes first: what has no owner is taken for the remains of one, and somebody who cleans up may own
        // the id between its directory and its lock.
        let (id, owned) = loop {
            let id = ContainerId::from_random(random()?);
            if let Some(owned) = store.own(&id)? {
                break (id, owned);
            }
        };
        let draft = Self { store, id, owned: Some(owned) };
        let directory = draft.store.directory(&draft.id);
        write::make_directory(&directory)?;
        Ok(draft)
    }

    fn commit(mut self) -> Owned {
        self.owned.take().unwrap_or_else(|| unreachable!("taken only here and in drop"))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take()
            && let Err(error) = self.store.erase(&self.id).and_then(|()| owned.finish())
        {
            // The next command settles it.
            log::warn!("{error}");
        }
    }
}

/// Random bytes of the kernel's.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Random { source: errno.into() }),
        }
    }
    Ok(bytes)
}

/// The user's name, or an invented one that is free.
fn claim_name(
    store: &Store,
    id: &ContainerId,
    wanted: Option<&ContainerName>,
) -> Result<(ContainerName, Claim)> {
    let random = if wanted.is_some() { [0; 8] } else { random()? };
    for attempt in 0.. {
        let invented;
        let name = match wanted {
            Some(name) => name.as_str(),
            None => {
                invented = names::invent(random, attempt);
                &invented
            }
        };
        let name: ContainerName = name.parse().map_err(|source| Error::Id { source })?;
        match claim(store, id, &name)? {
            Claimed::Ours(claim) => return Ok((name, claim)),
            Claimed::Taken(holder) if wanted.is_some() => {
                return Err(Error::NameInUse { name: name.to_string(), id: holder });
            }
            Claimed::Taken(_) => {}
        }
    }
    unreachable!("there are more numbers than names")
}

/// Claims a name; it counts for its holder when his record says the same.
pub(super) fn claim(store: &Store, id: &ContainerId, name: &ContainerName) -> Result<Claimed> {
    // What a dead owner left gives its name back here, before the name is locked: that takes the lock too.
    if let Some(holder) = names::holder(&store.names(), name.as_str())?
        && holder != *id
    {
        store.state(&holder)?;
    }
    names::claim(&store.names(), name.as_str(), id, |holder| {
        Ok(store.record(holder)?.is_some_and(|record| record.name == *name))
    })
}

fn labels(image: &Image, options: &CreateOptions) -> BTreeMap<String, String> {
    let mut labels = image.document.config.labels.clone();
    labels.extend(options.labels.clone());
    labels
}

fn gone(kind: &str, id: &ContainerId) -> Error {
    Error::JoinGone { kind: kind.to_owned(), id: id.short().to_owned() }
}

impl Parts {
    /// Whether the containers whose namespaces a container shares are there still, running or not.
    pub(super) fn check_joined(&self, record: &Record) -> Result<()> {
        for (kind, id) in &record.joined {
            if self.store.record(id)?.is_none() {
                return Err(gone(kind, id));
            }
        }
        Ok(())
    }

    /// Points the spec's joined namespaces at the processes that their containers have now.
    pub(crate) fn rejoin(&self, record: &Record, spec: &mut conex_oci::runtime::Spec) -> Result<()> {
        self.check_joined(record)?;
        let Some(linux) = &mut spec.linux else { return Ok(()) };
        for (kind, id) in &record.joined {
            let name = || {
                self.store.record(id).ok().flatten().map_or_else(|| id.to_string(), |r| r.name.to_string())
            };
            let state = self.store.state(id)?.ok_or_else(|| gone(kind, id))?;
            let process =
                state.process().ok_or_else(|| Error::JoinNotRunning { kind: kind.clone(), name: name() })?;
            for space in &mut linux.namespaces {
                let spoken = match space.kind.proc_name() {
                    "net" => "network",
                    other => other,
                };
                if spoken == kind && space.path.is_some() {
                    space.path = Some(format!("/proc/{}/ns/{}", process.pid, space.kind.proc_name()).into());
                }
            }
            if kind == "ipc" {
                crate::spec::point_shm_at(&mut spec.mounts, process.pid);
            }
        }
        Ok(())
    }
}
