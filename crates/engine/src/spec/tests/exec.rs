//! The process of an `exec`.

use super::*;
use crate::spec::{ExecProcess, exec};

fn run(bed: &Bed, asked: &ExecProcess<'_>) -> Result<Process, SpecError> {
    exec(&bed.plan().spec, asked, &bed.machine, &bed.files)
}

#[test]
fn it_is_the_containers_own_with_other_words() {
    let bed = Bed::with(|bed| {
        bed.options.process.user = Some("app".into());
        bed.options.process.workdir = Some("/srv".into());
        bed.options.security.no_new_privileges = true;
        bed.options.process.ulimits = vec!["core=0".parse().unwrap()];
    });
    let args = words(&["id", "-u"]);
    let made = run(&bed, &ExecProcess { args: &args, ..ExecProcess::default() }).unwrap();
    let base = bed.plan().process().clone();
    assert_eq!(made, Process { args: args.clone(), ..base });
    assert!(run(&bed, &ExecProcess::default()).unwrap_err().to_string().starts_with("no command specified"));
}

#[test]
fn another_user_has_another_home_and_other_rights() {
    let bed = Bed::new();
    let args = words(&["sh"]);
    let env = words(&["A=1"]);
    let asked = ExecProcess {
        args: &args,
        env: &env,
        user: Some("app"),
        workdir: Some("/w"),
        tty: true,
        ..ExecProcess::default()
    };
    let made = run(&bed, &asked).unwrap();
    assert_eq!(
        (made.user.uid, made.user.gid, made.user.additional_gids.clone()),
        (1000, 1000, vec![1000, 10])
    );
    assert_eq!(
        made.env,
        ["PATH=/bin", "HOSTNAME=c0c0c0c0c0c0", "LANG=C.UTF-8", "TERM=xterm", "HOME=/home/app", "A=1"]
    );
    assert_eq!(made.cwd, Path::new("/w"));
    assert!(made.terminal);
    let sets = made.capabilities.unwrap();
    assert!(sets.effective.is_empty() && sets.permitted.is_empty() && sets.bounding.len() == 14);
    // And back: root in the container of an ordinary user.
    let bed = Bed::with(|bed| bed.image.user = "app".into());
    let made = run(&bed, &ExecProcess { args: &args, user: Some("0"), ..ExecProcess::default() }).unwrap();
    assert_eq!(made.capabilities.unwrap().effective.len(), 14);
    assert!(made.env.contains(&"HOME=/root".to_owned()));
    // A home that somebody chose stays.
    let bed = Bed::with(|bed| bed.options.process.env = words(&["HOME=/data"]));
    let made = run(&bed, &ExecProcess { args: &args, user: Some("app"), ..ExecProcess::default() }).unwrap();
    assert!(made.env.contains(&"HOME=/data".to_owned()));
}

#[test]
fn privileged_has_all() {
    let bed = Bed::new();
    let args = words(&["sh"]);
    let made = run(&bed, &ExecProcess { args: &args, privileged: true, ..ExecProcess::default() }).unwrap();
    assert_eq!(made.capabilities.unwrap().effective.len(), 40);
}

#[test]
fn refusals() {
    let args = words(&["sh"]);
    let bad = |asked: ExecProcess<'_>| {
        run(&Bed::new(), &ExecProcess { args: &args, ..asked }).unwrap_err().to_string()
    };
    assert!(
        bad(ExecProcess { user: Some("ghost"), ..ExecProcess::default() })
            .contains("unable to find user ghost")
    );
    assert!(bad(ExecProcess { workdir: Some("w"), ..ExecProcess::default() }).contains("absolute path"));
    let groups = words(&["ghost"]);
    assert!(
        bad(ExecProcess { user: Some("app"), groups: &groups, ..ExecProcess::default() })
            .contains("unable to find group")
    );
    let bed = Bed::with(|bed| {
        bed.options.namespaces.user = crate::options::UserMode::Private;
        bed.id_range = Some(RANGE);
    });
    let text = run(&bed, &ExecProcess { args: &args, user: Some("70000"), ..ExecProcess::default() })
        .unwrap_err()
        .to_string();
    assert!(text.contains("maps 0 to 65535"), "{text}");
}
