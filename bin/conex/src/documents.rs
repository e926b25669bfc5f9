//! Documents that are made of the program's own tables, held to them by tests: a test that makes a document again fails when it is not
//! what is in docs/. `CONEX_UPDATE_DOCS=1 cargo test -p conex documents` writes them anew.

use std::path::Path;

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
