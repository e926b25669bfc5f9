//! The configuration file: what a machine's owner, or a user, wants of every command.
//!
//! ```toml
//! [ports]
//! address = "127.0.0.1"      # where -p publishes that names no address; all addresses without
//! block_metadata = true      # 169.254.169.254 and its like are not reached from containers
//! ask_input = true           # published ports are open to whom the host's own input chains let in
//!
//! [cni]
//! config = "/etc/cni/net.d"  # the networks of CNI, a file each
//! plugins = ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"]
//! timeout = 60               # seconds that one run of a plugin may take
//! ```
//!
//! `CONEX_CONFIG` alone if it is set; else `/etc/conex/conex.toml`, and the user's `conex/conex.toml` over it, key by key. A file that
//! is wrong is an error: it may say what must not be. `NETCONFPATH` and `CNI_PATH` go over what the files say of CNI, as with cnitool.

use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conex_engine::network::CniSettings;
use serde::Deserialize;

use crate::errors::Error;

/// The most that is read of a file, in bytes.
const LIMIT: u64 = 1 << 20;
const MACHINE: &str = "/etc/conex/conex.toml";

/// What the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) ports: Ports,
    pub(crate) cni: Cni,
}

/// `[ports]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ports {
    pub(crate) address: Option<IpAddr>,
    pub(crate) block_metadata: Option<bool>,
    pub(crate) ask_input: Option<bool>,
}

/// `[cni]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cni {
    config: Option<PathBuf>,
    plugins: Option<Vec<PathBuf>>,
    timeout: Option<NonZeroU32>,
}

impl Cni {
    /// With what the environment says, and what holds if nobody says anything.
    pub(crate) fn settings(self) -> CniSettings {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let usual = CniSettings::default();
        let plugins = match set("CNI_PATH") {
            Some(list) => std::env::split_paths(&list).collect(),
            None => self.plugins.unwrap_or(usual.plugins),
        };
        // Supervisors work from another directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        CniSettings {
            config: absolute(set("NETCONFPATH").map(PathBuf::from).or(self.config).unwrap_or(usual.config)),
            plugins: plugins.into_iter().map(absolute).collect(),
            timeout: self.timeout.map_or(usual.timeout, |seconds| Duration::from_secs(seconds.get().into())),
        }
    }
}

impl Config {
    /// From the files that there are.
    ///
    /// # Errors
    /// A file that cannot be read, or says what is not known.
    pub(crate) fn read() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set("CONEX_CONFIG") {
            return match file(&path)? {
                Some(config) => Ok(config),
                None => Err(problem(&path, "it is not there (CONEX_CONFIG names it)")),
            };
        }
        let machine = file(Path::new(MACHINE))?.unwrap_or_default();
        let home = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let own = home.map(|home| file(&home.join("conex/conex.toml"))).transpose()?.flatten();
        Ok(machine.under(own.unwrap_or_default()))
    }

    /// With another's keys over its own.
    fn under(self, other: Self) -> Self {
        Self {
            ports: Ports {
                address: other.ports.address.or(self.ports.address),
                block_metadata: other.ports.block_metadata.or(self.ports.block_metadata),
                ask_input: other.ports.ask_input.or(self.ports.ask_input),
            },
            cni: Cni {
                config: other.cni.config.or(self.cni.config),
                plugins: other.cni.plugins.or(self.cni.plugins),
                timeout: other.cni.timeout.or(self.cni.timeout),
            },
        }
    }
}

fn problem(path: &Path, reason: impl Into<String>) -> Error {
    Error::Config { path: path.to_owned(), reason: reason.into() }
}

/// `None` when there is no such file.
fn file(path: &Path) -> Result<Option<Config>, Error> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(path, error.to_string())),
        Ok(count) if count as u64 > LIMIT => return Err(problem(path, "it is too large")),
        Ok(_) => {}
    }
    parse(&text).map(Some).map_err(|reason| problem(path, reason))
}

/// In one line, with the number of the line that is wrong.
fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let reason = error.message().replace('\n', " ");
        line.map_or_else(|| reason.clone(), |line| format!("line {line}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_understood_or_named() {
        let config = parse("[ports]\naddress = \"127.0.0.1\"\nblock_metadata = true\n").unwrap();
        let ports =
            Ports { address: Some([127, 0, 0, 1].into()), block_metadata: Some(true), ask_input: None };
        assert_eq!(config.ports, ports);
        assert_eq!(parse("").unwrap(), Config::default());
        let own = parse("[ports]\nblock_metadata = false\nask_input = true\n").unwrap();
        assert_eq!(
            config.under(own).ports,
            Ports {
                address: Some([127, 0, 0, 1].into()),
                block_metadata: Some(false),
                ask_input: Some(true)
            }
        );
        for (text, words) in [
            ("[ports]\nadress = \"::1\"\n", "line 2: unknown field `adress`"),
            ("[cni]\ntimeout = 0\n", "line 2: invalid value"),
            ("[cni]\nplugins = \"/opt/cni/bin\"\n", "line 2: invalid type"),
            ("[port]\n", "line 1: unknown field `port`"),
            ("[ports]\naddress = \"here\"\n", "line 2: invalid IP address"),
            ("[ports\n", "line 1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
