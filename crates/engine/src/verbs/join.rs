//! `container:NAME` options, resolved to containers that run.

use std::collections::BTreeMap;

use conex_oci::ContainerId;

use crate::options::{CreateOptions, IpcMode, NamespaceMode, NetworkMode, PodPart, UserMode};
use crate::spec::{Joined, JoinedContainer};
use crate::{Engine, Error, Result};

impl Engine {
    /// The containers that the options name, and their ids by the kind of namespace.
    pub(super) fn joined(&self, options: &CreateOptions) -> Result<(Joined, BTreeMap<String, ContainerId>)> {
        let spaces = &options.namespaces;
        // Its pod runs when it is started.
        let is_member = matches!(options.pod, Some(PodPart::Member { .. }));
        let mut ids = BTreeMap::new();
        let mut join = |kind: &str, name: Option<&str>| -> Result<Option<JoinedContainer>> {
            let Some(name) = name else { return Ok(None) };
            let id = self.find(name)?;
            let mut container = self.join_one(kind, &id, is_member)?;
            if spaces.debugs {
                container.ipc = IpcMode::Shareable;
            }
            ids.insert(kind.to_owned(), id);
            Ok(Some(container))
        };
        fn named(mode: &NamespaceMode) -> Option<&str> {
            match mode {
                NamespaceMode::Container(name) => Some(name),
                NamespaceMode::Private | NamespaceMode::Host => None,
            }
        }
        let network = match &spaces.network {
            NetworkMode::Container(name) => Some(name.as_str()),
            NetworkMode::None | NetworkMode::Host | NetworkMode::Networks(_) => None,
        };
        let ipc = match &spaces.ipc {
            IpcMode::Container(name) => Some(name.as_str()),
            _ => None,
        };
        let user = match &spaces.user {
            UserMode::Container(name) => Some(name.as_str()),
            UserMode::Default | UserMode::Host | UserMode::Private => None,
        };
        let joined = Joined {
            network: join("network", network)?,
            pid: join("pid", named(&spaces.pid))?,
            ipc: join("ipc", ipc)?,
            uts: join("uts", named(&spaces.uts))?,
            cgroup: join("cgroup", named(&spaces.cgroup))?,
            user: join("user", user)?,
            time: join("time", spaces.time.as_ref().and_then(named))?,
        };
        Ok((joined, ids))
    }

    fn join_one(&self, kind: &str, id: &ContainerId, later: bool) -> Result<JoinedContainer> {
        let record = self.parts.store.must_record(id)?;
        let state = self.parts.store.state(id)?;
        let process = state.as_ref().and_then(|state| state.process());
        let pid = match process {
            Some(process) => process.pid,
            // A start puts the number of then in its place.
            None if later => 0,
            None => {
                return Err(Error::JoinNotRunning { kind: kind.to_owned(), name: record.name.to_string() });
            }
        };
        Ok(JoinedContainer {
            pid,
            directory: self.parts.store.directory(id),
            hostname: record.hostname,
            ipc: record.options.namespaces.ipc,
            id_range: record.id_range,
        })
    }
}
