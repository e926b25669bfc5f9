//! What an overlay can be told.

use std::path::{Path, PathBuf};

use super::super::options::{refused, truth, unknown};
use super::{Overlay, host_address};
use crate::definition::DefinitionError;

const KNOWN: &str = "peers, peers-file, vni, port, local, encrypted, key-file, and those of bridge: mtu, isolate, \
    masquerade, device";
const PATH: &str = "an absolute path";
const ADDRESS: &str = "an address of a host";

impl Overlay {
    pub(in super::super) fn set(&mut self, name: &str, value: &str) -> Result<(), DefinitionError> {
        match name {
            "peers" => {
                let hosts = value.split(',').map(|text| host_address(text).ok());
                let hosts: Option<Vec<_>> = hosts.collect();
                self.peers = hosts
                    .ok_or_else(|| refused("peers", value, "addresses of hosts: 192.0.2.2,192.0.2.3"))?;
            }
            "peers-file" => self.peers_file = Some(absolute("peers-file", value)?),
            "key-file" => self.key_file = Some(absolute("key-file", value)?),
            "vni" | "com.docker.network.driver.overlay.vxlanid_list" => {
                let number = value.parse().ok().filter(|number| (1..1 << 24).contains(number));
                self.vni = Some(number.ok_or_else(|| refused("vni", value, "1 to 16777215"))?);
            }
            "port" => {
                let port = value.parse().ok().filter(|port| *port != 0);
                self.port = port.ok_or_else(|| refused("port", value, "a UDP port"))?;
            }
            "local" => {
                self.local = Some(host_address(value).map_err(|_| refused("local", value, ADDRESS))?);
            }
            // Docker's, which is written without a value.
            "encrypted" if value.is_empty() => self.encrypted = true,
            "encrypted" => self.encrypted = truth("encrypted", value)?,
            _ if self.switch.take(name, value)? => {}
            _ => return Err(unknown("overlay", name, KNOWN)),
        }
        Ok(())
    }

    pub(in super::super) fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = self.switch.options();
        if !self.peers.is_empty() {
            let peers: Vec<_> = self.peers.iter().map(ToString::to_string).collect();
            options.push(("peers", peers.join(",")));
        }
        options.extend(self.peers_file.iter().map(|path| ("peers-file", path.display().to_string())));
        options.extend(self.vni.map(|vni| ("vni", vni.to_string())));
        options.push(("port", self.port.to_string()));
        options.extend(self.local.map(|local| ("local", local.to_string())));
        options.extend(self.encrypted.then(|| ("encrypted", "true".to_owned())));
        options.extend(self.key_file.iter().map(|path| ("key-file", path.display().to_string())));
        options
    }

    /// The file of its secrets, if it is encrypted.
    ///
    /// # Errors
    /// [`DefinitionError::NeedsKeyFile`], [`DefinitionError::KeyFile`].
    pub(super) fn secrets(&self) -> Result<Option<&Path>, DefinitionError> {
        match (self.encrypted, &self.key_file) {
            (true, Some(path)) => Ok(Some(path)),
            (true, None) => Err(DefinitionError::NeedsKeyFile),
            (false, Some(_)) => Err(DefinitionError::KeyFile),
            (false, None) => Ok(None),
        }
    }
}

fn absolute(name: &'static str, value: &str) -> Result<PathBuf, DefinitionError> {
    match Path::new(value).is_absolute() {
        true => Ok(PathBuf::from(value)),
        false => Err(refused(name, value, PATH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let mut overlay = Overlay::default();
        for (name, value) in [
            ("peers", "192.0.2.2,192.0.2.3"),
            ("peers-file", "/run/peers"),
            ("vni", "7"),
            ("port", "8472"),
            ("local", "192.0.2.1"),
            ("mtu", "1400"),
            ("encrypted", "false"),
        ] {
            overlay.set(name, value).unwrap();
        }
        assert_eq!((overlay.peers.len(), overlay.vni, overlay.port), (2, Some(7), 8472));
        assert_eq!(overlay.switch.mtu, Some(1400));
        for (name, value, why) in [
            ("peers", "192.0.2.2,x", "addresses of hosts"),
            ("peers", "224.0.0.1", "addresses of hosts"),
            ("peers-file", "peers", "an absolute path"),
            ("vni", "0", "1 to 16777215"),
            ("vni", "16777216", "1 to 16777215"),
            ("port", "65536", "a UDP port"),
            ("local", "::", "an address of a host"),
            ("encrypted", "maybe", "true or false"),
            ("key-file", "key", "an absolute path"),
            ("parent", "eth0", "unknown to the overlay driver; there are peers"),
        ] {
            let error = overlay.set(name, value).unwrap_err().to_string();
            assert!(error.contains(why), "{name}={value}: {error}");
        }
    }

    #[test]
    fn encrypted_is_with_a_key_file() {
        let mut overlay = Overlay::default();
        assert_eq!(overlay.secrets(), Ok(None));
        overlay.set("encrypted", "").unwrap();
        let error = overlay.secrets().unwrap_err().to_string();
        assert!(error.contains("it needs -o key-file="), "{error}");
        overlay.set("key-file", "/etc/conex/mesh.key").unwrap();
        assert_eq!(overlay.secrets(), Ok(Some(Path::new("/etc/conex/mesh.key"))));
        let options = overlay.options();
        assert!(options.contains(&("encrypted", "true".to_owned())), "{options:?}");
        overlay.set("encrypted", "false").unwrap();
        assert_eq!(overlay.secrets(), Err(DefinitionError::KeyFile));
    }
}
