//! Where credentials are kept: which files are looked at, in which order, and who may keep new ones.

use std::path::{Path, PathBuf};

use super::file::{self, Document};
use super::helper::Helper;
use super::{Credential, Secret};
use crate::{Error, Result};

/// The files that hold credentials, best first. Read when a registry first asks who we are.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
}

/// Where a credential went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// To a helper: `docker-credential-NAME`.
    Helper(String),
    /// Into a file, where everybody who may read it can read the secret.
    File(PathBuf),
}

impl Credentials {
    /// No credentials: everything is asked for anonymously.
    pub fn none() -> Self {
        Self::default()
    }

    /// The files at `paths`, best first. New credentials go to the first.
    pub fn at(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { files: paths.into_iter().collect() }
    }

    /// `REGISTRY_AUTH_FILE` alone if it is set; else Docker's `config.json` (in `DOCKER_CONFIG`, `~/.docker`), and after
    /// it what podman and skopeo keep (containers-auth.json(5)).
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = set("REGISTRY_AUTH_FILE") {
            return Self::at([file]);
        }
        let home = set("HOME");
        let docker = set("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let runtime = set("XDG_RUNTIME_DIR").map(|directory| directory.join("containers"));
        let runtime = runtime.unwrap_or_else(|| {
            PathBuf::from(format!("/run/containers/{}", conex_sys::namespace::outer_uid()))
        });
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        let files = [
            docker.map(|directory| directory.join("config.json")),
            Some(runtime.join("auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
        ];
        Self::at(files.into_iter().flatten())
    }

    /// What there is for a repository of `registry`.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Option<Credential>> {
        for path in &self.files {
            let document = read(path)?;
            if let Some(name) = document.helper(registry) {
                let helper = Helper::new(name).and_then(|helper| helper.get(server_of(registry)));
                if let Some(found) = helper.map_err(|reason| helper_error(name, "get", reason))? {
                    return Ok(Some(found));
                }
            }
            let found = document.credential(registry, repository).map_err(|reason| Error::Credentials {
                path: path.clone(),
                action: "use",
                reason: format!("for {registry} {reason}"),
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Keeps a credential for a registry: in the helper that the first file names, else in that file.
    pub fn store(&self, registry: &str, credential: &Credential) -> Result<Kept> {
        let Some(path) = self.files.first() else {
            return Err(Error::Credentials {
                path: PathBuf::from("config.json"),
                action: "write",
                reason: "there is no home directory to put it into (set DOCKER_CONFIG)".to_owned(),
            });
        };
        if let Some(name) = read(path)?.helper(registry) {
            let stored = Helper::new(name).and_then(|helper| helper.store(server_of(registry), credential));
            stored.map_err(|reason| helper_error(name, "store", reason))?;
            return Ok(Kept::Helper(name.to_owned()));
        }
        file::write(path, server_of(registry), credential).map_err(|error| unwritten(path, &error))?;
        Ok(Kept::File(path.clone()))
    }

    /// Forgets a registry's credentials wherever they are kept; false when there were none.
    pub fn erase(&self, registry: &str) -> Result<bool> {
        let mut erased = false;
        for path in &self.files {
            let document = read(path)?;
            if let Some(name) = document.helper(registry) {
                let helper = Helper::new(name).map_err(|reason| helper_error(name, "erase", reason))?;
                let server = server_of(registry);
                if helper.get(server).map_err(|reason| helper_error(name, "get", reason))?.is_some() {
                    helper.erase(server).map_err(|reason| helper_error(name, "erase", reason))?;
                    erased = true;
                }
            }
            // A file that holds nothing of it is not touched, and need not be writable.
            if document.holds(registry) {
                erased |= file::erase(path, registry).map_err(|error| unwritten(path, &error))?;
            }
        }
        Ok(erased)
    }

    /// The user's name that is kept for a registry: what a login offers.
    pub fn username(&self, registry: &str) -> Option<String> {
        let found = self.find(registry, "").ok().flatten()?;
        found.username().map(str::to_owned)
    }
}

fn read(path: &Path) -> Result<Document> {
    Document::read(path).map_err(|error| Error::Credentials {
        path: path.to_owned(),
        action: "read",
        reason: error.to_string(),
    })
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::Credentials { path: path.to_owned(), action: "write", reason: error.to_string() }
}

fn helper_error(name: &str, verb: &'static str, reason: String) -> Error {
    Error::Helper { name: crate::error::clean(name), verb, reason }
}

/// A registry's key as Docker writes it.
pub fn server_of(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

impl Secret {
    /// Whether it could be a secret at all: not empty, and nothing that would break out of a header's line.
    pub(crate) fn is_sound(&self) -> bool {
        !self.0.is_empty()
            && self.0.len() <= 32 << 10
            && !self.0.chars().any(|c| matches!(c, '\r' | '\n' | '\0'))
    }
}
