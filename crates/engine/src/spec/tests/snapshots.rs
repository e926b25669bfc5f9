//! Whole documents, kept as files: a change of any field shows in review. `CONEX_BLESS=1` writes them anew.

use std::path::Path;

use super::*;
use crate::options::{NamespaceMode, NetworkMode, UserMode};

fn check(name: &str, bed: &Bed) {
    let plan = bed.plan();
    let mut text = serde_json::to_string_pretty(&plan.spec).unwrap();
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec/snapshots").join(format!("{name}.json"));
    if std::env::var_os("CONEX_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs; CONEX_BLESS=1 writes it anew. Now:\n{text}", path.display());
}

#[test]
fn plain() {
    check("plain", &Bed::new());
}

#[test]
fn privileged() {
    check("privileged", &Bed::with(|bed| bed.options.security.privileged = true));
}

#[test]
fn host_namespaces() {
    check(
        "host-namespaces",
        &Bed::with(|bed| {
            let names = &mut bed.options.namespaces;
            names.pid = NamespaceMode::Host;
            names.uts = NamespaceMode::Host;
            names.cgroup = NamespaceMode::Host;
            names.ipc = IpcMode::Host;
            names.network = NetworkMode::Host;
        }),
    );
}

#[test]
fn user_namespace() {
    check(
        "user-namespace",
        &Bed::with(|bed| {
            bed.options.namespaces.user = UserMode::Private;
            bed.id_range = Some(RANGE);
        }),
    );
}

#[test]
fn everything() {
    check(
        "everything",
        &Bed::with(|bed| {
            let options = &mut bed.options;
            options.tty = true;
            options.annotations.insert("com.example.a".into(), "b".into());
            options.process.user = Some("app:wheel".into());
            options.process.groups = words(&["44"]);
            options.process.command = words(&["serve", "--port", "80"]);
            options.process.env = words(&["A=1"]);
            options.process.workdir = Some("/srv".into());
            options.process.ulimits = vec!["nofile=1024:2048".parse().unwrap()];
            options.process.oom_score_adj = Some(100);
            options.namespaces.hostname = Some("web".into());
            options.namespaces.domainname = Some("example.org".into());
            options.namespaces.sysctls.insert("net.core.somaxconn".into(), "1024".into());
            options.storage.read_only = true;
            options.storage.shm_size = Some(1 << 20);
            options.storage.binds =
                ["/srv:/data:ro", "/srv/data:/data/rw"].map(|text| text.parse().unwrap()).to_vec();
            options.storage.tmpfs = vec!["/run:size=16m,mode=755".parse().unwrap()];
            options.storage.devices = vec!["/dev/fuse::rw".parse().unwrap()];
            options.limits.memory = Some(50 << 20);
            options.limits.memory_reservation = Some(20 << 20);
            options.limits.nano_cpus = Some(1_500_000_000);
            options.limits.cpu_shares = Some(512);
            options.limits.cpuset_cpus = Some("0-1".into());
            options.limits.cpuset_mems = Some("0".into());
            options.limits.pids = Some(100);
            options.limits.blkio_weight = Some(300);
            options.security.no_new_privileges = true;
            options.security.cap_add = words(&["CAP_NET_ADMIN"]);
            options.security.cap_drop = words(&["CAP_MKNOD"]);
            options.security.mask = vec!["/etc/secret".into()];
        }),
    );
}
