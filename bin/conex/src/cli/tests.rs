use clap::ArgMatches;

use super::*;
use crate::commands::VERBS;

fn parse(verb: &str, words: &[&str]) -> Result<ArgMatches, String> {
    let verb = find(verb).unwrap_or_else(|| panic!("no verb {verb}"));
    let command = verb.command().no_binary_name(true);
    command
        .clone()
        .try_get_matches_from(words)
        .map_err(|error| usage::explain(verb, &format!("conex {}", verb.name), &command, &error).to_string())
}

#[test]
fn all_definitions_hold_together() {
    tree().debug_assert();
    for verb in VERBS {
        verb.command().debug_assert();
        assert!(!verb.about.ends_with('.') && !verb.about.is_empty(), "{}", verb.name);
        for arg in verb.command().get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()) {
            assert!(arg.get_help().is_some(), "{}: --{} has no help", verb.name, arg.get_id());
        }
        for flag in verb.unsupported {
            let taken = verb.command().get_arguments().any(|arg| {
                arg.get_long().is_some_and(|long| *flag == format!("--{long}"))
                    || arg.get_short().is_some_and(|short| *flag == format!("-{short}"))
            });
            assert!(!taken, "{}: {flag} is supported and listed as not", verb.name);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> =
        VERBS.iter().flat_map(|verb| verb.aliases.iter().copied().chain([verb.name])).collect();
    names.extend(NOUNS.iter().map(|noun| noun.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn what_follows_the_image_is_the_containers() {
    let matches = parse("run", &["-it", "--rm", "alpine", "sh", "-c", "echo", "--rm=false", "-q"]).unwrap();
    let given = Given::new(&matches);
    assert!(given.on("interactive") && given.on("tty") && given.on("rm") && !given.on("quiet"));
    assert_eq!(given.texts("words").collect::<Vec<_>>(), ["alpine", "sh", "-c", "echo", "--rm=false", "-q"]);
    let matches = parse("run", &["--", "alpine", "--help"]).unwrap();
    assert_eq!(Given::new(&matches).texts("words").collect::<Vec<_>>(), ["alpine", "--help"]);
    let matches = parse("exec", &["-i", "web", "ls", "-l"]).unwrap();
    assert_eq!(Given::new(&matches).texts("words").collect::<Vec<_>>(), ["web", "ls", "-l"]);
    let matches = parse("top", &["web", "-o", "pid"]).unwrap();
    assert_eq!(Given::new(&matches).texts("container").collect::<Vec<_>>(), ["web", "-o", "pid"]);
}

#[test]
fn flags_take_dockers_forms() {
    let matches = parse(
        "run",
        &[
            "--rm=false",
            "-i=1",
            "-t=F",
            "--name=a",
            "--name",
            "b",
            "-m=1g",
            "-eA=1",
            "-e",
            "B",
            "--memory-swap",
            "-1",
            "x",
        ],
    )
    .unwrap();
    let given = Given::new(&matches);
    assert_eq!(
        (given.switch("rm"), given.switch("interactive"), given.switch("tty")),
        (Some(false), Some(true), Some(false))
    );
    assert_eq!(
        (given.text("name"), given.text("memory"), given.text("memory-swap")),
        (Some("b"), Some("1g"), Some("-1"))
    );
    assert_eq!(given.texts("env").collect::<Vec<_>>(), ["A=1", "B"]);
    assert_eq!(given.switch("sig-proxy"), None);
    // Flags stand between the arguments of verbs that take several.
    let matches = parse("stop", &["a", "-t", "3", "b"]).unwrap();
    assert_eq!(Given::new(&matches).texts("container").collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn faults_are_one_line() {
    for (verb, words, expected) in [
        (
            "run",
            &["--memroy", "1", "x"][..],
            "unknown flag: --memroy; did you mean --memory? See 'conex run --help'",
        ),
        ("run", &["--zzzzzzzz", "x"], "unknown flag: --zzzzzzzz; see 'conex run --help'"),
        ("run", &["-iZ", "x"], "unknown shorthand flag: -Z; see 'conex run --help'"),
        ("run", &["--link=x", "x"], "--link is not supported yet by 'conex run'"),
        ("run", &["--rm=maybe", "x"], "invalid argument \"maybe\" for \"--rm\" flag: expected true or false"),
        ("run", &["--name"], "flag needs an argument: --name string"),
        (
            "run",
            &[],
            "\"conex run\" requires at least 1 argument; usage: conex run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        ),
        (
            "rename",
            &["a"],
            "\"conex rename\" requires exactly 2 arguments; usage: conex rename [OPTIONS] CONTAINER NEW_NAME",
        ),
        (
            "rename",
            &["a", "b", "c"],
            "\"conex rename\" requires exactly 2 arguments; usage: conex rename [OPTIONS] CONTAINER NEW_NAME",
        ),
        ("ps", &["x"], "\"conex ps\" accepts no arguments; usage: conex ps [OPTIONS]"),
        ("rm", &["-l", "a"], "-l is not supported yet by 'conex rm'"),
        ("rm", &["--link", "a"], "--link is not supported yet by 'conex rm'"),
    ] {
        assert_eq!(parse(verb, words).unwrap_err(), expected);
    }
}

#[test]
fn the_quick_definition_reads_what_the_whole_one_reads() {
    for (name, words) in [
        ("run", &["-it", "--rm=false", "--net", "host", "-eA=1", "-m", "1g", "x", "--init", "-d"][..]),
        ("run", &["--memory-swap", "-1", "--env-file=a", "--env", "-x", "x"]),
        ("stop", &["a", "-t5", "--time", "7", "b"]),
        ("ps", &["-aqn", "3", "--no-trunc"]),
        ("logs", &["-fn5", "--since=1", "x"]),
    ] {
        let verb = find(name).unwrap();
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let quick = verb.command_for(&words).no_binary_name(true).try_get_matches_from(&words).unwrap();
        let whole = verb.command().no_binary_name(true).try_get_matches_from(&words).unwrap();
        let values = |matches: &ArgMatches| {
            let mut values: Vec<_> = matches
                .ids()
                .map(|id| {
                    (
                        id.to_string(),
                        matches.get_raw(id.as_str()).map(|raw| raw.map(OsString::from).collect::<Vec<_>>()),
                    )
                })
                .collect();
            values.sort();
            values
        };
        assert_eq!(values(&quick), values(&whole), "{words:?}");
        assert!(verb.command_for(&words).get_arguments().count() < verb.command().get_arguments().count());
    }
}
