//! /etc/hosts of a container on networks: its own names, by the addresses that it has in this run.

use std::path::Path;

use conex_network::Endpoint;

use crate::engine::Parts;
use crate::options::HOST_GATEWAY;
use crate::store::{Record, write};
use crate::{Error, Result};

/// As `create` made it, before there were addresses.
const BASE: &str = "hosts.base";
const HOSTS: &str = "hosts";

/// Writes the file anew, in place: it is bound into the container.
pub(crate) fn name_addresses(parts: &Parts, record: &Record, endpoints: &[&Endpoint]) -> Result<()> {
    let directory = parts.store.directory(&record.id);
    let (hosts, base) = (directory.join(HOSTS), directory.join(BASE));
    let text = match write::read(&base)? {
        Some(text) => text,
        None => {
            let text = write::read(&hosts)?.unwrap_or_default();
            write::replace(&directory, BASE, &text, write::Durability::Passing)?;
            text
        }
    };
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if let Some(gateway) = endpoints.iter().find_map(|endpoint| endpoint.gateways.first()) {
        text = text.replace(&format!("{HOST_GATEWAY}\t"), &format!("{gateway}\t"));
    }
    let short = record.hostname.split('.').next().unwrap_or_default();
    let names =
        if short == record.hostname { short.to_owned() } else { format!("{} {short}", record.hostname) };
    for (address, _) in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    overwrite(&hosts, text.as_bytes())
}

/// The same file with other bytes.
fn overwrite(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let written = std::fs::File::options()
        .write(true)
        .truncate(true)
        .custom_flags(nofollow)
        .open(path)
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}
