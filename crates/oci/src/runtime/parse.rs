//! From the bytes of a document of the runtime specification to its type, or to one line that names the field.
//!
//! The common case is one pass of serde. Only when that fails is the document looked at again: once without its nulls,
//! since a null means an absent field to the runtimes written in Go, and once to find where it is wrong.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Spec;
use super::objects::Objects;

/// Why a document could not be read: `linux.resources.pids.limit: invalid type: string "many", expected i64`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct ParseError {
    /// The field, as `mounts[3].options[0]`; empty for the document itself.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Reads a document: a [`Spec`], a [`super::Process`], a [`super::Resources`].
///
/// # Errors
/// JSON that is none, a field of a wrong type or missing.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParseError> {
    read(bytes).or_else(|error| again(bytes, &error))
}

/// One pass of serde. For both the document and its second reading, so that there is one such parser in the binary.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document = T::deserialize(Objects(&mut json))?;
    json.end()?;
    Ok(document)
}

impl Spec {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// Those of [`from_json`]; an `ociVersion` that is missing, malformed or of another major version than 1; no `root`.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        let spec: Self = from_json(bytes)?;
        let wrong = |path: &str, message: String| Err(ParseError { path: path.to_owned(), message });
        match major(&spec.oci_version) {
            Some(1) => {}
            Some(_) => {
                return wrong(
                    "ociVersion",
                    shortened(&format!("{:?} is not supported, only 1.x.y is", spec.oci_version)),
                );
            }
            None if spec.oci_version.is_empty() => return wrong("ociVersion", "it is missing".to_owned()),
            None => {
                return wrong(
                    "ociVersion",
                    shortened(&format!("{:?} is no version (as 1.2.0)", spec.oci_version)),
                );
            }
        }
        match &spec.root {
            None => wrong("root", "it is missing".to_owned()),
            Some(root) if root.path.as_os_str().is_empty() => wrong("root.path", "it is empty".to_owned()),
            Some(_) => Ok(spec),
        }
    }
}

