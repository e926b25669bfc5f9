//! Namespaces made, joined and left, and what the container is called.

use super::*;
use crate::options::{NamespaceMode, NetworkMode, UserMode, parse_sysctl};

use NamespaceKind as Kind;

fn own() -> Option<String> {
    Some(String::new())
}

#[test]
fn by_default_all_but_user_and_time_are_new() {
    let plan = plan(|_| {});
    for kind in [Kind::Pid, Kind::Network, Kind::Mount, Kind::Ipc, Kind::Uts, Kind::Cgroup] {
        assert_eq!(plan.namespace(kind), own(), "{kind:?}");
    }
    assert_eq!(plan.namespace(Kind::User), None);
    assert_eq!(plan.namespace(Kind::Time), None);
    assert!(plan.linux().uid_mappings.is_empty());
    assert_eq!(plan.linux().cgroups_path.as_deref(), Some("/conex/c0"));
}

#[test]
fn each_can_be_the_hosts() {
    let plan = plan(|bed| {
        let names = &mut bed.options.namespaces;
        names.pid = NamespaceMode::Host;
        names.uts = NamespaceMode::Host;
        names.cgroup = NamespaceMode::Host;
        names.ipc = IpcMode::Host;
        names.network = NetworkMode::Host;
    });
    assert_eq!(plan.linux().namespaces.len(), 1);
    assert_eq!(plan.namespace(Kind::Mount), own());
    assert_eq!((plan.spec.hostname.as_deref(), plan.hostname.as_str()), (None, "thehost"));
    assert!(plan.process().env.contains(&"HOSTNAME=thehost".to_owned()));
    assert!(plan.linux().sysctl.is_empty());
}

#[test]
fn each_can_be_another_containers() {
    let plan = plan(|bed| {
        let other = || NamespaceMode::Container("web".into());
        let names = &mut bed.options.namespaces;
        (names.pid, names.uts, names.cgroup) = (other(), other(), other());
        names.time = Some(other());
        names.ipc = IpcMode::Container("web".into());
        names.network = NetworkMode::Container("web".into());
        let web = || Some(neighbour(IpcMode::Shareable, None));
        bed.joined = Joined {
            network: web(),
            pid: web(),
            ipc: web(),
            uts: web(),
            cgroup: web(),
            user: None,
            time: web(),
        };
    });
    for (kind, name) in [
        (Kind::Pid, "pid"),
        (Kind::Network, "net"),
        (Kind::Ipc, "ipc"),
        (Kind::Uts, "uts"),
        (Kind::Cgroup, "cgroup"),
        (Kind::Time, "time"),
    ] {
        assert_eq!(plan.namespace(kind), Some(format!("/proc/4242/ns/{name}")), "{kind:?}");
    }
    assert_eq!((plan.spec.hostname.as_deref(), plan.hostname.as_str()), (None, "web"));
    assert!(plan.linux().sysctl.is_empty(), "the neighbour's parameters are its own");
}

#[test]
fn a_container_that_is_gone_cannot_be_joined() {
    let text = error(|bed| bed.options.namespaces.pid = NamespaceMode::Container("web".into()));
    assert_eq!(text, "cannot join --pid container:web: it is not running");
    let text = error(|bed| {
        bed.options.namespaces.ipc = IpcMode::Container("web".into());
        bed.joined.ipc = Some(neighbour(IpcMode::Private, None));
    });
    assert_eq!(
        text,
        "cannot join --ipc container:web: its IPC namespace is not shareable; start it with --ipc shareable"
    );
}

#[test]
fn hostnames() {
    let name = |change: fn(&mut Bed)| {
        let plan = plan(change);
        (plan.spec.hostname.clone(), plan.spec.domainname.clone())
    };
    assert_eq!(name(|_| {}), (Some("c0c0c0c0c0c0".into()), None));
    assert_eq!(
        name(|bed| {
            bed.options.namespaces.hostname = Some("me".into());
            bed.options.namespaces.domainname = Some("lan".into());
        }),
        (Some("me".into()), Some("lan".into()))
    );
    // On the host's network a container is called as the host, in a UTS namespace of its own.
    assert_eq!(
        name(|bed| bed.options.namespaces.network = NetworkMode::Host),
        (Some("thehost".into()), None)
    );
    assert_eq!(
        name(|bed| {
            bed.options.namespaces.network = NetworkMode::Container("web".into());
            bed.joined.network = Some(neighbour(IpcMode::Private, None));
        }),
        (Some("web".into()), None)
    );
}

fn user_namespace(bed: &mut Bed) {
    bed.options.namespaces.user = UserMode::Private;
    bed.id_range = Some(RANGE);
}

