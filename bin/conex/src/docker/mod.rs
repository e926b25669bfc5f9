//! docs/docker.md: every verb and flag of Docker's command line, and whether it is here. Made of three things that are each kept in one
//! place: Docker's reference (`reference.txt`), the definitions that parse (`cli::tree`), and what is to be said of differences
//! (`notes.txt`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::{self, Verb};
use crate::commands::NOUNS;

const REFERENCE: &str = include_str!("reference.txt");
const NOTES: &str = include_str!("notes.txt");

/// A verb of Docker's.
struct Theirs {
    /// `container run`, then `run`.
    names: Vec<&'static str>,
    flags: Vec<Flag>,
}

struct Flag {
    long: &'static str,
    short: Option<char>,
    is_switch: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Different,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Different => "different",
        }
    }
}

fn reference() -> Vec<Theirs> {
    let mut verbs: Vec<Theirs> = Vec::new();
    for line in REFERENCE.lines().filter(|line| !line.starts_with('#')) {
        let Some(flag) = line.strip_prefix("  ") else {
            verbs.push(Theirs { names: line.split(" = ").collect(), flags: Vec::new() });
            continue;
        };
        let words: Vec<&'static str> = flag.split(' ').collect();
        let long = words.iter().find_map(|word| word.strip_prefix("--")).expect("a long name");
        let short = words[0].strip_prefix('-').filter(|word| word.len() == 1);
        let short = short.and_then(|word| word.chars().next());
        let is_switch = words.last() == Some(&"bool");
        verbs.last_mut().expect("a verb").flags.push(Flag { long, short, is_switch });
    }
    verbs
}

/// By verb and flag; a verb's own have an empty flag.
type Notes = BTreeMap<(String, String), (Answer, String)>;

fn notes() -> Notes {
    let mut notes = Notes::new();
    for line in NOTES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<_> = line.split(" | ").collect();
        let [subject, answer, why] = parts[..] else {
            panic!("not VERB [FLAG] | no|different | why: {line}")
        };
        let (verb, flag) = subject.split_once(" --").unwrap_or((subject, ""));
        let answer = match answer {
            "no" => Answer::No,
            "different" => Answer::Different,
            other => panic!("{other}: expected no or different"),
        };
        let before = notes.insert((verb.to_owned(), flag.to_owned()), (answer, why.to_owned()));
        assert!(before.is_none(), "{subject} is noted twice");
    }
    notes
}

/// The definition behind `container run`, by whatever names the program finds it.
fn find(tree: &Command, path: &str) -> Option<Command> {
    match path.split_once(' ') {
        Some((noun, verb)) => {
            let noun = NOUNS.iter().find(|known| known.name == noun)?;
            noun.find(verb).map(Verb::command)
        }
        None => tree
            .get_subcommands()
            .find(|sub| sub.get_name() == path || sub.get_all_aliases().any(|alias| alias == path))
            .filter(|sub| sub.get_subcommands().next().is_none())
            .cloned(),
    }
}

fn argument<'c>(command: &'c Command, long: &str) -> Option<&'c Arg> {
    let named = |arg: &&Arg| {
        arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
    };
    command.get_arguments().find(named)
}

fn takes_nothing(arg: &Arg) -> bool {
    matches!(arg.get_value_names(), Some([kind]) if kind.as_str() == "bool")
}

/// The page, and how many rows each answer has.
struct Page {
    text: String,
    counts: BTreeMap<&'static str, [usize; 2]>,
    /// Notes that said something.
    used: Vec<(String, String)>,
}

impl Page {
    fn row(&mut self, subject: &str, answer: Answer, why: &str, is_flag: bool) {
        let _ = writeln!(self.text, "| {subject} | {} | {} |", answer.word(), why.replace('|', "\\|"));
        self.counts.entry(answer.word()).or_default()[usize::from(is_flag)] += 1;
    }

