//! The id mappings of a new user namespace, written by whoever may (user_namespaces(7)).
//!
//! Root writes them itself. An ordinary user may map himself alone, and his group once the namespace has given up
//! setgroups(2); anything more is for newuidmap(1) and newgidmap(1), which look into /etc/subuid and /etc/subgid.

use std::fs;
use std::io;

use conex_oci::runtime::IdMapping;
use conex_sys::process::find_helper;

use crate::Error;
use crate::idmap::lines;
use crate::program::output;

/// Which of the two mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uid,
    Gid,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Self::Uid => "uid_map",
            Self::Gid => "gid_map",
        }
    }

    fn helper(self) -> &'static str {
        match self {
            Self::Uid => "newuidmap",
            Self::Gid => "newgidmap",
        }
    }

    /// The caller's own.
    fn own(self) -> u32 {
        match self {
            Self::Uid => rustix::process::geteuid().as_raw(),
            Self::Gid => rustix::process::getegid().as_raw(),
        }
    }

    fn ranges(self) -> &'static str {
        match self {
            Self::Uid => "/etc/subuid",
            Self::Gid => "/etc/subgid",
        }
    }
}

/// Whether the caller is an ordinary user of its own user namespace.
pub(crate) fn is_ordinary_user() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Writes both mappings of the process `pid`, which waits in its new user namespace. The caller has one thread, and is outside of it.
///
/// # Errors
/// [`Error::IdMap`]
pub fn map_ids(pid: u32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<(), Error> {
    map(pid, Kind::Uid, uids)?;
    map(pid, Kind::Gid, gids)
}

fn map(pid: u32, kind: Kind, mappings: &[IdMapping]) -> Result<(), Error> {
    let fail = |why: String| Error::IdMap { file: kind.file(), why };
    if is_ordinary_user() {
        if !is_own(mappings, kind.own()) {
            return by_helper(pid, kind, mappings).map_err(fail);
        }
        if kind == Kind::Gid {
            // Or one could drop a group that takes rights away (CVE-2014-8989).
            fs::write(format!("/proc/{pid}/setgroups"), "deny").map_err(|error| fail(error.to_string()))?;
        }
    }
    fs::write(format!("/proc/{pid}/{}", kind.file()), lines(mappings)).map_err(|error| {
        fail(match error.kind() {
            // Root of a user namespace has only the ids that are mapped there.
            io::ErrorKind::PermissionDenied => format!("{error} (are all the host's ids in it mapped here?)"),
            io::ErrorKind::InvalidInput => format!("{error} (ranges that overlap, or too many?)"),
            _ => error.to_string(),
        })
    })
}

/// One id, the caller's.
fn is_own(mappings: &[IdMapping], own: u32) -> bool {
    matches!(mappings, [only] if only.size == 1 && only.host_id == own)
}

fn by_helper(pid: u32, kind: Kind, mappings: &[IdMapping]) -> Result<(), String> {
    let name = kind.helper();
    let program = find_helper(name, std::env::var_os("PATH")).ok_or_else(|| {
        format!("an ordinary user needs {name} for more than his own id, and it is not in PATH (Debian's package uidmap has it)")
    })?;
    let mut arguments = vec![pid.to_string()];
    for map in mappings {
        arguments.extend([map.container_id, map.host_id, map.size].map(|id| id.to_string()));
    }
    let output = output(&program, &arguments).map_err(|error| format!("{}: {error}", program.display()))?;
    if output.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it gave no reason").trim();
    Err(format!("{said} (has {} a range for user {}?)", kind.ranges(), rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn only_a_single_id_of_ones_own_needs_no_helper() {
        assert!(is_own(&[mapping(0, 1000, 1)], 1000));
        assert!(is_own(&[mapping(5, 1000, 1)], 1000));
        assert!(!is_own(&[mapping(0, 1000, 2)], 1000));
        assert!(!is_own(&[mapping(0, 1001, 1)], 1000));
        assert!(!is_own(&[mapping(0, 1000, 1), mapping(1, 100_000, 9)], 1000));
        assert!(!is_own(&[], 1000));
    }
}
