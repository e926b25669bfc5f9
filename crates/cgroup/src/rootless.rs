//! Control groups of an ordinary user: he has those that were delegated to him, which may be none.

use conex_oci::runtime::Resources;
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::create::Needs;
use crate::error::{Error, Result};
use crate::host::{Host, is_root};
use crate::path::CgroupPath;
use crate::systemd::Properties;

impl Cgroup {
    /// As [`Cgroup::create_with`]; but where this process may make no groups, nothing is limited and the bundle names no path
    /// (`is_explicit`), the container goes without: `None`. As runc and crun.
    ///
    /// # Errors
    /// As for [`Cgroup::create_with`].
    pub fn create_if_allowed(
        host: &Host,
        path: &CgroupPath,
        is_explicit: bool,
        resources: &Resources,
        properties: &Properties,
    ) -> Result<Option<Self>> {
        match Self::create_with(host, path, resources, properties) {
            Ok(cgroup) => Ok(Some(cgroup)),
            Err(error)
                if !is_explicit && is_denied(&error) && !is_root() && !Needs::of(host, resources)?.any() =>
            {
                log::debug!("{error}; going without groups");
                Ok(None)
            }
            Err(error) if is_denied(&error) && !is_root() => {
                Err(Error::NotDelegated { source: Box::new(error) })
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether it is this user who may not, rather than the host that cannot.
fn is_denied(error: &Error) -> bool {
    let is_denial = |errno: &Errno| matches!(*errno, Errno::ACCESS | Errno::PERM | Errno::ROFS);
    match error {
        Error::Make { source, .. }
        | Error::Open { source, .. }
        | Error::Write { source, .. }
        | Error::Enable { source, .. } => is_denial(source),
        Error::Bus { .. } | Error::Unit { .. } => true,
        _ => false,
    }
}
