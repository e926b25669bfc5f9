//! `volume export`, `volume import`: a volume's files as a tar.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use conex_volume::{export, import};

use crate::{Engine, Result};

impl Engine {
    /// Writes a volume's files as a tar. Containers that have it go on.
    ///
    /// # Errors
    /// When there is no such volume, it cannot be read, or the sink takes no more.
    pub fn volume_export<W: Write>(&self, name: &str, sink: W) -> Result<W> {
        let volumes = self.parts.volumes();
        let (volume, _held) = volumes.hold(&volumes.find(name)?.name)?;
        let mount = volumes.mount(&volume)?;
        Ok(export(mount.as_fd(), sink)?)
    }

    /// Unpacks a tar, compressed or not, over what a volume has.
    ///
    /// # Errors
    /// When there is no such volume, or the archive is refused; what came before in it is there then.
    pub fn volume_import(&self, name: &str, tar: impl Read + Send) -> Result<()> {
        let volumes = self.parts.volumes();
        let (volume, _held) = volumes.hold(&volumes.find(name)?.name)?;
        let mount = volumes.mount(&volume)?;
        import(mount.as_fd(), tar)?;
        Ok(())
    }
}