/// The major number of a SemVer 2.0.0 version.
fn major(version: &str) -> Option<u64> {
    let (version, build) = version.split_once('+').map_or((version, None), |(v, b)| (v, Some(b)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(c, p)| (c, Some(p)));
    let identifiers = |text: &str| {
        let valid =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        text.split('.').all(valid)
    };
    if ![build, pre].into_iter().flatten().all(identifiers) {
        return None;
    }
    let mut numbers = core.split('.').map(|part| {
        let canonical = part == "0" || !part.starts_with('0');
        part.parse().ok().filter(|_| canonical && part.bytes().all(|b| b.is_ascii_digit()))
    });
    let [major, _, _] = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(major)
}

/// The slow way: the document without nulls, with the last of a field that stands there twice.
#[cold]
fn again<T: DeserializeOwned>(bytes: &[u8], first: &serde_json::Error) -> Result<T, ParseError> {
    let not_json = |error: &serde_json::Error| ParseError { path: String::new(), message: error.to_string() };
    if !first.is_data() {
        return Err(not_json(first));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    without_nulls(&mut value);
    let text = value.to_string();
    read(text.as_bytes()).map_err(|error| {
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
        // Written on one line, the column is the offset.
        let before = &text.as_bytes()[..error.column().min(text.len())];
        ParseError { path: path(before), message: shortened(message) }
    })
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// One line, however long the value was that it quotes.
fn shortened(message: &str) -> String {
    const LIMIT: usize = 300;
    let mut end = message.len().min(LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mark = if end < message.len() { "…" } else { "" };
    format!("{}{mark}", message[..end].replace(['\n', '\r'], " "))
}

enum Level {
    Object(Option<String>),
    Array(usize),
}

/// Which field the text breaks off in.
fn path(text: &[u8]) -> String {
    let mut levels: Vec<Level> = Vec::new();
    let mut position = 0;
    while position < text.len() {
        match text[position] {
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => drop(levels.pop()),
            b',' => match levels.last_mut() {
                Some(Level::Object(name)) => *name = None,
                Some(Level::Array(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let start = position;
                position += 1;
                while position < text.len() && text[position] != b'"' {
                    position += if text[position] == b'\\' { 2 } else { 1 };
                }
                if let Some(Level::Object(name @ None)) = levels.last_mut() {
                    let quoted = &text[start..text.len().min(position + 1)];
                    *name = Some(serde_json::from_slice(quoted).unwrap_or_default());
                }
            }
            _ => {}
        }
        position += 1;
    }
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(None) => {}
            Level::Object(Some(name)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    shortened(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#""ociVersion": "1.2.0", "root": {"path": "rootfs"}"#;

    fn spec(rest: &str) -> Result<Spec, ParseError> {
        let comma = if rest.is_empty() { "" } else { "," };
        Spec::from_json(format!("{{{HEAD}{comma}\n{rest}}}").as_bytes())
    }

    fn complaint(rest: &str) -> String {
        spec(rest).expect_err(rest).to_string()
    }

    #[test]
    fn the_field_is_named() {
        for (text, expected) in [
            (
                r#""linux": {"resources": {"pids": {"limit": "many"}}}"#,
                "linux.resources.pids.limit: invalid type",
            ),
            (
                r#""linux": {"uidMappings": [{"containerID": 0}]}"#,
                "linux.uidMappings[0]: missing field `hostID`",
            ),
            (
                r#""linux": {"namespaces": [{"type": "pid"}, {"type": "moon"}]}"#,
                "linux.namespaces[1].type: unknown",
            ),
            (
                r#""mounts": [{"destination": "/a", "options": ["ro", 7]}]"#,
                "mounts[0].options[1]: invalid type",
            ),
            (r#""process": {"user": {"uid": 99999999999}}"#, "process.user.uid: invalid value"),
            (r#""process": {"user": {"uid": -1}}"#, "process.user.uid: invalid value"),
            (r#""process": {"terminal": "yes"}"#, "process.terminal: invalid type"),
            (r#""process": {"scheduler": {"policy": "FAST"}}"#, "process.scheduler.policy: unknown variant"),
            (r#""hooks": {"poststop": {}}"#, "hooks.poststop: invalid type"),
            (r#""annotations": {"a\"b": 1}"#, "annotations.a\"b: invalid type"),
            (r#""process": ["yes"]"#, "process: invalid type: sequence, expected struct Process"),
            (r#""process": {"user": [1, 2]}"#, "process.user: invalid type: sequence"),
            (r#""mounts": [{}, ["/a"]]"#, "mounts[1]: invalid type: sequence"),
            (r#""linux": {"resources": {"pids": [7]}}"#, "linux.resources.pids: invalid type: sequence"),
            (r#""linux": {"netDevices": {"eth0": ["a"]}}"#, "linux.netDevices.eth0: invalid type: sequence"),
            (r#""process": []"#, "process: invalid type: sequence"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.starts_with(expected), "{text}: {complaint}");
            assert_eq!(complaint.lines().count(), 1);
        }
        let long = complaint(&format!(r#""mounts": "{}""#, "x".repeat(100_000)));
        assert!(long.starts_with("mounts: ") && long.len() < 400, "{long}");
    }

    #[test]
    fn what_is_no_json_is_told_by_line() {
        assert!(complaint("}").contains("line 2"));
        assert!(Spec::from_json(b"").unwrap_err().to_string().contains("EOF"));
        assert!(Spec::from_json(b"[]").unwrap_err().to_string().contains("invalid type"));
        assert!(Spec::from_json(b"{\"hostname\": \"\xff\"}").is_err());
        Spec::from_json("[".repeat(100_000).as_bytes()).unwrap_err();
    }

    #[test]
    fn null_is_absent_and_the_last_wins() {
        let text = r#""mounts": null, "process": {"args": ["a"], "env": null, "user": null, "rlimits": null},
            "linux": {"resources": {"devices": null, "memory": null}, "namespaces": null, "sysctl": null},
            "hostname": "a", "hostname": "b""#;
        let spec = spec(text).unwrap();
        assert_eq!(spec.hostname.as_deref(), Some("b"));
        assert_eq!(spec.process.unwrap().args, ["a"]);
    }

    #[test]
    fn other_platforms_and_unknown_fields_are_passed_over() {
        spec(r#""windows": {"x": 1}, "vm": [], "zos": 3, "future": {"a": [[]]}, "process": {"commandLine": "x"}"#).unwrap();
    }

    #[test]
    fn versions() {
        for good in ["1.0.0", "1.2.1", "1.3.0+dev", "1.0.0-rc5", "1.0.2-dev", "1.99.0"] {
            assert_eq!(major(good), Some(1), "{good}");
        }
        for bad in ["", "1", "1.2", "1.2.x", "v1.0.0", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.0+é", "latest"] {
            assert_eq!(major(bad), None, "{bad}");
        }
        let of = |version: &str| {
            let text = format!(r#"{{"ociVersion": "{version}", "root": {{"path": "r"}}}}"#);
            Spec::from_json(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(of("1.3.0"), Ok(()));
        assert!(of("2.0.0").unwrap_err().starts_with("ociVersion: "));
        assert!(of("").unwrap_err().contains("missing"));
        assert!(Spec::from_json(br#"{"ociVersion": "1.0.0"}"#).unwrap_err().to_string().contains("root"));
    }
}
