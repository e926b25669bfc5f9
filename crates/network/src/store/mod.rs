//! Definitions on disk.

mod create;
mod lock;
mod remove;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::addresses::Pool;
use crate::definition::{DEFAULT, Network, NetworkName};
use crate::error::shown;
use crate::{Error, Result};

pub(crate) use self::lock::{Lock, is_at};

/// Names that mean something else than a network of ours.
const PREDEFINED: [&str; 4] = [DEFAULT, "host", "none", "default"];

/// See [`Networks::gate`]; open until it is dropped.
#[derive(Debug)]
pub struct Gate {
    _lock: Lock,
}

/// The networks of one ROOT.
#[derive(Debug, Clone)]
pub struct Networks {
    root: PathBuf,
    run: PathBuf,
    pools: Option<Vec<Pool>>,
}

impl Networks {
    /// Those whose definitions are in `root/networks`, with leases in `run/networks`. Nothing is made before it is needed.
    pub fn open(root: &Path, run: &Path) -> Self {
        Self { root: root.join("networks"), run: run.join("networks"), pools: None }
    }

    /// Cuts subnets that nobody asks for from other pools than the usual.
    #[must_use]
    pub fn with_pools(mut self, pools: Option<Vec<Pool>>) -> Self {
        self.pools = pools;
        self
    }

    /// All, by name. The default one is among them once it has been used.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Document`].
    pub fn list(&self) -> Result<Vec<Network>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("read", &self.root)(error)),
        };
        let mut networks = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::file("read", &self.root))?.path();
            let is_temporary =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
            if path.extension().is_some_and(|extension| extension == "json") && !is_temporary {
                // One that goes meanwhile is gone.
                networks.extend(read(&path)?);
            }
        }
        networks.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(networks)
    }

    /// The one of that name.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Document`].
    pub fn get(&self, name: &NetworkName) -> Result<Option<Network>> {
        read(&self.definition(name))
    }

    /// The one that is meant: by its name, its id, or the beginning of its id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn find(&self, meant: &str) -> Result<Network> {
        let not_found = || Error::NotFound { name: shown(meant, 140) };
        if meant == DEFAULT {
            return self.default_network();
        }
        if let Ok(name) = meant.parse()
            && let Some(network) = self.get(&name)?
        {
            return Ok(network);
        }
        if meant.is_empty() {
            return Err(not_found());
        }
        let mut found = self.list()?;
        found.retain(|network| network.id.as_str().starts_with(meant));
        match found.len() {
            0 => Err(not_found()),
            1 => Ok(found.remove(0)),
            _ => Err(Error::Ambiguous { name: meant.to_owned() }),
        }
    }

    /// The network that containers are on without being asked; made when it is first wanted.
    ///
    /// # Errors
    /// As [`Networks::create`].
    pub fn default_network(&self) -> Result<Network> {
        let name: NetworkName = DEFAULT.parse()?;
        match self.get(&name)? {
            Some(network) => Ok(network),
            None => self.create_default(&name),
        }
    }

    fn definition(&self, name: &NetworkName) -> PathBuf {
        self.root.join(format!("{name}.json"))
    }

    /// Where the leases of a network are.
    pub(crate) fn leases(&self, name: &NetworkName) -> PathBuf {
        self.run.join(name.as_str())
    }

    /// Held shared by who adds elements to the packet filter, whose endpoint is on record by then, and alone by who writes the whole of it
    /// from the records: so that nobody's elements are lost.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn gate(&self, alone: bool) -> Result<Gate> {
        let lock = if alone { Lock::alone(&self.run) } else { Lock::shared(&self.run) };
        lock.map(|lock| Gate { _lock: lock })
    }

    fn lock(&self) -> Result<Lock> {
        Lock::alone(&self.root)
    }
}

fn read(path: &Path) -> Result<Option<Network>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let network = serde_json::from_slice(&bytes);
    network.map(Some).map_err(|source| Error::Document { path: path.to_owned(), source })
}

fn refuse_predefined(name: &NetworkName, verb: &'static str) -> Result<()> {
    match PREDEFINED.contains(&name.as_str()) || name.as_str().starts_with("container:") {
        true => Err(Error::Predefined { name: name.to_string(), verb }),
        false => Ok(()),
    }
}
