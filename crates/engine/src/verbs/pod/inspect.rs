//! `pod inspect`: Podman's document.

use conex_oci::ContainerId;
use serde_json::{Value, json};

use crate::verbs::inspect_network::port_bindings;
use crate::{Engine, Error, Result};

impl Engine {
    /// All about a pod.
    ///
    /// # Errors
    /// When it is not there (any more).
    pub fn inspect_pod(&self, pod: &ContainerId) -> Result<Value> {
        let (record, options) = self.pod_record(pod)?;
        let members: Result<Vec<_>> =
            self.pod_members(pod)?.iter().map(|id| self.parts.store.must_record(id)).collect();
        let gone = || Error::NoSuchPod { name: record.name.to_string() };
        let summary = self.pod_summary(record.clone(), members?)?.ok_or_else(gone)?;
        let spaces = &record.options.namespaces;
        let networks = match &spaces.network {
            crate::options::NetworkMode::Networks(list) => {
                list.iter().map(|one| one.network.clone()).collect()
            }
            _ => Vec::new(),
        };
        let restart = &record.options.supervision.restart;
        Ok(json!({
            "Id": pod.as_str(),
            "Name": record.name.as_str(),
            "Created": record.created.to_string(),
            "State": summary.state.word(),
            "Hostname": record.hostname,
            "Labels": record.options.labels,
            "CreateCgroup": false,
            "CgroupParent": record.options.limits.cgroup_parent.clone().unwrap_or_default(),
            "CreateInfra": true,
            "InfraContainerID": pod.as_str(),
            "InfraConfig": {
                "PortBindings": port_bindings(&record.options.ports),
                "HostNetwork": spaces.network == crate::options::NetworkMode::Host,
                "Networks": networks,
                "DNSServer": spaces.dns,
                "DNSSearch": spaces.dns_search,
                "DNSOption": spaces.dns_options,
                "HostAdd": spaces.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect::<Vec<_>>(),
            },
            "SharedNamespaces": summary.shared,
            "ExitPolicy": options.exit_policy.as_str(),
            "RestartPolicy": restart.name(),
            "NumContainers": summary.containers.len(),
            "Containers": summary.containers.iter().map(|(id, name, state)| json!({
                "Id": id.as_str(), "Name": name, "State": state,
            })).collect::<Vec<_>>(),
        }))
    }
}
