//! `diff`: the list.

use conex_tests::{Conex, alpine, needs_root, skip};

use super::{LOOK, changed};

#[test]
fn diff_lists_by_dockers_rules() {
    needs_root!();
    let conex = Conex::new();
    let Some(alpine) = changed(&conex) else { skip!("no alpine image") };
    let diff = conex.ok(&["diff", "box"]);
    let long = format!("{:0120}", 7);
    let expected = format!(
        "C /etc\nD /etc/issue\nA /etc/issue.old\nD /etc/motd\nC /etc/passwd\nD /media\nC /opt\nA /opt/only\nC /srv\n\
         C /var\nC /var/cache\nD /var/cache/apk\nD /var/cache/misc\nA /work\nA /work/{long}\nA /work/{long}/{long}\n\
         A /work/{long}/{long}/{long}\nA /work/deep\nA /work/deep/er\nA /work/disk\nA /work/fifo\nA /work/file\n\
         A /work/hard\nA /work/link\nA /work/null\n"
    );
    // /opt was empty and its attributes are the same: its new file tells of it. /etc/shells is as it was.
    assert_eq!(diff, expected);
    assert_eq!(conex.ok(&["container", "diff", "box"]), diff);
    // Nothing is left of the look at the image.
    assert_eq!(std::fs::read_dir(conex.root().join("views")).map_or(0, Iterator::count), 0);
    // What the engine itself makes is no change; nor is a container that did nothing.
    conex.ok(&["run", "--name", "idle", alpine, "true"]);
    assert_eq!(conex.ok(&["diff", "idle"]), "");
    conex.ok(&["run", "--name", "scratch", "hello"]);
    assert_eq!(conex.ok(&["diff", "scratch"]), "");
    conex.fails(1, &["diff", "nosuch"]);
}

#[test]
fn a_running_containers_changes_are_there_at_once() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    assert_eq!(conex.ok(&["diff", "web"]), "");
    conex.ok(&["exec", "web", "sh", "-c", "echo a > /a; rm /etc/motd"]);
    assert_eq!(conex.ok(&["diff", "web"]), "A /a\nC /etc\nD /etc/motd\n");
    conex.ok(&["exec", "web", "rm", "/a"]);
    assert_eq!(conex.ok(&["diff", "web"]), "C /etc\nD /etc/motd\n");
    let before = conex.ok(&["exec", "web", "sh", "-c", LOOK]);
    let id = conex.ok(&["commit", "web", "live"]);
    assert!(id.starts_with("sha256:") && id.len() == 72, "{id}");
    assert_eq!(conex.ok(&["run", "--rm", "live", "sh", "-c", LOOK]), before);
    // It goes on.
    assert_eq!(conex.inspect("web")["State"]["Status"], "running");
    conex.ok(&["exec", "web", "true"]);
}