    fn note(&mut self, notes: &Notes, verb: &str, flag: &str) -> Option<(Answer, String)> {
        let noun = verb.split(' ').next().unwrap_or_default();
        let keys = [verb, noun].map(|name| (name.to_owned(), flag.to_owned()));
        let key = keys.into_iter().find(|key| notes.contains_key(key))?;
        let note = notes.get(&key).cloned();
        self.used.push(key);
        note
    }

    fn verb(&mut self, tree: &Command, notes: &Notes, verb: &Theirs) {
        let name = verb.names[0];
        let there = if name == "docker" {
            Some(tree.clone())
        } else {
            verb.names.iter().find_map(|name| find(tree, name))
        };
        let title: Vec<_> = verb.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(self.text, "\n### {}\n\n| | | |\n|---|---|---|", title.join(", "));
        let note = self.note(notes, name, "");
        let Some(command) = there else {
            let why = note.map_or("not yet".to_owned(), |(_, why)| why);
            return self.row("(the command)", Answer::No, &why, false);
        };
        let missing: Vec<_> =
            verb.names.iter().filter(|name| **name != "docker" && find(tree, name).is_none()).collect();
        let mut why: Vec<String> = note.iter().map(|(_, why)| why.clone()).collect();
        why.extend(missing.iter().map(|name| format!("not as `{name}`")));
        if let Some((Answer::No, _)) = note {
            panic!("{name} is there, and notes.txt says no");
        }
        let answer = if why.is_empty() { Answer::Yes } else { Answer::Different };
        self.row("(the command)", answer, &why.join("; "), false);
        for flag in &verb.flags {
            self.flag(&command, notes, name, flag);
        }
    }

    fn flag(&mut self, command: &Command, notes: &Notes, verb: &str, flag: &Flag) {
        let note = self.note(notes, verb, flag.long);
        let short = flag.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let subject = format!("{short}`--{}`", flag.long);
        let Some(arg) = argument(command, flag.long) else {
            let why = note.map_or("not yet".to_owned(), |(_, why)| why);
            return self.row(&subject, Answer::No, &why, true);
        };
        assert!(
            !matches!(note, Some((Answer::No, _))),
            "{verb} --{} is there, and notes.txt says no",
            flag.long
        );
        let mut why: Vec<String> = note.map(|(_, why)| why).into_iter().collect();
        if let Some(short) = flag.short
            && arg.get_short() != Some(short)
        {
            why.push(format!("not as `-{short}`"));
        }
        if flag.is_switch != takes_nothing(arg) {
            why.push(if flag.is_switch { "takes a value" } else { "takes none" }.to_owned());
        }
        let answer = if why.is_empty() { Answer::Yes } else { Answer::Different };
        self.row(&subject, answer, &why.join("; "), true);
    }
}

const HEAD: &str = "\
# Docker's commands and flags

Every verb and flag of Docker's command line (CLI 29.8), and whether Conex has it. This page is made of Docker's reference, the definitions
that parse, and the notes on differences (`bin/conex/src/docker`); `cargo xtask docs --update` writes it, and a test fails when it is stale.
A flag that is not there is an error with its name, never silence.

";

