//! Arguments, environment, user, capabilities, limits.

use super::*;
use crate::options::NamespaceMode;

fn arguments(
    entrypoint: Option<&[&str]>,
    cmd: Option<&[&str]>,
    asked: Option<&str>,
    command: &[&str],
) -> Result<Vec<String>, String> {
    let bed = Bed::with(|bed| {
        bed.image.entrypoint = entrypoint.map(words);
        bed.image.cmd = cmd.map(words);
        bed.options.process.entrypoint = asked.map(str::to_owned);
        bed.options.process.command = words(command);
    });
    bed.build().map(|plan| plan.process().args.clone()).map_err(|error| error.to_string())
}

#[test]
fn entrypoint_and_command_are_merged_as_docker_does() {
    let (entry, cmd): (&[&str], &[&str]) = (&["/entry", "-x"], &["serve", "-p"]);
    for (asked, command, expected) in [
        (None, &[][..], &["/entry", "-x", "serve", "-p"][..]),
        (None, &["a", "b"], &["/entry", "-x", "a", "b"]),
        (Some("/other"), &[], &["/other"]),
        (Some("/other"), &["a"], &["/other", "a"]),
        (Some(""), &["a", "b"], &["a", "b"]),
    ] {
        assert_eq!(arguments(Some(entry), Some(cmd), asked, command).unwrap(), expected);
    }
    assert_eq!(arguments(None, Some(cmd), None, &[]).unwrap(), cmd);
    assert_eq!(arguments(None, None, None, &["a"]).unwrap(), ["a"]);
    let none = "no command specified: the image has none, so give one after the image";
    assert_eq!(arguments(None, None, None, &[]).unwrap_err(), none);
    assert_eq!(arguments(Some(entry), Some(cmd), Some(""), &[]).unwrap_err(), none);
    assert_eq!(arguments(Some(&[]), Some(&[]), None, &[]).unwrap_err(), none);
    assert!(arguments(None, None, None, &[""]).unwrap_err().contains("empty"));
    assert!(arguments(None, None, None, &["a", "b\0"]).unwrap_err().contains("NUL"));
}

#[test]
fn the_environment() {
    let env = |change: fn(&mut Bed)| plan(change).process().env.clone();
    assert_eq!(env(|_| {}), ["PATH=/bin", "HOSTNAME=c0c0c0c0c0c0", "LANG=C.UTF-8", "HOME=/root"]);
    assert_eq!(
        env(|bed| {
            bed.image.env = vec![];
            bed.options.tty = true;
        }),
        [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=c0c0c0c0c0c0",
            "TERM=xterm",
            "HOME=/root"
        ]
    );
    // The user's wins over the image's, a later one over an earlier; a bare name takes away; HOME is kept when given.
    assert_eq!(
        env(|bed| bed.options.process.env = words(&["LANG=de", "A=1", "A=2=3", "PATH", "HOME=/x", "GONE"])),
        ["HOSTNAME=c0c0c0c0c0c0", "LANG=de", "A=2=3", "HOME=/x"]
    );
    // An empty HOME counts as none.
    assert!(env(|bed| bed.options.process.env = words(&["HOME="])).contains(&"HOME=/root".to_owned()));
    // The image is hostile: a NUL would end a variable early.
    assert!(
        !env(|bed| bed.image.env = words(&["X=1\0LD_PRELOAD=/x", "=empty"]))
            .iter()
            .any(|text| text.contains('\0') || text.starts_with('='))
    );
}

#[test]
fn the_user_and_its_home() {
    let user = |asked: Option<&str>, image: &str| {
        let plan = plan(|bed| {
            bed.options.process.user = asked.map(str::to_owned);
            bed.image.user = image.to_owned();
        });
        let user = plan.process().user.clone();
        let home = plan.process().env.iter().find(|text| text.starts_with("HOME=")).unwrap().clone();
        assert_eq!(user.umask, Some(0o022));
        (user.uid, user.gid, user.additional_gids, home)
    };
    assert_eq!(user(None, ""), (0, 0, vec![0, 10], "HOME=/root".to_owned()));
    assert_eq!(user(None, "app"), (1000, 1000, vec![1000, 10], "HOME=/home/app".to_owned()));
    assert_eq!(user(Some("0"), "app"), (0, 0, vec![0, 10], "HOME=/root".to_owned()));
    assert_eq!(user(Some("5:6"), "app"), (5, 6, vec![6], "HOME=/".to_owned()));
    assert_eq!(
        error(|bed| bed.options.process.user = Some("ghost".into())),
        "unable to find user ghost: no matching entries in passwd file"
    );
    assert_eq!(
        error(|bed| bed.options.process.groups = words(&["ghost"])),
        "unable to find group ghost: no matching entries in group file"
    );
}

