//! AppArmor, SELinux, seccomp.

use super::*;
use crate::options::SecurityOpt;
use crate::spec::SeccompSource;

fn security(opts: &[&str]) -> impl FnOnce(&mut Bed) {
    let opts: Vec<SecurityOpt> = opts.iter().map(|opt| opt.parse().unwrap()).collect();
    move |bed| {
        for opt in opts {
            bed.options.security.apply(opt).unwrap();
        }
    }
}

#[test]
fn apparmor_is_told_apart_from_its_absence() {
    assert_eq!(
        error(security(&["apparmor=docker-default"])),
        "--security-opt apparmor=docker-default cannot be used here: this kernel has no AppArmor"
    );
    assert_eq!(plan(security(&["apparmor=unconfined"])).process().apparmor_profile, None);
    let on = |opt: &'static str| {
        plan(|bed| {
            bed.machine.apparmor = true;
            security(&[opt])(bed);
        })
    };
    assert_eq!(on("apparmor=mine").process().apparmor_profile.as_deref(), Some("mine"));
    assert_eq!(on("apparmor=unconfined").process().apparmor_profile.as_deref(), Some("unconfined"));
}

#[test]
fn selinux_is_told_apart_from_its_absence() {
    plan(security(&["label=disable"]));
    let text = error(security(&["label=type:spc_t"]));
    assert_eq!(
        text,
        "--security-opt label=type:spc_t cannot be used here: SELinux is not in force on this host"
    );
    let plan = plan(|bed| {
        bed.machine.selinux = true;
        security(&["label=type:my_t", "label=level:s0:c1,c2"])(bed);
    });
    assert_eq!(plan.process().selinux_label.as_deref(), Some("system_u:system_r:my_t:s0:c1,c2"));
    assert_eq!(plan.linux().mount_label.as_deref(), Some("system_u:object_r:container_file_t:s0:c1,c2"));
    assert!(error(security(&["label=disable", "label=type:x"])).contains("label=disable with other labels"));
}

#[test]
fn the_filters_source_is_told() {
    let plain = plan(|bed| bed.options.security.seccomp = SeccompMode::Default);
    assert_eq!(plain.seccomp, SeccompSource::Builtin);
    assert!(
        plain.linux().seccomp.as_ref().is_some_and(|filter| !filter.rules().unwrap().syscalls.is_empty())
    );
    let open = plan(|_| {});
    assert_eq!((open.seccomp, &open.linux().seccomp), (SeccompSource::Unconfined, &None));
    let privileged = plan(|bed| {
        bed.options.security.seccomp = SeccompMode::Default;
        bed.options.security.privileged = true;
    });
    assert_eq!((privileged.seccomp, &privileged.linux().seccomp), (SeccompSource::Unconfined, &None));
    // Asked for by name it holds for a privileged container too.
    let own = plan(|bed| {
        bed.options.security.seccomp = SeccompMode::Profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.into());
        bed.options.security.privileged = true;
    });
    assert_eq!(own.seccomp, SeccompSource::Profile);
    assert_eq!(own.linux().seccomp.as_ref().unwrap().rules().unwrap().default_action, "SCMP_ACT_ALLOW");
    let text = error(|bed| bed.options.security.seccomp = SeccompMode::Profile("{}x".into()));
    assert!(text.starts_with("--security-opt seccomp: "), "{text}");
    let text = error(|bed| {
        let rule = r#"{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}"#;
        let profile = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#);
        bed.options.security.seccomp = SeccompMode::Profile(profile);
    });
    assert!(text.contains("SCMP_ACT_NOTIFY") && text.contains("not served"), "{text}");
    // What does not compile is told at create.
    let text = error(|bed| {
        let rule = r#"{"names":["mount"],"action":"SCMP_ACT_ERRNO","args":[{"index":9,"value":1,"op":"SCMP_CMP_EQ"}]}"#;
        let profile = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#);
        bed.options.security.seccomp = SeccompMode::Profile(profile);
    });
    assert!(text.starts_with("--security-opt seccomp: "), "{text}");
}

#[test]
fn the_filter_follows_the_capabilities() {
    let rules = |change: fn(&mut Bed)| {
        plan(|bed| {
            bed.options.security.seccomp = SeccompMode::Default;
            change(bed);
        })
        .linux()
        .seccomp
        .clone()
        .unwrap()
    };
    assert_ne!(rules(|_| {}), rules(|bed| bed.options.security.cap_add = words(&["CAP_SYS_ADMIN"])));
}
