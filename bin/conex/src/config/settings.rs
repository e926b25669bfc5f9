//! Sections in the engine's terms.

use std::path::PathBuf;
use std::time::Duration;

use conex_engine::cdi;
use conex_engine::network::{CniSettings, FirewallSettings};

use super::keys::{Cdi, Cni, Ports};

/// Supervisors work from another directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl Cni {
    /// With what holds if nobody says anything.
    pub(crate) fn settings(&self) -> CniSettings {
        let usual = CniSettings::default();
        let Self { config, plugins, timeout } = self.clone();
        CniSettings {
            config: absolute(config.unwrap_or(usual.config)),
            plugins: plugins.unwrap_or(usual.plugins).into_iter().map(absolute).collect(),
            timeout: timeout.map_or(usual.timeout, |seconds| Duration::from_secs(seconds.get().into())),
        }
    }
}

impl Cdi {
    /// The directories of specifications.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let usual = || cdi::DIRECTORIES.map(PathBuf::from).to_vec();
        self.spec_dirs.clone().unwrap_or_else(usual).into_iter().map(absolute).collect()
    }
}

impl Ports {
    /// What holds for all containers' packets.
    pub(crate) fn firewall(&self) -> FirewallSettings {
        FirewallSettings {
            block_metadata: self.block_metadata.unwrap_or(false),
            ask_input: self.ask_input.unwrap_or(false),
        }
    }
}
