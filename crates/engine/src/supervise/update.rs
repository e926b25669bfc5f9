//! `update`, done by whoever owns the container: its supervisor while it runs, the command itself while it rests.
//!
//! The owner changes the group and then the record, under the lock of the container's name, so that no other change of the
//! record is lost. Killed before the record is written, a supervisor takes the group along: what is on record then is what the
//! next start puts in force. A client that is killed changes nothing about it.

use conex_cgroup::Cgroup;
use conex_oci::ContainerId;
use conex_oci::runtime::Resources;

use crate::engine::Parts;
use crate::options::{LimitOptions, RestartPolicy, UpdateOptions};
use crate::spec::{self, Host, LiveHost};
use crate::store::write::{self, Durability};
use crate::store::{Record, Store};
use crate::{Error, Result};

/// The limits that a container gets, and the warnings to print.
///
/// # Errors
/// What is refused whether it runs or not.
pub(crate) fn plan(record: &Record, change: &UpdateOptions) -> Result<(LimitOptions, Vec<String>)> {
    if record.options.auto_remove && change.restart.is_some_and(|policy| policy != RestartPolicy::No) {
        return Err(Error::RestartOfRemoved { name: record.name.to_string() });
    }
    Ok(record.options.limits.changed(&change.limits, LiveHost.swap_limit())?)
}

/// Puts a change in force, in the groups when it runs, and on record: both or neither. Gives the record as it is then.
///
/// # Errors
/// What the kernel or [`plan`] refuses; what cannot be written.
pub(crate) fn apply(
    parts: &Parts,
    id: &ContainerId,
    mut group: Option<&mut Cgroup>,
    change: &UpdateOptions,
) -> Result<Record> {
    let mut back = Resources::default();
    let changed = parts.store.change_record(id, |record| {
        let (limits, _) = plan(record, change)?;
        let before = spec::limits(&record.options.limits, &LiveHost, &mut Vec::new())?;
        let after = spec::limits(&limits, &LiveHost, &mut Vec::new())?;
        let wanted = spec::difference(&before, &after);
        if let Some(group) = group.as_deref_mut().filter(|_| wanted != Resources::default()) {
            if !group.exists() {
                return Err(Error::NoGroup { name: record.name.to_string() });
            }
            refuse_below_use(group, &wanted)?;
            group.update(&wanted)?;
            back = spec::difference(&after, &before);
        }
        record.options.limits = limits;
        record.limits_changed = true;
        if let Some(policy) = change.restart {
            record.options.supervision.restart = policy;
        }
        Ok(())
    });
    match (changed, group) {
        (Ok(record), _) => {
            write_spec(&parts.store, &record);
            Ok(record)
        }
        (Err(error), Some(group)) if back != Resources::default() => {
            if let Err(error) = group.update(&back) {
                log::warn!("{error}");
            }
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

/// v1 refuses a limit below what is in use by itself; v2 would kill instead (cgroup-v2.rst, "memory.max").
fn refuse_below_use(group: &Cgroup, wanted: &Resources) -> Result<()> {
    let limit = wanted.memory.as_ref().and_then(|memory| memory.limit).filter(|limit| *limit > 0);
    let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) else { return Ok(()) };
    let memory = group.stats()?.memory;
    if !memory.raw.contains_key("anon") {
        return Ok(());
    }
    let cached = ["active_file", "inactive_file"].map(|name| memory.raw.get(name).copied().unwrap_or(0));
    let used = memory.usage.usage.saturating_sub(cached.into_iter().sum());
    if used > limit { Err(Error::MemoryInUse { limit, used }) } else { Ok(()) }
}

/// Has `spec.json` say the same, for who reads it: the record is what counts ([`Record::limits_changed`]).
fn write_spec(store: &Store, record: &Record) {
    let directory = store.directory(&record.id);
    let rewrite = || -> Result<()> {
        let Some(mut spec) = write::read_json(&directory.join("spec.json"))? else { return Ok(()) };
        spec::limit_anew(&mut spec, &record.options.limits, &LiveHost)?;
        write::replace_json(&directory, "spec.json", &spec, Durability::Passing)
    };
    if let Err(error) = rewrite() {
        log::warn!("{error}");
    }
}