/// The whole page.
fn page() -> String {
    let (tree, notes, verbs) = (cli::tree(), notes(), reference());
    let mut page = Page { text: String::new(), counts: BTreeMap::new(), used: Vec::new() };
    let noun = |verb: &Theirs| verb.names[0].split_once(' ').map_or("", |(noun, _)| noun).to_owned();
    let mut nouns: Vec<String> = verbs.iter().map(noun).collect();
    nouns.sort_unstable();
    nouns.dedup();
    for of in nouns {
        let title = if of.is_empty() {
            "The program, and verbs without a noun".to_owned()
        } else {
            format!("`{of}`")
        };
        let _ = writeln!(page.text, "\n## {title}");
        // The program's own flags come first.
        let mut list: Vec<_> = verbs.iter().filter(|verb| noun(verb) == of).collect();
        list.sort_by_key(|verb| (verb.names[0] != "docker", verb.names[0]));
        let missing = |verb: &&Theirs| {
            verb.names[0] != "docker" && verb.names.iter().all(|name| find(&tree, name).is_none())
        };
        if list.iter().all(missing) {
            // A noun of which nothing is here is a table of its verbs.
            page.text.push_str("\n| | | |\n|---|---|---|\n");
            for verb in list {
                let why = page.note(&notes, verb.names[0], "").map_or("not yet".to_owned(), |(_, why)| why);
                let title: Vec<_> = verb.names.iter().map(|name| format!("`{name}`")).collect();
                page.row(&title.join(", "), Answer::No, &why, false);
            }
            continue;
        }
        for verb in list {
            page.verb(&tree, &notes, verb);
        }
    }
    let unused: Vec<_> = notes.keys().filter(|key| !page.used.contains(key)).collect();
    assert!(unused.is_empty(), "notes on what Docker has not: {unused:?}");
    let mut text = HEAD.to_owned();
    text.push_str("| | commands | flags |\n|---|---|---|\n");
    for (answer, [commands, flags]) in &page.counts {
        let _ = writeln!(text, "| {answer} | {commands} | {flags} |");
    }
    text + &page.text + &beyond(&tree, &verbs)
}

/// What Docker has not.
fn beyond(tree: &Command, verbs: &[Theirs]) -> String {
    let mut text = String::from("\n## Beyond Docker's\n\n| command | flags |\n|---|---|\n");
    let known = |path: &str| verbs.iter().find(|verb| verb.names.contains(&path));
    let mut rows = Vec::new();
    let mut add = |path: String, command: &Command| {
        let docker = known(&path);
        let flags: Vec<_> = command
            .get_arguments()
            .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
            .filter_map(Arg::get_long)
            .filter(|long| {
                *long != "help"
                    && !docker.is_some_and(|verb| verb.flags.iter().any(|flag| flag.long == *long))
            })
            .map(|long| format!("`--{long}`"))
            .collect();
        match docker {
            Some(_) if flags.is_empty() => {}
            Some(_) => rows.push(format!("| `{path}` | {} |\n", flags.join(", "))),
            None => rows.push(format!("| **`{path}`** | {} |\n", flags.join(", "))),
        }
    };
    add("docker".to_owned(), tree);
    for first in tree.get_subcommands() {
        if first.get_subcommands().next().is_none() {
            // Docker's verb under a noun has been compared there.
            let short = known(first.get_name()).is_some_and(|verb| verb.names[0] != first.get_name());
            if !short {
                add(first.get_name().to_owned(), first);
            }
        }
        for second in first.get_subcommands() {
            add(format!("{} {}", first.get_name(), second.get_name()), second);
        }
    }
    rows.sort();
    text.extend(rows);
    text.push_str("\nCommands in bold are not Docker's.\n");
    text
}

#[test]
fn documents_have_every_verb_and_flag_of_dockers() {
    let page = page().replace("| `docker` |", "| (before the command) |");
    crate::documents::check("docs/docker.md", None, &page);
}

/// Flags that are refused by name are Docker's, and are not there.
#[test]
fn refused_flags_are_dockers() {
    let verbs = reference();
    let run = verbs.iter().find(|verb| verb.names.contains(&"run")).expect("run");
    for flag in crate::flags::UNSUPPORTED {
        let long = flag.trim_start_matches('-');
        let known = run.flags.iter().any(|flag| flag.long == long);
        // Docker hides those that it has given up.
        assert!(
            known
                || [
                    "disable-content-trust",
                    "kernel-memory",
                    "cpu-count",
                    "cpu-percent",
                    "io-maxbandwidth",
                    "io-maxiops"
                ]
                .contains(&long),
            "{flag}"
        );
    }
}
