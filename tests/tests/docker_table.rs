//! docs/docker.md, and what every verb owes: its flags in its help, an example there, a guide, completion, a man page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use conex_tests::Conex;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All verbs, `container ls` and `ps` alike, by their man pages.
fn verbs(conex: &Conex) -> Vec<String> {
    let directory = conex.scratch().join("man");
    std::fs::create_dir(&directory).expect("a directory");
    conex.ok(&["man", directory.to_str().expect("UTF-8")]);
    let pages = std::fs::read_dir(&directory).expect("pages").map(|entry| entry.expect("a page").file_name());
    let mut names: Vec<String> = pages
        .filter_map(|name| Some(name.to_str()?.strip_prefix("conex-")?.strip_suffix(".1")?.to_owned()))
        .collect();
    // `conex-image-ls.1`; those of nouns alone are lists.
    let nouns: BTreeSet<_> =
        names.iter().filter_map(|name| Some(name.split_once('-')?.0.to_owned())).collect();
    names.retain(|name| !nouns.contains(name));
    names.sort();
    assert!(names.len() > 60, "{names:?}");
    names.into_iter().map(|name| name.replacen('-', " ", 1)).collect()
}

#[test]
fn every_verb_has_help_with_an_example_a_man_page_and_completion() {
    let conex = Conex::new();
    let scripts = ["bash", "zsh", "fish"].map(|shell| conex.ok(&["completion", shell]));
    for verb in verbs(&conex) {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = conex.ok(&[&words[..], &["--help"]].concat());
        assert!(help.contains("\nExamples:\n"), "conex {verb} --help has no example:\n{help}");
        let page = conex.scratch().join(format!("man/conex-{}.1", verb.replace(' ', "-")));
        assert!(read(&page).contains(".SH"), "{verb}");
        let last = words[words.len() - 1];
        for script in &scripts {
            assert!(script.contains(last), "{verb} is not completed");
        }
    }
}

#[test]
fn every_verb_is_in_the_guide() {
    let conex = Conex::new();
    let pages = std::fs::read_dir(docs().join("guide")).expect("the guide");
    let guide: String = pages.map(|entry| read(&entry.expect("a page").path())).collect();
    let mentions =
        |words: &str| guide.contains(&format!("conex {words}")) || guide.contains(&format!("`{words}"));
    for verb in verbs(&conex) {
        // One under a noun is the verb of that name, or `images`, `ps` and `rmi`.
        let (noun, name) = verb.split_once(' ').unwrap_or(("", verb.as_str()));
        let short = match (noun, name) {
            ("container", "ls") => "ps",
            ("image", "ls") => "images",
            ("image", "rm") => "rmi",
            (_, name) => name,
        };
        let shared = ["container", "image", "system"].contains(&noun) && mentions(short);
        assert!(mentions(&verb) || shared, "no page of the guide mentions conex {verb}");
    }
}

/// A section of docs/docker.md: the names of a verb, and what is said of its flags.
type Section = (Vec<String>, Vec<(String, String)>);

fn sections(page: &str) -> Vec<Section> {
    let mut list: Vec<Section> = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            let names = title.split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
            list.push((names, Vec::new()));
        } else if line.starts_with("## ") {
            list.push((Vec::new(), Vec::new()));
        } else if let Some((flags, answer)) =
            line.strip_prefix("| `").and_then(|rest| rest.split_once("` | "))
            && let Some((_, long)) = format!("`{flags}").rsplit_once("--")
            && let Some((_, rows)) = list.last_mut()
        {
            let answer = answer.split(" |").next().unwrap_or_default();
            rows.push((format!("--{}", long.trim_end_matches('`')), answer.to_owned()));
        }
    }
    list.retain(|(names, _)| !names.is_empty());
    list
}

#[test]
fn what_the_table_says_is_what_the_program_does() {
    let conex = Conex::new();
    let page = read(&docs().join("docker.md"));
    let (mut yes, mut no) = (0, 0);
    for (names, flags) in sections(&page).into_iter().filter(|(names, _)| names[0] != "docker") {
        let works = |name: &&String| {
            let words: Vec<&str> = name.split(' ').collect();
            conex.run(&[&words[..], &["--help"]].concat()).code == 0
        };
        let Some(name) = names.iter().find(works) else {
            assert!(flags.is_empty(), "{names:?} has flags, and is not there");
            continue;
        };
        let words: Vec<&str> = name.split(' ').collect();
        let help = conex.ok(&[&words[..], &["--help"]].concat());
        for (flag, answer) in flags {
            let shown = help.lines().any(|line| line.split_whitespace().take(2).any(|word| word == flag));
            // Another name of a flag is not in help, and taken.
            let taken = || {
                let output = conex.run(&[&words[..], &[flag.as_str()]].concat());
                !output.stderr.contains("unknown flag") && !output.stderr.contains("not supported")
            };
            match answer.as_str() {
                "no" => {
                    no += 1;
                    assert!(!shown, "{name} {flag} is there");
                    let output = conex.run(&[&words[..], &[flag.as_str()]].concat());
                    let named = output.code != 0
                        && output.stderr.contains(&flag)
                        && output.stderr.lines().count() == 1;
                    assert!(named, "{name} {flag}: {} {}", output.code, output.stderr);
                }
                _ => {
                    yes += 1;
                    assert!(shown || taken(), "{name} {flag} is not there");
                }
            }
        }
    }
    assert!(yes > 200 && no > 10, "{yes} {no}");
}
