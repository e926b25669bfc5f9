//! What holds for every spec, whatever was asked.

use proptest::prelude::*;

use super::*;
use crate::options::{NamespaceMode, NetworkMode};

fn mode() -> impl Strategy<Value = NamespaceMode> {
    prop_oneof![
        Just(NamespaceMode::Private),
        Just(NamespaceMode::Host),
        Just(NamespaceMode::Container("web".into()))
    ]
}

prop_compose! {
    fn bed()(
        (pid, uts, cgroup) in (mode(), mode(), mode()),
        network in prop_oneof![Just(NetworkMode::None), Just(NetworkMode::Host), Just(NetworkMode::Container("web".into()))],
        ipc in prop_oneof![Just(IpcMode::Private), Just(IpcMode::None), Just(IpcMode::Host), Just(IpcMode::Container("web".into()))],
        user in "(root|app|ghost|[0-9]{1,11}|[a-z:]{0,4})",
        (privileged, tty, read_only, init) in any::<(bool, bool, bool, bool)>(),
        env in proptest::collection::vec("[A-C]?=?[a-z\0]{0,3}", 0..6),
        command in proptest::collection::vec("[a-z\0]{0,3}", 0..3),
        targets in proptest::collection::btree_set("(/[a-c]{1,2}){1,3}|/dev|/dev/shm|/sys|/etc|/etc/hosts|/proc", 0..5),
        add in proptest::sample::subsequence(CAPABILITIES.to_vec(), 0..6),
        drop in proptest::sample::subsequence(CAPABILITIES.to_vec(), 0..6),
        limits in any::<(Option<u32>, Option<u32>, Option<u16>)>(),
    ) -> Bed {
        Bed::with(|bed| {
            let options = &mut bed.options;
            options.namespaces.pid = pid;
            options.namespaces.uts = uts;
            options.namespaces.cgroup = cgroup;
            options.namespaces.network = network;
            options.namespaces.ipc = ipc;
            options.process.user = Some(user);
            options.process.env = env;
            options.process.command = command;
            options.process.init = init;
            options.tty = tty;
            options.security.privileged = privileged;
            options.security.cap_add = words(&add);
            options.security.cap_drop = words(&drop);
            options.storage.read_only = read_only;
            options.storage.binds = targets.iter().map(|target| format!("/srv:{target}").parse().unwrap()).collect();
            options.limits.memory = limits.0.map(u64::from);
            options.limits.nano_cpus = limits.1.map(u64::from);
            options.limits.blkio_weight = limits.2;
            let web = || Some(neighbour(IpcMode::Shareable, None));
            bed.joined = Joined { network: web(), pid: web(), ipc: web(), uts: web(), cgroup: web(), user: None, time: None };
        })
    }
}

proptest! {
    #[test]
    fn every_plan_is_sound(bed in bed()) {
        let _ = bed.options.validate();
        let plan = match bed.build() {
            Ok(plan) => plan,
            Err(error) => {
                prop_assert!(!error.to_string().contains('\n'));
                return Ok(());
            }
        };
        let process = plan.process();
        prop_assert!(process.cwd.is_absolute() && !process.args.is_empty());
        prop_assert!(process.args.iter().chain(&process.env).all(|text| !text.contains('\0')));
        let mut names: Vec<_> = process.env.iter().map(|text| text.split('=').next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), process.env.len());
        let sets = process.capabilities.as_ref().unwrap();
        prop_assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
        prop_assert!(sets.effective.iter().all(|name| sets.bounding.contains(name)));
        prop_assert!(!sets.bounding.contains(&"CAP_SYS_RESOURCE".to_owned()));
        prop_assert!(process.user.uid == 0 || sets.effective.is_empty());
        // Each place once, and no mount made after one that lies below it.
        for (index, mount) in plan.spec.mounts.iter().enumerate() {
            prop_assert!(mount.destination.is_absolute());
            for earlier in &plan.spec.mounts[..index] {
                prop_assert!(!earlier.destination.starts_with(&mount.destination), "{:?} hides {:?}", mount, earlier);
            }
        }
        // What is read back is what was written.
        let text = serde_json::to_string(&plan.spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<conex_oci::runtime::Spec>(&text).unwrap(), plan.spec);
        let text = serde_json::to_string(&bed.options).unwrap();
        let back: CreateOptions = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
