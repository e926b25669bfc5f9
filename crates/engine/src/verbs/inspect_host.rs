//! The `HostConfig` of `inspect`: the options, as Docker's API spells them.

use conex_oci::ContainerId;
use serde_json::{Map, Value, json};

use super::inspect::ipc_mode;
use crate::options::{DeviceRate, NamespaceMode, NetworkMode, RestartPolicy, SeccompMode, Tmpfs, UserMode};
use crate::store::Record;

pub(super) fn host_config(record: &Record) -> Value {
    let options = &record.options;
    let (limits, security, spaces, storage) =
        (&options.limits, &options.security, &options.namespaces, &options.storage);
    let joined = |kind: &str| record.joined.get(kind);
    let restart = &options.supervision.restart;
    let retries = match restart {
        RestartPolicy::OnFailure { max_retries } => max_retries.unwrap_or(0),
        _ => 0,
    };
    let memory = limits.memory.unwrap_or(0);
    let mut document = json!({
        "Binds": binds(record),
        "ContainerIDFile": "",
        "LogConfig": { "Type": options.supervision.log.driver.name(), "Config": options.supervision.log.config() },
        "NetworkMode": match &spaces.network {
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::Container(name) => container(name, joined("network")),
            NetworkMode::Networks(connections) => {
                connections.first().map(|one| one.network.clone()).unwrap_or_default()
            }
        },
        "PortBindings": super::inspect_network::port_bindings(&options.ports),
        "RestartPolicy": { "Name": restart.name(), "MaximumRetryCount": retries },
        "AutoRemove": options.auto_remove,
        "VolumeDriver": storage.volume_driver.clone().unwrap_or_default(),
        "VolumesFrom": volumes_from(record),
        "ConsoleSize": [0, 0],
        "Annotations": options.annotations,
        "CapAdd": security.cap_add,
        "CapDrop": security.cap_drop,
        "CgroupnsMode": mode(&spaces.cgroup, joined("cgroup"), "private"),
        "Dns": spaces.dns,
        "DnsOptions": spaces.dns_options,
        "DnsSearch": spaces.dns_search,
        "ExtraHosts": spaces.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect::<Vec<_>>(),
        "GroupAdd": options.process.groups,
        "IpcMode": ipc_mode(&spaces.ipc, joined("ipc")),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": options.process.oom_score_adj.unwrap_or(0),
        "PidMode": mode(&spaces.pid, joined("pid"), ""),
        "Privileged": security.privileged,
        "PublishAllPorts": options.ports.publish_all,
        "ReadonlyRootfs": storage.read_only,
        "SecurityOpt": security_options(record),
        "Tmpfs": storage.tmpfs.iter().filter(|tmpfs| !tmpfs.spelt).map(tmpfs).collect::<Map<_, _>>(),
        "UTSMode": mode(&spaces.uts, joined("uts"), ""),
        "UsernsMode": match &spaces.user {
            UserMode::Default | UserMode::Host => "host".to_owned(),
            UserMode::Private => "private".to_owned(),
            UserMode::Container(name) => container(name, joined("user")),
        },
        "ShmSize": storage.shm_size.unwrap_or(crate::options::SHM_SIZE),
        "Sysctls": spaces.sysctls,
        "Runtime": "conex",
        "Isolation": "",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": memory,
        "NanoCpus": limits.nano_cpus.unwrap_or(0),
        "CgroupParent": limits.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": limits.blkio_weight_devices.iter().map(|one| json!({
            "Path": one.path, "Weight": one.weight,
        })).collect::<Vec<_>>(),
        "BlkioDeviceReadBps": rates(&limits.device_read_bps),
        "BlkioDeviceWriteBps": rates(&limits.device_write_bps),
        "BlkioDeviceReadIOps": rates(&limits.device_read_iops),
        "BlkioDeviceWriteIOps": rates(&limits.device_write_iops),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": limits.cpu_rt_period.unwrap_or(0),
        "CpuRealtimeRuntime": limits.cpu_rt_runtime.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": limits.cpuset_mems.clone().unwrap_or_default(),
        "Devices": storage.devices.iter().map(|device| json!({
            "PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.access,
        })).collect::<Vec<_>>(),
        "DeviceCgroupRules": some(storage.device_rules.iter().map(|rule| json!(rule.to_string())).collect()),
        "DeviceRequests": some(device_requests(storage)),
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwap": limits.memory_and_swap(),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids,
        "Ulimits": options.process.ulimits.iter().map(|ulimit| json!({
            "Name": ulimit.name, "Soft": ulimit.soft, "Hard": ulimit.hard,
        })).collect::<Vec<_>>(),
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": security.mask,
        "Init": options.process.init,
    });
    // Docker leaves these out when there are none.
    let mounts = super::inspect_mounts::asked(record);
    if !mounts.is_empty() {
        document["Mounts"] = mounts.into();
    }
    if !storage.driver_options.is_empty() {
        document["StorageOpt"] = json!(storage.driver_options);
    } else if let Some(size) = storage.size {
        document["StorageOpt"] = json!({ "size": size.to_string() });
    }
    document
}

