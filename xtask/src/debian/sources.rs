//! Where this machine gets its Debian packages, so that other suites are fetched from the same place: a mirror, a
//! cache or the archive itself, with the keys that the machine trusts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The Debian archive of this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// `http://…/debian`
    uri: String,
    /// `[signed-by=…]`, if the machine's own entry has it.
    signed_by: Option<String>,
    /// The machine's suite: `bookworm`.
    pub(crate) suite: String,
}

impl Sources {
    /// Reads `/etc/apt` and `/etc/os-release`.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let release = std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let field = |name: &str| {
            release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map(|value| value.trim_matches('"').to_owned())
        };
        let suite = field("VERSION_CODENAME").context("/etc/os-release names no VERSION_CODENAME")?;
        anyhow::ensure!(
            field("ID").as_deref() == Some("debian"),
            "it is made of Debian packages, and this is no Debian"
        );
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.sort();
        let entries = files.iter().filter_map(|file| Some((file, std::fs::read_to_string(file).ok()?)));
        entries.into_iter().find_map(|(file, text)| of_file(file, &text, &suite)).with_context(|| {
            format!("no entry for the suite {suite} in /etc/apt/sources.list or sources.list.d")
        })
    }

    /// An entry of `sources.list` for another suite of the same archive.
    pub(crate) fn line(&self, suite: &str) -> String {
        let signed_by =
            self.signed_by.as_ref().map_or_else(String::new, |path| format!("[signed-by={path}] "));
        format!("deb {signed_by}{} {suite} main\n", self.uri)
    }
}

fn of_file(file: &Path, text: &str, suite: &str) -> Option<Sources> {
    match file.extension()?.to_str()? {
        "sources" => text.split("\n\n").find_map(|stanza| of_stanza(stanza, suite)),
        "list" => text.lines().find_map(|line| of_line(line, suite)),
        _ => None,
    }
}

/// deb822: `URIs:`, `Suites:`, `Signed-By:` (a path; a key written out in place is left to the machine's trust).
fn of_stanza(stanza: &str, suite: &str) -> Option<Sources> {
    let field = |name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let suites = field("Suites")?;
    let types = field("Types")?;
    if !suites.split_ascii_whitespace().any(|name| name == suite)
        || !types.split_ascii_whitespace().any(|name| name == "deb")
    {
        return None;
    }
    Some(Sources {
        uri: field("URIs")?.split_ascii_whitespace().next()?.to_owned(),
        signed_by: field("Signed-By").filter(|path| path.starts_with('/')).map(str::to_owned),
        suite: suite.to_owned(),
    })
}

/// `deb [option=value …] URI SUITE COMPONENT…`
fn of_line(line: &str, suite: &str) -> Option<Sources> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let (uri, name) = (words.next()?, words.next()?);
    let signed_by = options
        .split_ascii_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .map(str::to_owned);
    (name == suite).then(|| Sources { uri: uri.to_owned(), signed_by, suite: suite.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let new = "# x\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let read = of_file(Path::new("a.sources"), new, "bookworm").expect("found");
        assert_eq!(
            read.line("trixie"),
            "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian trixie main\n"
        );
        let old = "# deb http://no x main\ndeb-src http://no bookworm main\ndeb [arch=amd64 signed-by=/k] http://m/debian bookworm main contrib\n";
        assert_eq!(
            of_file(Path::new("a.list"), old, "bookworm").expect("found").line("x"),
            "deb [signed-by=/k] http://m/debian x main\n"
        );
        assert_eq!(
            of_file(Path::new("a.list"), "deb http://m/debian bookworm-updates main", "bookworm"),
            None
        );
        assert_eq!(of_file(Path::new("a.sources.disabled"), new, "bookworm"), None);
    }
}
