//! Which volumes a new container has: those of the options, of other containers, and of the image; made when they are not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use conex_image::Image;
use conex_oci::ContainerId;
use conex_volume::{Backing, Held, NewVolume, Volume, VolumeName, Volumes};

use super::{ImageUse, VolumeUse, reap};
use crate::engine::Parts;
use crate::events::Event;
use crate::options::{CreateOptions, VolumeOption};
use crate::store::Record;
use crate::{Engine, Error, Result};

/// More than any image has that is made for use.
const MOST_OF_AN_IMAGE: usize = 128;
/// Docker's mark.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// What a container has, held until its record is written.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) volumes: Vec<VolumeUse>,
    pub(crate) images: Vec<ImageUse>,
    /// The volumes by name, each locked.
    pub(super) held: BTreeMap<VolumeName, (Volume, Held)>,
    /// The container goes with its run, and its anonymous volumes with it.
    pub(super) passing: bool,
    /// Images that are not to go meanwhile.
    _leases: Vec<conex_content::Lease>,
}

impl Engine {
    /// Finds or makes the volumes of a container that is being made, and adds to the options the binds that it inherits.
    pub(crate) fn settle_volumes(
        &self,
        id: &ContainerId,
        options: &mut CreateOptions,
        image: &Image,
    ) -> Result<Settled> {
        let storage = &options.storage;
        let of_image = &image.document.config.volumes;
        if storage.volumes.is_empty()
            && storage.images.is_empty()
            && storage.volumes_from.is_empty()
            && of_image.is_empty()
        {
            return Ok(Settled::default());
        }
        let mut targets: BTreeSet<PathBuf> = storage
            .binds
            .iter()
            .map(|bind| &bind.target)
            .chain(storage.volumes.iter().map(|volume| &volume.target))
            .chain(storage.images.iter().map(|image| &image.target))
            .chain(storage.tmpfs.iter().map(|tmpfs| &tmpfs.target))
            .cloned()
            .collect();
        let mut wanted: Vec<Wanted> = storage.volumes.iter().map(Wanted::Asked).collect();
        let mut inherited = Vec::new();
        for from in storage.volumes_from.iter().rev() {
            let failed = |error| Error::VolumesFrom { name: from.container.clone(), source: Box::new(error) };
            let other: Record = self
                .find(&from.container)
                .and_then(|other| self.parts.store.must_record(&other))
                .map_err(failed)?;
            for mut volume in other.volumes {
                if targets.insert(volume.target.clone()) {
                    volume.read_only |= from.read_only;
                    (volume.no_copy, volume.chown) = (true, false);
                    wanted.push(Wanted::Inherited(Box::new(volume)));
                }
            }
            for mut bind in other.options.storage.binds {
                if targets.insert(bind.target.clone()) {
                    bind.read_only |= from.read_only;
                    (bind.inherited, bind.create_source, bind.chown) = (true, false, false);
                    inherited.push(bind);
                }
            }
        }
        let places = places_of(of_image.keys(), &targets)?;
        wanted.extend(places.iter().map(|target| Wanted::OfImage(target)));
        // A pull may take its time: before anything is locked.
        let mut settled = self.take_images(options)?;
        settled.passing = options.auto_remove;
        self.parts.take(id, storage.volume_driver.as_deref(), wanted, &mut settled)?;
        options.storage.binds.extend(inherited);
        Ok(settled)
    }

    fn take_images(&self, options: &CreateOptions) -> Result<Settled> {
        let mut settled = Settled::default();
        let images = &self.parts.images;
        for asked in &options.storage.images {
            let image = match images.resolve(&asked.source, None) {
                Err(conex_image::Error::NotFound { .. })
                    if options.pull != crate::options::PullPolicy::Never =>
                {
                    let reference = asked.source.parse().map_err(|source| Error::Reference { source })?;
                    images.pull(&reference, None, &conex_image::Silent)?.image
                }
                found => found?,
            };
            settled._leases.push(images.lease(&image)?);
            // Its layers are unpacked now, and not when the container starts.
            images.lowers(&image)?;
            settled.images.push(ImageUse {
                image: image.id,
                source: asked.source.clone(),
                target: asked.target.clone(),
                subpath: asked.subpath.clone(),
            });
        }
        Ok(settled)
    }
}