/// Those of `-v`; Docker's `Mounts` has the others.
fn binds(record: &Record) -> Vec<String> {
    let storage = &record.options.storage;
    let own = storage.binds.iter().filter(|bind| !bind.inherited && !bind.spelt).map(bind);
    let volumes = storage.volumes.iter().filter(|volume| volume.short).filter_map(|volume| {
        let name = volume.name.as_ref()?;
        let mut options = Vec::new();
        options.extend(volume.read_only.then_some("ro"));
        options.extend(volume.no_copy.then_some("nocopy"));
        options.extend(volume.chown.then_some("U"));
        let paths = format!("{name}:{}", volume.target.display());
        Some(if options.is_empty() { paths } else { format!("{paths}:{}", options.join(",")) })
    });
    own.chain(volumes).collect()
}

fn volumes_from(record: &Record) -> Value {
    let from = &record.options.storage.volumes_from;
    let text = |from: &crate::options::VolumesFrom| {
        if from.read_only { format!("{}:ro", from.container) } else { from.container.clone() }
    };
    if from.is_empty() { Value::Null } else { json!(from.iter().map(text).collect::<Vec<_>>()) }
}

fn rates(list: &[DeviceRate]) -> Vec<Value> {
    list.iter().map(|one| json!({ "Path": one.path, "Rate": one.rate })).collect()
}

/// Go's empty list.
fn some(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { list.into() }
}

fn device_requests(storage: &crate::options::StorageOptions) -> Vec<Value> {
    use crate::options::GpuCount;
    let mut list = Vec::new();
    if !storage.cdi.is_empty() {
        let names: Vec<_> = storage.cdi.iter().map(ToString::to_string).collect();
        list.push(
            json!({ "Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": null, "Options": null }),
        );
    }
    list.extend(storage.gpus.iter().map(|request| {
        let mut capabilities = vec!["gpu".to_owned()];
        capabilities.extend(request.capabilities.iter().filter(|name| *name != "gpu").cloned());
        json!({
            "Driver": request.driver.clone().unwrap_or_default(),
            "Count": match request.count {
                Some(GpuCount::All) => -1,
                Some(GpuCount::Number(count)) => i64::from(count),
                None => 0,
            },
            "DeviceIDs": some(request.devices.iter().map(|name| json!(name)).collect()),
            "Capabilities": [capabilities],
            "Options": {},
        })
    }));
    list
}

fn container(name: &str, id: Option<&ContainerId>) -> String {
    format!("container:{}", id.map_or(name, ContainerId::as_str))
}

fn mode(mode: &NamespaceMode, joined: Option<&ContainerId>, private: &str) -> String {
    match mode {
        NamespaceMode::Private => private.to_owned(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container(name) => container(name, joined),
    }
}

fn bind(bind: &crate::options::Bind) -> String {
    let mut options = Vec::new();
    if bind.read_only {
        options.push("ro");
    }
    let propagation = bind.propagation.as_str();
    if propagation != "rprivate" {
        options.push(propagation);
    }
    let paths = format!("{}:{}", bind.source.display(), bind.target.display());
    if options.is_empty() { paths } else { format!("{paths}:{}", options.join(",")) }
}

fn tmpfs(tmpfs: &Tmpfs) -> (String, Value) {
    (tmpfs.target.display().to_string(), tmpfs.options.join(",").into())
}

fn security_options(record: &Record) -> Vec<String> {
    let security = &record.options.security;
    let mut options = Vec::new();
    match &security.seccomp {
        SeccompMode::Default => {}
        SeccompMode::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompMode::Profile(profile) => options.push(format!("seccomp={profile}")),
    }
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    options.extend(security.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    options.extend(security.label.iter().map(|label| format!("label={label}")));
    options
}
