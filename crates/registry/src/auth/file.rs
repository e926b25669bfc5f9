//! One file of credentials: Docker's `config.json` or containers-auth.json(5). Both have `auths`, `credHelpers` and
//! `credsStore`; the latter's keys may go on with a repository's path, and the longest that fits counts.
//!
//! Writing keeps whatever else is in the file, and replaces it whole: a temporary beside it, 0600, synced, renamed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Credential, Secret, TOKEN};

/// The most that is read of such a file, in bytes.
const LIMIT: u64 = 4 << 20;
/// How many symbolic links lead to the file at most; people keep such files elsewhere.
const LINKS: usize = 8;

/// What a file says, as far as we use it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    auths: BTreeMap<String, Option<Entry>>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(…)")
    }
}

impl Document {
    /// The file's document; an empty one for a file that is not there.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        Ok(match bytes(path)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(malformed)?,
            None => Self::default(),
        })
    }

    /// The helper that keeps the credentials of `registry`.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.iter().find(|(key, _)| host_of(key) == registry);
        let named = own.map(|(_, helper)| helper).or(self.creds_store.as_ref());
        named.map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Whether there is an entry for the whole of `registry`.
    pub(super) fn holds(&self, registry: &str) -> bool {
        self.auths.keys().any(|key| host_only(key).as_deref() == Some(registry))
    }

    /// The entry that fits `registry/repository` best.
    pub(super) fn credential(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, &'static str> {
        let wanted = format!("{registry}/{repository}");
        let fits =
            |key: &str| wanted.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let best = self.auths.iter().filter_map(|(key, entry)| Some((normal(key), entry.as_ref()?)));
        let best =
            best.filter(|(key, entry)| fits(key) && !entry.is_empty()).max_by_key(|(key, _)| key.len());
        best.map_or(Ok(None), |(_, entry)| entry.credential().map(Some))
    }
}

impl Entry {
    /// Docker leaves empty entries in the file beside a helper.
    fn is_empty(&self) -> bool {
        let fields = [&self.auth, &self.password, &self.identitytoken, &self.registrytoken];
        fields.into_iter().all(|field| field.as_ref().is_none_or(String::is_empty))
    }

    fn credential(&self) -> Result<Credential, &'static str> {
        let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Credential::RegistryToken(Secret(token)));
        }
        let (mut username, mut password) = (filled(&self.username), filled(&self.password));
        if let Some(auth) = filled(&self.auth) {
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| "its \"auth\" is not base64")?;
            let pair = String::from_utf8(bytes).map_err(|_| "its \"auth\" is not text")?;
            let (name, secret) = pair.split_once(':').ok_or("its \"auth\" has no colon")?;
            username = Some(name.to_owned());
            // Some versions of Docker have padded it.
            password = Some(secret.trim_end_matches('\0').to_owned());
        }
        if let Some(token) = filled(&self.identitytoken) {
            let username = username.unwrap_or_else(|| TOKEN.to_owned());
            return Ok(Credential::IdentityToken { username, token: Secret(token) });
        }
        match (username, password) {
            (Some(username), Some(password)) => {
                Ok(Credential::Password { username, password: Secret(password) })
            }
            _ => Err("its entry has no user name or no password"),
        }
    }
}

/// Puts an entry for `key` into the file, which is made if it is not there.
pub(super) fn write(path: &Path, key: &str, credential: &Credential) -> io::Result<()> {
    change(path, |auths| {
        auths.retain(|old, _| host_only(old) != host_only(key));
        auths.insert(key.to_owned(), entry(credential));
        true
    })
    .map(|_| ())
}

/// Takes the entries of `registry` out; false when there was none.
pub(super) fn erase(path: &Path, registry: &str) -> io::Result<bool> {
    change(path, |auths| {
        let before = auths.len();
        auths.retain(|key, _| host_only(key).as_deref() != Some(registry));
        auths.len() < before
    })
}

fn entry(credential: &Credential) -> Value {
    match credential {
        Credential::Password { username, password } => {
            json!({"auth": STANDARD.encode(format!("{username}:{}", password.reveal()))})
        }
        Credential::IdentityToken { username, token } => {
            json!({"auth": STANDARD.encode(format!("{username}:")), "identitytoken": token.reveal()})
        }
        Credential::RegistryToken(token) => json!({"registrytoken": token.reveal()}),
    }
}

/// Reads, changes and replaces the file, one process at a time. Nothing is written when `act` says that nothing changed.
fn change(path: &Path, act: impl FnOnce(&mut Map<String, Value>) -> bool) -> io::Result<bool> {
    let path = followed(path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    let lock = File::open(directory)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    let mut document: Value = match bytes(&path)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(malformed)?,
        None => json!({}),
    };
    let root = document.as_object_mut().ok_or_else(|| malformed("it is no JSON object"))?;
    let auths = root.entry("auths").or_insert_with(|| json!({}));
    let auths = auths.as_object_mut().ok_or_else(|| malformed("its \"auths\" is no object"))?;
    if !act(auths) {
        return Ok(false);
    }
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = directory.join(name);
    let written = replace(&temporary, &path, &text);
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| true)
}

