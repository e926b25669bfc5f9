//! `-e`, `--env-file`, `--label`, `--label-file`

use std::io::Read;
use std::path::Path;

use super::OptionError;

/// Files larger than this hold no list of settings.
const FILE_LIMIT: u64 = 16 << 20;

/// `-e NAME=value`, or `-e NAME`, whose value is the caller's own. When the caller has none the
/// bare `NAME` comes back, which takes the image's variable away, as Docker does.
pub fn resolve_env(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, OptionError> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() {
        return Err(OptionError::syntax("--env", text, "expected NAME=VALUE or NAME"));
    }
    if text.contains('\0') {
        return Err(OptionError::syntax("--env", text, "a variable holds no NUL"));
    }
    if text.contains('=') {
        return Ok(text.to_owned());
    }
    Ok(lookup(text).map_or_else(|| text.to_owned(), |value| format!("{text}={value}")))
}

/// `--env-file`: a `NAME=value` or `NAME` a line. Empty lines and those that start with `#` are skipped; quotes are part of the
/// value; nothing is expanded.
pub fn read_env_file(
    path: &Path,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, OptionError> {
    let mut list = Vec::new();
    for (line, text) in lines("env file", path)? {
        let wrong = |why: String| OptionError::Line { path: path.to_owned(), line, why };
        let name = text.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(wrong("no variable name before \"=\"".to_owned()));
        }
        if name.contains([' ', '\t']) {
            return Err(wrong(format!("variable {name:?} contains whitespaces")));
        }
        // Unlike -e, a name that the caller has not is skipped.
        let resolved = resolve_env(&text, &lookup).map_err(|error| wrong(error.to_string()))?;
        list.extend(Some(resolved).filter(|text| text.contains('=')));
    }
    Ok(list)
}

/// `--label name[=value]`; also `--annotation`.
pub fn parse_label(text: &str) -> Result<(String, String), OptionError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.trim().is_empty() || text.contains('\0') {
        return Err(OptionError::syntax("--label", text, "expected NAME=VALUE or NAME"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `--label-file`: a label a line, with the same rules for comments as in an env file.
pub fn read_label_file(path: &Path) -> Result<Vec<(String, String)>, OptionError> {
    let list = lines("label file", path)?.into_iter().map(|(line, text)| {
        let name = text.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains([' ', '\t']) {
            let why = format!("label {name:?} is empty or contains whitespaces");
            return Err(OptionError::Line { path: path.to_owned(), line, why });
        }
        parse_label(&text).map_err(|error| OptionError::Line {
            path: path.to_owned(),
            line,
            why: error.to_string(),
        })
    });
    list.collect()
}

/// The lines that say something, with their numbers from 1.
fn lines(what: &'static str, path: &Path) -> Result<Vec<(usize, String)>, OptionError> {
    let failed = |source| OptionError::Read { what, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::FileTooLarge)));
    }
    // Windows editors put a byte order mark there.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut list = Vec::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let wrong =
            |_| OptionError::Line { path: path.to_owned(), line: index + 1, why: "not UTF-8".to_owned() };
        let line = std::str::from_utf8(line).map_err(wrong)?;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if !line.is_empty() && !line.starts_with('#') {
            list.push((index + 1, line.to_owned()));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Option<String> {
        (name == "HERE").then(|| "a value".to_owned())
    }

    #[test]
    fn a_bare_name_is_the_callers() {
        assert_eq!(resolve_env("A=b=c", caller).unwrap(), "A=b=c");
        assert_eq!(resolve_env("A=", caller).unwrap(), "A=");
        assert_eq!(resolve_env("HERE", caller).unwrap(), "HERE=a value");
        assert_eq!(resolve_env("GONE", caller).unwrap(), "GONE");
        for bad in ["", "=x", "A=\0"] {
            assert!(resolve_env(bad, caller).is_err());
        }
    }

    #[test]
    fn env_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "\u{feff}# comment\n\n  # indented comment\nA=1\r\n  B=\"two words\" # kept\nHERE\nGONE\nC= x \nD=a=b";
        std::fs::write(&file, text).unwrap();
        let list = read_env_file(file.path(), caller).unwrap();
        assert_eq!(list, ["A=1", "B=\"two words\" # kept", "HERE=a value", "C= x ", "D=a=b"]);
        for (bad, why) in [
            ("A=1\nB C=2", "line 2: variable \"B C\" contains whitespaces"),
            ("=x", "line 1: no variable name"),
            ("A=\u{0}", "NUL"),
        ] {
            std::fs::write(&file, bad).unwrap();
            let error = read_env_file(file.path(), caller).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        std::fs::write(&file, b"A=\xff").unwrap();
        assert!(read_env_file(file.path(), caller).unwrap_err().to_string().contains("not UTF-8"));
        let error = read_env_file(Path::new("/nonexistent/x"), caller).unwrap_err().to_string();
        assert!(error.starts_with("cannot read env file /nonexistent/x: "), "{error}");
    }

    #[test]
    fn labels() {
        assert_eq!(parse_label("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert_eq!(parse_label("a").unwrap(), ("a".into(), String::new()));
        assert!(parse_label("").is_err());
        assert!(parse_label("=b").is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "# c\na=1\nb\n").unwrap();
        assert_eq!(
            read_label_file(file.path()).unwrap(),
            [("a".into(), "1".into()), ("b".into(), String::new())]
        );
        std::fs::write(&file, "a b=1\n").unwrap();
        assert!(read_label_file(file.path()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = resolve_env(&text, caller);
            let _ = parse_label(&text);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, bytes).unwrap();
            let _ = read_env_file(file.path(), caller);
            let _ = read_label_file(file.path());
        }
    }
}
