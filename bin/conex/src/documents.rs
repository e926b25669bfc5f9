//! Documents that are made of the program's own tables, held to them by tests: a test that makes a document again fails when it is not
//! what is in docs/. `CONEX_UPDATE_DOCS=1 cargo test -p conex documents` writes them anew.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli;
use crate::commands::{NOUNS, VERBS};

/// Compares `text` with a file below the workspace, or with what stands in it between the lines `<!-- MARK -->` and `<!-- /MARK -->`.
pub(crate) fn check(path: &str, mark: Option<&str>, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    let wanted = match mark {
        None => text.to_owned(),
        Some(mark) => {
            let (open, close) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
            let (head, rest) = there.split_once(&open).unwrap_or_else(|| panic!("{path} has no line {open}"));
            let (_, tail) = rest.split_once(&close).unwrap_or_else(|| panic!("{path} has no line {close}"));
            format!("{head}{open}{text}{close}{tail}")
        }
    };
    if there == wanted {
        return;
    }
    if std::env::var_os("CONEX_UPDATE_DOCS").is_some() {
        std::fs::write(&file, wanted).unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
        return;
    }
    let differs = there.lines().zip(wanted.lines()).position(|(old, new)| old != new);
    let line = differs.map_or("the end".to_owned(), |line| format!("line {}", line + 1));
    panic!("{path} is stale at {line}: CONEX_UPDATE_DOCS=1 cargo test -p conex documents");
}

/// The verbs that a page of the guide has at a prompt, told by what they are about, which is the same for `ps` and `container ls`.
fn shown() -> BTreeSet<&'static str> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let pages = std::fs::read_dir(guide).expect("the guide").map(|page| page.expect("a page").path());
    let texts: Vec<_> = pages.map(|page| std::fs::read_to_string(page).expect("a page")).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let typed = lines.filter_map(|line| line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")));
    let commands = typed.flat_map(|line| line.match_indices("conex ").map(|(at, _)| &line[at..]));
    commands
        .filter_map(|command| {
            let words: Vec<_> = command.split([' ', ';']).map(str::to_owned).collect();
            cli::verb_of(&words).map(|(verb, _)| verb.about)
        })
        .collect()
}

#[test]
fn documents_show_every_verb() {
    let (shown, mut missing) = (shown(), Vec::new());
    missing.extend(VERBS.iter().filter(|verb| !shown.contains(verb.about)).map(|verb| verb.name.to_owned()));
    for noun in NOUNS {
        let verbs = noun.verbs.iter().filter(|(_, verb)| !shown.contains(verb.about));
        missing.extend(verbs.map(|(name, _)| format!("{} {name}", noun.name)));
    }
    assert!(missing.is_empty(), "docs/guide/ has no session of: {}", missing.join(", "));
}
