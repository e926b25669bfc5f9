//! Who is on which network: a file each, there from before the first plugin runs until the last has deleted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AddResult, Cni, CniError, List, Request};
use crate::definition::NetworkName;
use crate::endpoint::Endpoint;
use crate::store::is_at;

/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// How files end that mean nothing yet.
const TEMPORARY: &str = ".new";

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's id.
    pub container: String,
    /// When it was begun; what is added last is deleted first.
    pub since: jiff::Timestamp,
    /// The network as it was then: its file may have changed.
    pub list: List,
    /// What was asked for.
    pub request: Request,
    /// What the last plugin has said; none until all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Map<String, Value>>,
}

impl Attachment {
    /// What was given.
    pub fn given(&self) -> AddResult {
        // It was read when it came.
        self.result.as_ref().and_then(|result| AddResult::of(result).ok()).unwrap_or_default()
    }

    /// As an endpoint, for who only looks.
    pub fn endpoint(&self) -> Endpoint {
        let (given, request) = (self.given(), &self.request);
        let mac = given.inside(&request.device).and_then(|device| {
            let bytes = device.mac.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
            bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
        });
        // Not the addresses of the host's own devices.
        let is_inside = |place: Option<i64>| match place.and_then(|place| usize::try_from(place).ok()) {
            Some(place) => given.interfaces.get(place).is_none_or(|device| !device.sandbox.is_empty()),
            None => true,
        };
        let ips = || given.ips.iter().filter(|ip| is_inside(ip.interface));
        Endpoint {
            network: self.list.name.clone(),
            network_id: self.list.id(),
            device: request.device.clone(),
            host_device: given.outside().map(|device| device.name.clone()).unwrap_or_default(),
            mac: mac.unwrap_or_default(),
            addresses: ips().map(|ip| (ip.address.addr(), ip.address.prefix_len())).collect(),
            gateways: ips().filter_map(|ip| ip.gateway).collect(),
            aliases: request.aliases.clone(),
            ports: request.ports.clone(),
        }
    }
}

impl Cni {
    /// The attachments of a container, in the order in which they were made.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn attachments_of(&self, container: &str) -> Result<Vec<Attachment>, CniError> {
        let prefix = format!("{container}.");
        let mut found = self.read_all(|name| name.starts_with(&prefix))?;
        // Ids of others' containers have dots.
        found.retain(|attachment| attachment.container == container);
        Ok(found)
    }

    /// All attachments, in the order in which they were made.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn attachments(&self) -> Result<Vec<Attachment>, CniError> {
        self.read_all(|_| true)
    }

    /// The networks that containers are or were on.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn used(&self) -> Result<Vec<NetworkName>, CniError> {
        let names = entries(&self.attachments)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn read_all(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Attachment>, CniError> {
        let mut found = Vec::new();
        for network in self.used()? {
            let directory = self.directory(&network);
            for name in entries(&directory)?
                .into_iter()
                .filter(|name| !name.starts_with('.') && name.ends_with(".json") && is_wanted(name))
            {
                let path = directory.join(&name);
                let bytes = match fs::read(&path) {
                    Ok(bytes) => bytes,
                    // Deleted meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(CniError::file("read", &path)(error)),
                };
                match serde_json::from_slice::<Attachment>(&bytes) {
                    Ok(attachment) => found.push(attachment),
                    // A power cut's: what it was about is for GC.
                    Err(error) => log::warn!("{} is damaged: {error}", path.display()),
                }
            }
        }
        found.sort_by_key(|attachment| attachment.since);
        Ok(found)
    }

    /// Writes it down, whole or not at all.
    pub(super) fn write(&self, attachment: &Attachment) -> Result<(), CniError> {
        let path = self.path(attachment);
        let temporary =
            self.directory(&attachment.list.name).join(format!(".{}{TEMPORARY}", attachment.container));
        let text = serde_json::to_vec(attachment).expect("an attachment is JSON");
        let write = || {
            File::create(&temporary)?.write_all(&text)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(CniError::file("write", &path))
    }

    pub(super) fn forget(&self, attachment: &Attachment) -> Result<(), CniError> {
        for path in [self.path(attachment), self.turn_path(attachment)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CniError::file("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A lock on an attachment, a file that is also the standard input of plugins about it: so a plugin whose owner was killed holds it
    /// until it has ended, and nobody deletes what it is about to add. One that does not end is not waited for longer than it may take.
    pub(super) fn turn(&self, attachment: &Attachment) -> Result<File, CniError> {
        let path = self.turn_path(attachment);
        let fail = |source| CniError::file("lock", &path)(source);
        let until = Instant::now() + self.settings.timeout;
        loop {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path).map_err(fail)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Who had it before may have removed it.
                Ok(()) if is_at(&file, &path) => return Ok(file),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    log::warn!("{}: a plugin of a killed owner does not end", path.display());
                    return Ok(file);
                }
                Err(errno) => return Err(fail(errno.into())),
            }
        }
    }

    fn turn_path(&self, attachment: &Attachment) -> PathBuf {
        let Attachment { container, request, list, .. } = attachment;
        self.directory(&list.name).join(format!(".{container}.{}.lock", request.device))
    }

    /// Removes what killed writers have left; nobody writes meanwhile.
    pub(super) fn clear_temporaries(&self, network: &NetworkName) -> Result<(), CniError> {
        let directory = self.directory(network);
        for name in entries(&directory)?.iter().filter(|name| name.ends_with(TEMPORARY)) {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(CniError::file("remove", &path))?;
        }
        Ok(())
    }

    /// Whether it is on record.
    pub(super) fn is_known(&self, attachment: &Attachment) -> bool {
        self.path(attachment).exists()
    }

    /// `ROOT/cni/<network>`
    pub(super) fn directory(&self, network: &NetworkName) -> PathBuf {
        self.attachments.join(network.as_str())
    }

    fn path(&self, attachment: &Attachment) -> PathBuf {
        let Attachment { container, request, list, .. } = attachment;
        self.directory(&list.name).join(format!("{container}.{}.json", request.device))
    }
}

fn entries(directory: &Path) -> Result<Vec<String>, CniError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CniError::file("read", directory)(error)),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