fn replace(temporary: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    // Left by a process of the same number that was killed here.
    let _ = fs::remove_file(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// Where symbolic links at `path` lead, so that renaming replaces the file and not the link.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(malformed("it is too large"));
    }
    // `touch config.json` makes an honest empty file.
    Ok(Some(bytes).filter(|bytes| !bytes.trim_ascii().is_empty()))
}

/// serde_json's messages quote neither keys nor values of the right type; of the wrong type they may: the place is enough.
fn malformed(error: impl Into<Problem>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.into().0)
}

struct Problem(String);

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("it is malformed at line {} column {}", error.line(), error.column()))
    }
}

/// A key as we compare it: without a scheme and what stood behind it, Docker Hub by its name in references.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    // A key with a scheme is Docker's old kind: `https://host/v1/`.
    let text = bare.map_or(key, |bare| bare.split('/').next().unwrap_or_default()).trim_end_matches('/');
    let (host, path) = text.split_once('/').map_or((text, ""), |(host, path)| (host, path));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        host => host,
    };
    // Written without a scheme by some: `index.docker.io/v1`.
    if path.is_empty() || (host == "docker.io" && matches!(path, "v1" | "v2")) {
        return host.to_owned();
    }
    format!("{host}/{path}")
}

/// The registry of a key, whatever path follows.
fn host_of(key: &str) -> String {
    normal(key).split('/').next().unwrap_or_default().to_owned()
}

/// The registry of a key without a path.
fn host_only(key: &str) -> Option<String> {
    Some(normal(key)).filter(|key| !key.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: &Value) -> Document {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn user(document: &Document, registry: &str, repository: &str) -> Option<String> {
        let found = document.credential(registry, repository).unwrap()?;
        found.username().map(str::to_owned)
    }

    fn auth(name: &str) -> Value {
        json!({"auth": STANDARD.encode(format!("{name}:x"))})
    }

    #[test]
    fn the_longest_key_that_fits_counts() {
        let document = document(&json!({"auths": {
            "r.example": auth("all"), "r.example/team": auth("team"), "r.example/team/app": auth("app"),
            "r.example:5000": auth("port"), "https://old.example/v1/": auth("old"),
            "https://index.docker.io/v1/": auth("hub"), "empty.example": {}, "null.example": null,
        }}));
        for (registry, repository, expected) in [
            ("r.example", "other/x", Some("all")),
            ("r.example", "team/x", Some("team")),
            ("r.example", "team/app", Some("app")),
            ("r.example", "team/app2", Some("team")),
            ("r.example", "teams/x", Some("all")),
            ("r.example:5000", "x", Some("port")),
            ("r.example:5001", "x", None),
            ("old.example", "x", Some("old")),
            ("docker.io", "library/alpine", Some("hub")),
            ("empty.example", "x", None),
            ("null.example", "x", None),
            ("r.example.evil", "x", None),
        ] {
            assert_eq!(user(&document, registry, repository).as_deref(), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn kinds_of_entries() {
        let document = document(&json!({"auths": {
            "a": {"username": "u", "password": "p"},
            "b": {"auth": STANDARD.encode("u:"), "identitytoken": "t"},
            "c": {"registrytoken": "t"},
            "d": {"auth": "!"},
            "e": {"auth": STANDARD.encode("u:p:q")},
        }}));
        let password = |p: &str| Credential::Password { username: "u".into(), password: Secret::new(p) };
        assert_eq!(document.credential("a", "x"), Ok(Some(password("p"))));
        let token = Credential::IdentityToken { username: "u".into(), token: Secret::new("t") };
        assert_eq!(document.credential("b", "x"), Ok(Some(token)));
        assert_eq!(document.credential("c", "x"), Ok(Some(Credential::RegistryToken(Secret::new("t")))));
        assert!(document.credential("d", "x").is_err());
        assert_eq!(document.credential("e", "x"), Ok(Some(password("p:q"))));
    }

    #[test]
    fn helpers_by_registry_and_for_all() {
        let document = document(&json!({"credsStore": "all", "credHelpers": {"r.example": "own"}}));
        assert_eq!((document.helper("r.example"), document.helper("s.example")), (Some("own"), Some("all")));
    }

    #[test]
    fn writing_keeps_the_rest_and_the_link() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.json"), directory.path().join("config.json"));
        fs::write(
            &real,
            r#"{"psFormat":"x","auths":{"https://a/v1/":{"auth":"b2xkOm9sZA=="},"b":{"auth":"eDp5"}}}"#,
        )
        .unwrap();
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        let credential = Credential::Password { username: "anna".into(), password: Secret::new("pw") };
        write(&link, "a", &credential).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        let text: Value = serde_json::from_slice(&fs::read(&real).unwrap()).unwrap();
        assert_eq!(text["psFormat"], "x");
        assert_eq!(text["auths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Document::read(&link).unwrap().credential("a", "x"), Ok(Some(credential)));
        assert!(erase(&link, "a").unwrap() && !erase(&link, "a").unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else stays");

        fs::write(&real, r#"{"auths": {"a": {"auth": 7}}, "secret": "s3cret"}"#).unwrap();
        let error = Document::read(&link).unwrap_err().to_string();
        assert!(error.starts_with("it is malformed at line 1"), "{error}");
        fs::write(&real, "").unwrap();
        assert!(Document::read(&link).unwrap().auths.is_empty());
    }
}
