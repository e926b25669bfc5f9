//! Who has which host ids: a file `ROOT/userns/BASE` for the container that a range was given to, and one `BASE.ID` for each that
//! joined it. A range is free when neither is there: who joined may run on when its owner is gone.

use conex_oci::ContainerId;

use super::Store;
use super::names::{self, Claim, Claimed};
use super::write;
use crate::Result;
use crate::spec::{self, IdRange};

/// A range of host ids that no other container has, claimed as names are.
///
/// # Errors
/// [`spec::SpecError::NoIdRange`], what is wrong with /etc/subuid, or [`crate::Error::Name`].
pub(crate) fn claim(store: &Store, id: &ContainerId) -> Result<(IdRange, Claim)> {
    let mut taken: Vec<IdRange> = Vec::new();
    if let Ok(entries) = std::fs::read_dir(store.ranges()) {
        let bases = entries.filter_map(|entry| base_of(entry.ok()?.file_name().to_str()?));
        taken.extend(bases.map(|base| IdRange { base, size: spec::RANGE_SIZE }));
    }
    let ids = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let pool = spec::id_pool(&ids("/etc/subuid"), &ids("/etc/subgid"))?;
    loop {
        let range = spec::free_range(pool, &taken)?;
        let claimed = names::claim(&store.ranges(), &range.base.to_string(), id, |holder| {
            Ok(store.record(holder)?.is_some_and(|record| record.id_range == Some(range)))
        })?;
        match claimed {
            Claimed::Ours(claim) => return Ok((range, claim)),
            Claimed::Taken(_) => taken.push(range),
        }
    }
}

/// Notes that a container has the range of another, which is then not given to a third.
///
/// # Errors
/// [`crate::Error::Name`].
pub(crate) fn share(store: &Store, id: &ContainerId, range: IdRange) -> Result<()> {
    // The name is nobody else's, so that its lock need not be held.
    names::claim(&store.ranges(), &shared(range, id), id, |_| Ok(false)).map(drop)
}

/// Gives up what a container has of a range, its own or another's.
///
/// # Errors
/// [`crate::Error::Name`], [`crate::Error::Remove`].
pub(crate) fn release(store: &Store, id: &ContainerId, range: IdRange) -> Result<()> {
    for name in [range.base.to_string(), shared(range, id)] {
        names::forfeit(&store.ranges(), &name, id)?;
    }
    Ok(())
}

/// Waits until what a container has of a range is on the disk.
///
/// # Errors
/// [`crate::Error::Write`].
pub(crate) fn sync(store: &Store, id: &ContainerId, range: IdRange) -> Result<()> {
    let names = [range.base.to_string(), shared(range, id)].map(|name| store.ranges().join(name));
    for path in names.iter().filter(|path| path.exists()) {
        write::sync(path)?;
        write::sync(&store.ranges())?;
    }
    Ok(())
}

fn shared(range: IdRange, id: &ContainerId) -> String {
    format!("{}.{id}", range.base)
}

fn base_of(name: &str) -> Option<u32> {
    name.split('.').next()?.parse().ok()
}