/// Where an image wants volumes and nothing else is. The image is hostile.
fn places_of<'a>(
    declared: impl ExactSizeIterator<Item = &'a String>,
    taken: &BTreeSet<PathBuf>,
) -> Result<BTreeSet<PathBuf>> {
    let wrong = |path: &str, why| Error::VolumePlace {
        what: "the image's VOLUME",
        path: path.chars().take(200).collect::<String>().into(),
        why,
    };
    let mut places = BTreeSet::new();
    let count = declared.len();
    for path in declared {
        if count > MOST_OF_AN_IMAGE {
            return Err(wrong(path, "the image has more than 128 of them"));
        }
        let place = crate::options::clean_path(Path::new(path));
        if path.contains('\0') || place == Path::new("/") {
            return Err(wrong(path, "a volume cannot be there"));
        }
        if !taken.contains(&place) {
            places.insert(place);
        }
    }
    Ok(places)
}

/// A volume that is to be had.
enum Wanted<'a> {
    Asked(&'a VolumeOption),
    Inherited(Box<VolumeUse>),
    OfImage(&'a Path),
}

impl Wanted<'_> {
    fn name(&self) -> Option<&VolumeName> {
        match self {
            Self::Asked(option) => option.name.as_ref(),
            Self::Inherited(volume) => Some(&volume.name),
            Self::OfImage(_) => None,
        }
    }
}

impl Parts {
    /// Locks the volumes in the order of their names, and makes what is not there.
    fn take(
        &self,
        id: &ContainerId,
        driver: Option<&str>,
        wanted: Vec<Wanted<'_>>,
        settled: &mut Settled,
    ) -> Result<()> {
        let volumes = self.volumes();
        let mut named = Vec::with_capacity(wanted.len());
        for one in wanted {
            let name = one.name().cloned().map_or_else(VolumeName::random, Ok)?;
            named.push((name, one));
        }
        let anonymous = named.iter().filter(|(_, one)| one.name().is_none()).map(|(name, _)| name);
        // Before they are there: whoever finds the rest of a creation that was killed removes them.
        reap::note(&self.store.directory(id), anonymous.cloned().collect())?;
        let mut order: Vec<usize> = (0..named.len()).collect();
        order.sort_by(|&one, &two| named[one].0.cmp(&named[two].0));
        for index in order {
            let (name, one) = &named[index];
            if !settled.held.contains_key(name) {
                let is_new = !volumes.directory(name).exists();
                settled.held.insert(name.clone(), hold(&volumes, name, one, driver, settled.passing)?);
                if is_new {
                    self.event(&Event::new("volume", "create", name.as_str()).with("driver", "local"));
                }
            }
        }
        for (name, one) in &named {
            let (volume, _) = &settled.held[name];
            settled.volumes.push(use_of(&volumes, volume, one)?);
        }
        Ok(())
    }
}

fn hold(
    volumes: &Volumes,
    name: &VolumeName,
    wanted: &Wanted<'_>,
    driver: Option<&str>,
    passing: bool,
) -> Result<(Volume, Held)> {
    let mut asked = NewVolume::default();
    match wanted {
        // Of another container's record: it is there as long as that is.
        Wanted::Inherited(_) => return Ok(volumes.hold(name)?),
        Wanted::Asked(option) => {
            let driver = option.driver.as_deref().or(driver).filter(|driver| *driver != "local");
            if let Some(driver) = driver {
                return Err(conex_volume::Error::Driver { driver: driver.to_owned() }.into());
            }
            asked.options = option.driver_options.clone();
            asked.labels = option.labels.clone();
            asked.anonymous = option.name.is_none();
        }
        Wanted::OfImage(_) => asked.anonymous = true,
    }
    if asked.anonymous {
        asked.labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        asked.passing = passing;
    }
    Ok(volumes.create_held(name, &asked)?)
}

fn use_of(volumes: &Volumes, volume: &Volume, wanted: &Wanted<'_>) -> Result<VolumeUse> {
    let data = volumes.data(&volume.name);
    let backing = volume.backing()?;
    let volatile = matches!(&backing, Backing::FileSystem(system) if system.is_volatile());
    let made = |target: &Path| VolumeUse {
        name: volume.name.clone(),
        target: target.to_owned(),
        source: data.clone(),
        read_only: false,
        anonymous: volume.anonymous,
        no_copy: false,
        subpath: None,
        chown: false,
        relabel: None,
        detached: false,
        volatile,
    };
    let mut found = match wanted {
        Wanted::Inherited(volume) => return Ok((**volume).clone()),
        Wanted::OfImage(target) => made(target),
        Wanted::Asked(option) => VolumeUse {
            read_only: option.read_only,
            no_copy: option.no_copy || option.subpath.is_some(),
            subpath: option.subpath.clone(),
            chown: option.chown,
            relabel: option.relabel,
            ..made(&option.target)
        },
    };
    if let Some(subpath) = &found.subpath {
        found.source.push(subpath);
    }
    found.detached = found.subpath.is_some() || !(volatile || volumes.is_directory(volume)?);
    Ok(found)
}
