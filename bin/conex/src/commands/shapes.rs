//! The types of Docker's documents, so that templates written for Docker work on fields that a document leaves out.
//!
//! Only what JSON does not tell stands here: fields that may be absent or null, maps with the users' keys, Go's names that are
//! spelt otherwise in JSON. All other fields are those of the document. Source: moby's `api/types`, API 1.52.

use crate::format::shape::Shape::{
    self, Alias, Any, Duration, Flag, List, Map, Number, Pointer, Struct, Text, Time,
};
use crate::format::shape::{TEXTS, WORDS};

/// Go's `struct{}`, the values of its sets.
const MEMBER: Shape = Struct(&[]);
const ANYTHING: Shape = Any;

/// `inspect` of a container.
pub(crate) const CONTAINER: Shape = Struct(&[
    ("ID", Alias("Id")),
    ("Args", WORDS),
    ("State", Pointer(&STATE)),
    ("ExecIDs", WORDS),
    ("HostConfig", Pointer(&HOST_CONFIG)),
    ("GraphDriver", DRIVER),
    ("Storage", Pointer(&ANYTHING)),
    ("SizeRw", Pointer(&Number)),
    ("SizeRootFs", Pointer(&Number)),
    ("ImageManifestDescriptor", Pointer(&DESCRIPTOR)),
    ("Mounts", List(&MOUNT_POINT)),
    ("Config", Pointer(&CONFIG)),
    ("NetworkSettings", Pointer(&NETWORK_SETTINGS)),
]);

const STATE: Shape = Struct(&[("Health", Pointer(&HEALTH))]);

const HEALTH: Shape = Struct(&[("Log", List(&Struct(&[("Start", Time), ("End", Time)])))]);

const DRIVER: Shape = Struct(&[("Data", TEXTS)]);

const MOUNT_POINT: Shape = Struct(&[("Type", Text), ("Name", Text), ("Source", Text), ("Driver", Text)]);

/// `Config`, of containers and of images; the last three are Podman's.
const CONFIG: Shape = Struct(&[
    ("MacAddress", Text),
    ("ExposedPorts", Map(&MEMBER)),
    ("Env", WORDS),
    ("Cmd", WORDS),
    ("Healthcheck", Pointer(&HEALTHCHECK)),
    ("ArgsEscaped", Flag),
    ("Volumes", Map(&MEMBER)),
    ("Entrypoint", WORDS),
    ("NetworkDisabled", Flag),
    ("OnBuild", WORDS),
    ("Labels", TEXTS),
    ("StopSignal", Text),
    ("StopTimeout", Pointer(&Number)),
    ("Shell", WORDS),
    ("HealthcheckOnFailureAction", Text),
    ("sdNotifyMode", Text),
    ("CreateCommand", WORDS),
]);

const HEALTHCHECK: Shape = Struct(&[
    ("Test", WORDS),
    ("Interval", Duration),
    ("Timeout", Duration),
    ("StartPeriod", Duration),
    ("StartInterval", Duration),
    ("Retries", Number),
]);

const HOST_CONFIG: Shape = Struct(&[
    ("Binds", WORDS),
    ("LogConfig", Struct(&[("Config", TEXTS)])),
    ("PortBindings", Map(&PORTS)),
    ("VolumesFrom", WORDS),
    ("Annotations", TEXTS),
    ("CapAdd", WORDS),
    ("CapDrop", WORDS),
    ("Dns", WORDS),
    ("DNS", Alias("Dns")),
    ("DnsOptions", WORDS),
    ("DNSOptions", Alias("DnsOptions")),
    ("DnsSearch", WORDS),
    ("DNSSearch", Alias("DnsSearch")),
    ("ExtraHosts", WORDS),
    ("GroupAdd", WORDS),
    ("Links", WORDS),
    ("SecurityOpt", WORDS),
    ("StorageOpt", TEXTS),
    ("Tmpfs", TEXTS),
    ("Sysctls", TEXTS),
    ("CPUShares", Alias("CpuShares")),
    ("NanoCPUs", Alias("NanoCpus")),
    ("CPUPeriod", Alias("CpuPeriod")),
    ("CPUQuota", Alias("CpuQuota")),
    ("CPURealtimePeriod", Alias("CpuRealtimePeriod")),
    ("CPURealtimeRuntime", Alias("CpuRealtimeRuntime")),
    ("BlkioWeightDevice", List(&ANYTHING)),
    ("BlkioDeviceReadBps", List(&ANYTHING)),
    ("BlkioDeviceWriteBps", List(&ANYTHING)),
    ("BlkioDeviceReadIOps", List(&ANYTHING)),
    ("BlkioDeviceWriteIOps", List(&ANYTHING)),
    ("Devices", List(&ANYTHING)),
    ("DeviceCgroupRules", WORDS),
    ("DeviceRequests", List(&DEVICE_REQUEST)),
    ("MemorySwappiness", Pointer(&Number)),
    ("OomKillDisable", Pointer(&Flag)),
    ("PidsLimit", Pointer(&Number)),
    ("Ulimits", List(&ANYTHING)),
    ("Mounts", List(&MOUNT)),
    ("MaskedPaths", WORDS),
    ("ReadonlyPaths", WORDS),
    ("Init", Pointer(&Flag)),
]);

const DEVICE_REQUEST: Shape =
    Struct(&[("DeviceIDs", WORDS), ("Capabilities", List(&WORDS)), ("Options", TEXTS)]);

