//! The device filter: which device nodes a container's processes may open and make.
//!
//! The rules of `linux.resources.devices` are taken in order, and for each of read, write and mknod the last rule that
//! covers it decides; what no rule covers is denied. No rules at all: no filter. On v2 and hybrid hosts the filter is a
//! BPF program on the v2 group ([`program`]), on v1 the devices controller ([`list`]). Both decide alike.

mod list;
mod program;
mod rule;

use std::os::fd::{AsFd, OwnedFd};

use conex_oci::runtime::DeviceRule;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};
use rule::Rule;

/// Whether `rules` filter anything: none, or a last one that allows all, do not.
pub(crate) fn is_needed(rules: &[DeviceRule]) -> Result<bool> {
    let rules = Rule::parse_all(rules)?;
    Ok(!rules.last().is_none_or(|last| last.allow && last.covers_all()))
}

/// The rules as what may be opened, for systemd's `DeviceAllow`: a device or a class of them, and the accesses. Nothing when
/// that does not say it.
pub(crate) fn allowed(rules: &[DeviceRule]) -> Result<Option<Vec<(String, String)>>> {
    let Ok((false, exceptions)) = list::settled(&Rule::parse_all(rules)?) else { return Ok(None) };
    let entry = |rule: &Rule| {
        let class = if rule.kind == rule::Kind::Block { "block" } else { "char" };
        let device = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => format!("/dev/{class}/{major}:{minor}"),
            (Some(major), None) => format!("{class}-{major}"),
            (None, None) => format!("{class}-*"),
            (None, Some(_)) => return None,
        };
        Some((device, rule.letters().collect()))
    };
    Ok(exceptions.iter().map(entry).collect())
}

/// By which our programs are known among those of others (systemd's) on the same group.
const NAME: &[u8] = b"conex_device";

/// Puts the filter on a v2 group that has none of ours.
pub(crate) fn attach(group: &Group, rules: &[DeviceRule]) -> Result<()> {
    let program = load(group, rules)?;
    conex_sys::bpf::attach_device_program(group.directory(), program.as_fd(), None)
        .map_err(failed(group, "attach"))
}

/// Puts the filter on a v2 group in place of the one that was there; at no moment is there none.
pub(crate) fn replace(group: &Group, rules: &[DeviceRule]) -> Result<()> {
    let program = load(group, rules)?;
    let mut old = ours(group)?;
    let replaced = old.pop();
    let attach = |replaced: Option<&OwnedFd>| {
        conex_sys::bpf::attach_device_program(group.directory(), program.as_fd(), replaced.map(AsFd::as_fd))
    };
    match attach(replaced.as_ref()) {
        // Before Linux 5.6 nothing is replaced: both filter for a moment.
        Err(Errno::INVAL) if replaced.is_some() => {
            attach(None).map_err(failed(group, "attach"))?;
            old.extend(replaced);
        }
        result => result.map_err(failed(group, "attach"))?,
    }
    remove(group, &old)
}

/// Takes our filter off a v2 group.
pub(crate) fn detach(group: &Group) -> Result<()> {
    remove(group, &ours(group)?)
}

fn load(group: &Group, rules: &[DeviceRule]) -> Result<OwnedFd> {
    let rules = Rule::parse_all(rules)?;
    conex_sys::bpf::load_device_program(&program::compile(&rules), NAME).map_err(failed(group, "load"))
}

fn ours(group: &Group) -> Result<Vec<OwnedFd>> {
    let mut programs = conex_sys::bpf::device_programs(group.directory()).map_err(failed(group, "query"))?;
    programs.retain(|program| conex_sys::bpf::program_name(program.as_fd()).is_ok_and(|name| name == NAME));
    Ok(programs)
}

fn remove(group: &Group, programs: &[OwnedFd]) -> Result<()> {
    programs.iter().try_for_each(|program| {
        conex_sys::bpf::detach_device_program(group.directory(), program.as_fd())
            .map_err(failed(group, "detach"))
    })
}

fn failed(group: &Group, doing: &'static str) -> impl Fn(Errno) -> Error {
    move |source| Error::DeviceFilter { doing, path: group.path().to_owned(), source }
}

/// Whether a host without this kind of program gave this error (no CONFIG_CGROUP_BPF, or before Linux 4.15).
pub(crate) fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::DeviceFilter { source: Errno::INVAL | Errno::NOSYS | Errno::PERM, .. })
}

/// Fills the lists of a v1 devices group.
pub(crate) fn apply_v1(group: &Group, rules: &[DeviceRule]) -> Result<()> {
    let limit = Limit { controller: "devices", name: "devices", hint: "mount the devices controller" };
    for (file, entry) in list::writes(&Rule::parse_all(rules)?)? {
        group.set(limit, file, &entry)?;
    }
    Ok(())
}