#[test]
fn user_namespaces_have_a_range() {
    let plan = plan(user_namespace);
    assert_eq!(plan.namespace(Kind::User), own());
    assert_eq!(plan.linux().namespaces[0].kind, Kind::User);
    let mapping = plan.linux().uid_mappings[0];
    assert_eq!((mapping.container_id, mapping.host_id, mapping.size), (0, RANGE.base, 65_536));
    assert_eq!(plan.linux().uid_mappings, plan.linux().gid_mappings);
    assert_eq!(plan.owner, RANGE.base);
    assert_eq!(plan.linux().sysctl["net.ipv4.ping_group_range"], "0 65535");
    // Root there has all capabilities over what is its own, whatever the caller lacks.
    let text = Bed::with(|bed| {
        user_namespace(bed);
        bed.options.security.cap_add = words(&["CAP_SYS_RESOURCE"]);
    });
    assert!(
        text.plan()
            .process()
            .capabilities
            .as_ref()
            .unwrap()
            .bounding
            .contains(&"CAP_SYS_RESOURCE".to_owned())
    );
    assert!(
        error(|bed| bed.options.namespaces.user = UserMode::Private)
            .contains("no range of 65536 free host ids")
    );
    let text = error(|bed| {
        user_namespace(bed);
        bed.options.process.user = Some("70000".into());
    });
    assert_eq!(
        text,
        "invalid user 70000: the container's user namespace maps 0 to 65535; take --userns host for others"
    );
}

#[test]
fn user_namespaces_are_joined_with_what_they_own() {
    let joined = |range, user: bool| {
        Bed::with(|bed| {
            bed.options.namespaces.network = NetworkMode::Container("web".into());
            bed.joined.network = Some(neighbour(IpcMode::Private, Some(RANGE)));
            if user {
                bed.options.namespaces.user = UserMode::Container("web".into());
                bed.joined.user = Some(neighbour(IpcMode::Private, range));
            }
        })
    };
    let plan = joined(Some(RANGE), true).plan();
    assert_eq!(plan.namespace(Kind::User), Some("/proc/4242/ns/user".into()));
    assert!(plan.linux().uid_mappings.is_empty());
    assert_eq!(plan.owner, RANGE.base);
    // From the host's user namespace everything may be joined.
    assert_eq!(joined(None, false).plan().namespace(Kind::User), None);
    assert_eq!(joined(None, true).plan().namespace(Kind::User), None);
    let text = error(|bed| {
        user_namespace(bed);
        bed.options.namespaces.network = NetworkMode::Container("web".into());
        bed.joined.network = Some(neighbour(IpcMode::Private, None));
    });
    assert!(text.contains("belongs to another user namespace"), "{text}");
    for (why, change) in [
        ("network", (|bed| bed.options.namespaces.network = NetworkMode::Host) as fn(&mut Bed)),
        ("PID", |bed| bed.options.namespaces.pid = NamespaceMode::Host),
        ("IPC", |bed| bed.options.namespaces.ipc = IpcMode::Host),
        ("privileged", |bed| bed.options.security.privileged = true),
    ] {
        let text = error(|bed| {
            user_namespace(bed);
            change(bed);
        });
        assert!(text.contains("user namespaces") && text.contains(why), "{text}");
    }
}

#[test]
fn a_time_namespace_when_asked() {
    let plan = plan(|bed| bed.options.namespaces.time = Some(NamespaceMode::Private));
    assert_eq!(plan.namespace(Kind::Time), own());
}

#[test]
fn sysctls() {
    let plan = plan(|bed| {
        for text in ["net.ipv4.ip_unprivileged_port_start=1024", "kernel.shmmax=5"] {
            let (name, value) = parse_sysctl(text).unwrap();
            bed.options.namespaces.sysctls.insert(name, value);
        }
    });
    let list: Vec<_> = plan.linux().sysctl.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        list,
        [
            "kernel.shmmax=5",
            "net.ipv4.ip_unprivileged_port_start=1024",
            "net.ipv4.ping_group_range=0 2147483647"
        ]
    );
    // A kernel without IPv4.
    assert!(super::plan(|bed| bed.machine.paths.clear()).linux().sysctl.is_empty());
    // A record that was not validated.
    for (name, change) in [
        ("net.core.somaxconn", (|bed| bed.options.namespaces.network = NetworkMode::Host) as fn(&mut Bed)),
        ("kernel.msgmax", |bed| bed.options.namespaces.ipc = IpcMode::Host),
        ("vm.swappiness", |_| {}),
    ] {
        let text = error(|bed| {
            change(bed);
            bed.options.namespaces.sysctls.insert(name.into(), "1".into());
        });
        assert!(text.contains("would change the host"), "{text}");
    }
}