/// What `--mount` asked for.
const MOUNT: Shape = Struct(&[
    ("Source", Text),
    ("Target", Text),
    ("ReadOnly", Flag),
    ("Consistency", Text),
    ("BindOptions", Pointer(&BIND_OPTIONS)),
    ("VolumeOptions", Pointer(&VOLUME_OPTIONS)),
    ("ImageOptions", Pointer(&Struct(&[("Subpath", Text)]))),
    ("TmpfsOptions", Pointer(&TMPFS_OPTIONS)),
    ("ClusterOptions", Pointer(&ANYTHING)),
]);

const BIND_OPTIONS: Shape = Struct(&[
    ("Propagation", Text),
    ("NonRecursive", Flag),
    ("CreateMountpoint", Flag),
    ("ReadOnlyNonRecursive", Flag),
    ("ReadOnlyForceRecursive", Flag),
]);

const VOLUME_OPTIONS: Shape = Struct(&[
    ("NoCopy", Flag),
    ("Labels", TEXTS),
    ("Subpath", Text),
    ("DriverConfig", Pointer(&Struct(&[("Name", Text), ("Options", TEXTS)]))),
]);

const TMPFS_OPTIONS: Shape = Struct(&[("SizeBytes", Number), ("Mode", Number), ("Options", List(&WORDS))]);

const NETWORK_SETTINGS: Shape = Struct(&[
    ("Ports", Map(&PORTS)),
    ("SecondaryIPAddresses", List(&ANYTHING)),
    ("SecondaryIPv6Addresses", List(&ANYTHING)),
    ("Networks", Map(&Pointer(&ENDPOINT))),
]);

/// What one port is published at. Go's names are `HostIP` and `HostPort`.
const PORTS: Shape = List(&Struct(&[("HostIP", Alias("HostIp"))]));

const ENDPOINT: Shape = Struct(&[
    (
        "IPAMConfig",
        Pointer(&Struct(&[("IPv4Address", Text), ("IPv6Address", Text), ("LinkLocalIPs", WORDS)])),
    ),
    ("Links", WORDS),
    ("Aliases", WORDS),
    ("DriverOpts", TEXTS),
    ("GwPriority", Number),
    ("DNSNames", WORDS),
]);

/// `inspect` of an image.
pub(crate) const IMAGE: Shape = Struct(&[
    ("ID", Alias("Id")),
    ("RepoTags", WORDS),
    ("RepoDigests", WORDS),
    ("Created", Text),
    ("Config", Pointer(&CONFIG)),
    ("Variant", Text),
    ("OsVersion", Text),
    ("OSVersion", Alias("OsVersion")),
    ("GraphDriver", DRIVER),
    ("Metadata", Struct(&[("LastTagTime", Time)])),
    ("RootFS", Struct(&[("Layers", WORDS)])),
    ("Descriptor", Pointer(&DESCRIPTOR)),
    ("Manifests", List(&ANYTHING)),
]);

/// Its fields are spelt small in JSON.
const DESCRIPTOR: Shape = Struct(&[
    ("MediaType", Alias("mediaType")),
    ("Digest", Alias("digest")),
    ("Size", Alias("size")),
    ("Annotations", Alias("annotations")),
    ("annotations", TEXTS),
    ("Platform", Alias("platform")),
    ("platform", Pointer(&ANYTHING)),
    ("ArtifactType", Alias("artifactType")),
    ("artifactType", Text),
]);

/// `volume inspect`
pub(crate) const VOLUME: Shape = Struct(&[
    ("CreatedAt", Text),
    ("Labels", TEXTS),
    ("Options", TEXTS),
    ("Status", Map(&ANYTHING)),
    ("UsageData", Pointer(&ANYTHING)),
    ("ClusterVolume", Pointer(&ANYTHING)),
]);

/// `network inspect`; `Host` and `CNI` are ours, of networks of each sort.
pub(crate) const NETWORK: Shape = Struct(&[
    ("ID", Alias("Id")),
    ("Created", Time),
    ("IPAM", Struct(&[("Options", TEXTS), ("Config", List(&POOL))])),
    ("ConfigFrom", Struct(&[("Network", Text)])),
    ("Containers", Map(&ANYTHING)),
    ("Options", TEXTS),
    ("Labels", TEXTS),
    ("Peers", List(&ANYTHING)),
    ("Services", Map(&ANYTHING)),
    ("Status", Pointer(&ANYTHING)),
    (
        "Host",
        Pointer(&Struct(&[
            ("Cables", List(&Struct(&[("HostDevice", Text), ("Up", Flag), ("Ports", WORDS)]))),
            ("Tunnel", Pointer(&ANYTHING)),
        ])),
    ),
    ("CNI", Pointer(&ANYTHING)),
]);

const POOL: Shape = Struct(&[
    ("Subnet", Text),
    ("IPRange", Text),
    ("Gateway", Text),
    ("AuxAddress", Alias("AuxiliaryAddresses")),
    ("AuxiliaryAddresses", TEXTS),
]);

/// `pod inspect`: Podman's document.
pub(crate) const POD: Shape = Struct(&[("ID", Alias("Id")), ("Labels", TEXTS)]);

/// A row of `events`.
pub(crate) const EVENT: Shape = Struct(&[("Actor", Struct(&[("Attributes", TEXTS)])), ("Attributes", TEXTS)]);