#[test]
fn the_working_directory() {
    let cwd = |asked: Option<&str>, image: &str| {
        let bed = Bed::with(|bed| {
            bed.options.process.workdir = asked.map(str::to_owned);
            bed.image.working_dir = image.to_owned();
        });
        bed.build().map(|plan| plan.process().cwd.display().to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(cwd(None, "").unwrap(), "/");
    assert_eq!(cwd(None, "/srv").unwrap(), "/srv");
    assert_eq!(cwd(Some("/a"), "/srv").unwrap(), "/a");
    assert_eq!(
        cwd(None, "srv").unwrap_err(),
        "invalid working directory of the image \"srv\": it needs to be an absolute path"
    );
}

const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];

fn bounding(add: &[&str], drop: &[&str]) -> Vec<String> {
    let plan = plan(|bed| {
        bed.options.security.cap_add = words(add);
        bed.options.security.cap_drop = words(drop);
    });
    let sets = plan.process().capabilities.clone().unwrap();
    assert_eq!((&sets.effective, &sets.permitted), (&sets.bounding, &sets.bounding));
    assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
    sets.bounding
}

#[test]
fn capabilities() {
    assert_eq!(bounding(&[], &[]), DEFAULT);
    let with = bounding(&["CAP_NET_ADMIN"], &[]);
    assert_eq!(with.len(), 15);
    assert!(with.contains(&"CAP_NET_ADMIN".to_owned()));
    assert_eq!(bounding(&["CAP_CHOWN"], &[]), DEFAULT);
    assert_eq!(bounding(&[], &["CAP_MKNOD"]).len(), 13);
    assert_eq!(bounding(&[], &["ALL"]), [""; 0]);
    assert_eq!(bounding(&["CAP_SYS_ADMIN"], &["ALL"]), ["CAP_SYS_ADMIN"]);
    // As Docker, --cap-add ALL wins over --cap-drop ALL's set and loses to single drops.
    assert_eq!(bounding(&["ALL"], &[]).len(), 40);
    let all_but = bounding(&["ALL"], &["CAP_MKNOD"]);
    assert!(all_but.len() == 39 && !all_but.contains(&"CAP_MKNOD".to_owned()));
    // A capability that is added stays although dropped, as Docker.
    assert!(bounding(&["CAP_MKNOD"], &["CAP_MKNOD"]).contains(&"CAP_MKNOD".to_owned()));
    let text = error(|bed| bed.options.security.cap_add = words(&["CAP_SYS_RESOURCE"]));
    assert_eq!(
        text,
        "--cap-add CAP_SYS_RESOURCE cannot be used here: the kernel or the caller does not have it, so it cannot be given"
    );
}

#[test]
fn a_default_that_the_caller_lacks_is_left_out() {
    let plan = plan(|bed| bed.machine.missing = vec!["CAP_MKNOD", "CAP_SYS_RESOURCE"]);
    let sets = plan.process().capabilities.clone().unwrap();
    assert_eq!(sets.bounding.len(), 13);
    assert!(!sets.bounding.contains(&"CAP_MKNOD".to_owned()));
}

#[test]
fn an_ordinary_user_starts_with_none() {
    let plan = plan(|bed| {
        bed.options.process.user = Some("app".into());
        bed.options.security.cap_add = words(&["CAP_NET_ADMIN"]);
    });
    let sets = plan.process().capabilities.clone().unwrap();
    assert_eq!(sets.bounding.len(), 15);
    for set in [sets.effective, sets.permitted, sets.inheritable, sets.ambient] {
        assert!(set.is_empty());
    }
}

#[test]
fn privileged_has_what_the_caller_has() {
    let plan = plan(|bed| {
        bed.options.security.privileged = true;
        bed.options.security.cap_drop = words(&["ALL"]);
    });
    let sets = plan.process().capabilities.clone().unwrap();
    assert_eq!(sets.bounding.len(), 40);
    assert_eq!(sets.effective, sets.bounding);
}

#[test]
fn resource_limits() {
    let plan = plan(|bed| {
        bed.options.process.ulimits = ["nofile=1024:2048", "core=0", "nproc=-1", "nofile=5:6"]
            .map(|text| text.parse().unwrap())
            .to_vec();
    });
    let list: Vec<_> =
        plan.process().rlimits.iter().map(|limit| (limit.kind.as_str(), limit.soft, limit.hard)).collect();
    assert_eq!(list, [("RLIMIT_CORE", 0, 0), ("RLIMIT_NPROC", u64::MAX, u64::MAX), ("RLIMIT_NOFILE", 5, 6)]);
    let text = error(|bed| bed.options.process.ulimits = vec!["nofile=1024:1048576".parse().unwrap()]);
    assert_eq!(
        text,
        "--ulimit nofile=1024:1048576 cannot be used here: the hard limit here is 20000, and raising it needs CAP_SYS_RESOURCE"
    );
    Bed::with(|bed| {
        bed.machine.missing = vec![];
        bed.options.process.ulimits = vec!["nofile=1048576".parse().unwrap()];
    })
    .plan();
}

#[test]
fn the_rest_of_the_process() {
    let plain = plan(|_| {});
    assert_eq!(plain.process().oom_score_adj, None);
    assert!(!plain.process().terminal && !plain.process().no_new_privileges && !plain.init);
    assert_eq!(plain.stop_signal, 15);
    let full = plan(|bed| {
        bed.options.tty = true;
        bed.options.process.init = true;
        bed.options.process.oom_score_adj = Some(500);
        bed.options.security.no_new_privileges = true;
        bed.image.stop_signal = Some("SIGQUIT".into());
    });
    assert_eq!(full.process().oom_score_adj, Some(500));
    assert!(full.process().terminal && full.process().no_new_privileges && full.init);
    assert_eq!(full.stop_signal, 3);
    // A protected service does not hand its protection on.
    assert_eq!(plan(|bed| bed.machine.oom_score_adj = -900).process().oom_score_adj, Some(0));
    assert_eq!(plan(|bed| bed.machine.oom_score_adj = 300).process().oom_score_adj, None);
    let asked = plan(|bed| {
        bed.options.supervision.stop_signal = Some(10);
        bed.image.stop_signal = Some("nonsense".into());
    });
    assert_eq!(asked.stop_signal, 10);
    assert!(error(|bed| bed.image.stop_signal = Some("SIGNONE".into())).contains("stop signal of the image"));
}

#[test]
fn init_needs_a_pid_namespace() {
    let plan = plan(|bed| {
        bed.options.process.init = true;
        bed.options.namespaces.pid = NamespaceMode::Host;
    });
    assert!(!plan.init);
    assert_eq!(plan.warnings, ["--init has no effect with --pid host: PID 1 is not this container's"]);
}
