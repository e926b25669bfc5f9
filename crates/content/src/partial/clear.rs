//! Clearing away of halves that nobody goes on with.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::pieces::map_of;
use crate::{Content, Error, Result};

/// How long nobody may have gone on with half a blob before it is cleared away beside other work.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

impl Content {
    /// Removes half blobs and uploads that nobody is going on with: all, or those of more than a day ago.
    pub fn clear_partials(&self, all: bool) -> Result<()> {
        let directory = self.temporary_directory();
        let Ok(entries) = fs::read_dir(&directory) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(rest) = name.strip_prefix("partial-").or(name.strip_prefix("upload-")) else { continue };
            let path = entry.path();
            if let Some(hex) = rest.strip_suffix(".map") {
                // One whose blob is gone.
                if !directory.join(format!("partial-{hex}")).exists() {
                    let _ = fs::remove_file(&path);
                }
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let touched =
                file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let old = SystemTime::now().duration_since(touched).is_ok_and(|age| age > AGE);
            if all || old {
                let _ = fs::remove_file(map_of(&path));
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::Remove { path, source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
