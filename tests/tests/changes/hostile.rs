//! Containers that do not want to be read.

use conex_tests::{Outside, alpine, contained_or_clear};

#[test]
fn hostile_names_and_files() {
    let (conex, alpine) = alpine!();
    let outside = Outside::new(&conex);
    let secret = outside.at("secret");
    let steal = format!(
        "ln -s {secret} /link; ln -s {} /dir; ln -s / /root-link; mkdir /a; ln -s {} /a/up; nc -lU /a/sock & sleep 0.3; \
         touch \"$(printf '/x\\033[2J\\ny')\"; kill $!; rm -rf /srv; ln -s {} /srv",
        outside.at("empty"),
        outside.up("secret"),
        outside.at("empty"),
    );
    conex.ok(&["run", "--name", "box", alpine, "sh", "-c", &steal]);
    let diff = conex.ok(&["diff", "box"]);
    assert!(diff.contains("A /x\\u001b[2J\\u000ay\n") && diff.contains("C /srv\n"), "{diff}");
    for words in [&["commit", "box", "copy"][..], &["export", "-o", "/dev/null", "box"]] {
        contained_or_clear(&conex.run(words), &format!("{words:?}"));
    }
    let tar = conex.command(&["export", "box"]).output().expect("conex").stdout;
    assert!(!tar.windows(17).any(|bytes| bytes == b"the host's secret"), "a link was followed");
    // Names that a layer cannot hold, or that mean something else in it.
    conex.ok(&["run", "--name", "wh", alpine, "touch", "/.wh.etc"]);
    assert_eq!(conex.ok(&["diff", "wh"]), "A /.wh.etc\n");
    let error = conex.fails(1, &["commit", "wh", "bad"]);
    assert!(error.contains("/.wh.etc") && error.lines().count() == 1, "{error}");
    // Deeper than any path: refused in one line, and the container can still be removed.
    let deep = "d=$(printf '%0250d' 1); i=0; while [ $i -lt 15 ]; do mkdir $d && cd $d; i=$((i+1)); done; mv /bin/ls .; \
                cd /; mkdir /up; mv 0* /up/; for n in 1 2 3; do mkdir -p /n/$d/$d; mv /up /n/$d/$d/up; mv /n /up; done";
    conex.ok(&["run", "--name", "deep", alpine, "sh", "-c", deep]);
    for words in [&["diff", "deep"][..], &["commit", "deep", "bad"], &["export", "-o", "/dev/null", "deep"]] {
        let error = conex.fails(1, words);
        assert!(error.lines().count() == 1 && error.len() < 600, "{words:?}: {error}");
    }
    conex.ok(&["rm", "deep"]);
    // A hole of half a terabyte is not read.
    conex.ok(&["run", "--name", "hole", alpine, "truncate", "-s", "500G", "/hole"]);
    let error = conex.fails(1, &["commit", "hole", "bad"]);
    assert!(error.contains("/hole") && error.contains("256 GiB"), "{error}");
    assert!(!conex.images().iter().any(|name| name.starts_with("bad")));
    outside.assert_untouched("diff, commit and export");
}

#[test]
fn files_that_come_and_go_while_they_are_read() {
    let (conex, alpine) = alpine!();
    let outside = Outside::new(&conex);
    // A directory that is a link every other moment, a file that grows and shrinks, names that come and go.
    let churn = format!(
        "mkdir /d; echo x > /d/secret; while :; do mv /d /e; ln -s {} /d; rm /d; mv /e /d; head -c 70000 /dev/urandom > /f; \
         : > /f; mkdir -p /t/1/2/3; rm -rf /t; done",
        outside.path().display()
    );
    conex.ok(&["run", "-d", "--name", "churn", alpine, "sh", "-c", &churn]);
    for round in 0..6 {
        conex.ok(&["diff", "churn"]);
        let tar = conex.command(&["export", "churn"]).output().expect("conex");
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        assert!(!tar.stdout.windows(17).any(|bytes| bytes == b"the host's secret"), "round {round}");
        conex.ok(&["commit", "--pause=false", "churn", "copy"]);
    }
    conex.ok(&["run", "--rm", "copy", "true"]);
    conex.ok(&["rm", "-f", "churn"]);
    outside.assert_untouched("reading a busy container");
}
