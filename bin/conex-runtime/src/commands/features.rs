//! `features`: what this runtime can do, whatever the host can (features.md).

use std::collections::BTreeMap;
use std::path::Path;

use conex_oci::runtime::features::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures,
    MountExtensions, SeccompFeatures,
};
use conex_oci::runtime::{MemoryPolicyFlag, MemoryPolicyMode, NamespaceKind, SPEC_VERSION};
use conex_runtime::{MOUNT_OPTIONS, capability, program};
use conex_seccomp::known;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let failed = |error: serde_json::Error| Error::io("print", "the features", error);
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&features(&context.criu), &mut serializer).map_err(failed)?;
        crate::print(&format!("{}\n", String::from_utf8_lossy(&text)));
        Ok(0)
    }
}

fn owned(names: impl IntoIterator<Item = &'static str>) -> Option<Vec<String>> {
    Some(names.into_iter().map(str::to_owned).collect())
}

fn features(criu: &Path) -> Features {
    let mut annotations = BTreeMap::new();
    let mut annotate = |name: &str, value| annotations.insert(format!("org.conex.runtime.{name}"), value);
    annotate("version", env!("CARGO_PKG_VERSION").to_owned());
    // It takes a program that need not be installed.
    annotate("checkpoint.enabled", program::find(criu).is_some().to_string());
    Features {
        oci_version_min: "1.0.0".to_owned(),
        oci_version_max: SPEC_VERSION.to_owned(),
        hooks: owned([
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: owned(MOUNT_OPTIONS),
        linux: Some(linux()),
        annotations,
        potentially_unsafe_config_annotations: owned(["org.systemd.property."]),
    }
}

fn linux() -> LinuxFeatures {
    let yes = Some(true);
    let enabled = Some(Enabled { enabled: yes });
    LinuxFeatures {
        namespaces: owned(NamespaceKind::ALL.map(NamespaceKind::name)),
        capabilities: Some(capability::NAMES.iter().map(|name| format!("CAP_{name}")).collect()),
        cgroup: Some(CgroupFeatures { v1: yes, v2: yes, systemd: yes, systemd_user: yes, rdma: yes }),
        seccomp: Some(SeccompFeatures {
            enabled: yes,
            actions: owned(known::actions()),
            operators: owned(known::operators()),
            archs: owned(known::architectures()),
            known_flags: owned(known::flags()),
            supported_flags: owned(known::supported_flags()),
        }),
        apparmor: enabled,
        selinux: enabled,
        intel_rdt: Some(IntelRdtFeatures { enabled: yes, schemata: yes, monitoring: yes }),
        memory_policy: Some(MemoryPolicyFeatures {
            modes: owned(MemoryPolicyMode::ALL.map(MemoryPolicyMode::name)),
            flags: owned(MemoryPolicyFlag::ALL.map(MemoryPolicyFlag::name)),
        }),
        mount_extensions: Some(MountExtensions { idmap: enabled }),
        net_devices: enabled,
    }
}
