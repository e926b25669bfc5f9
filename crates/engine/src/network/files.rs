//! /etc/hosts and /etc/resolv.conf of a container on networks: its own names, by the addresses that it has in this run; who resolves others.

use std::path::Path;

use conex_network::Endpoint;

use super::{names::has_names, uplink};
use crate::engine::Parts;
use crate::options::HOST_GATEWAY;
use crate::store::{Record, write};
use crate::{Error, Result};

/// As `create` made it, before there were addresses.
const BASE: &str = "hosts.base";
const HOSTS: &str = "hosts";
const RESOLV_BASE: &str = "resolv.base";
const RESOLV: &str = "resolv.conf";

/// Writes the files anew, in place: they are bound into the container.
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
    if endpoints.iter().any(|endpoint| uplink::is_uplink(endpoint)) {
        // The host is not reached by the gateways of a way out, which are the host's own.
        text = text
            .lines()
            .filter(|line| !line.starts_with(HOST_GATEWAY))
            .fold(String::new(), |all, line| all + line + "\n");
    } else if let Some(gateway) = endpoints.iter().find_map(|endpoint| endpoint.gateways.first()) {
        text = text.replace(&format!("{HOST_GATEWAY}\t"), &format!("{gateway}\t"));
    }
    let short = record.hostname.split('.').next().unwrap_or_default();
    let names =
        if short == record.hostname { short.to_owned() } else { format!("{} {short}", record.hostname) };
    for (address, _) in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    overwrite(&hosts, text.as_bytes())?;
    name_servers(&directory, endpoints)
}

/// Where names resolve the resolver asks us, and nobody else: we ask the others.
fn name_servers(directory: &Path, endpoints: &[&Endpoint]) -> Result<()> {
    let (file, base) = (directory.join(RESOLV), directory.join(RESOLV_BASE));
    let has_names = endpoints.iter().any(|endpoint| has_names(endpoint));
    let server = endpoints.iter().find_map(|endpoint| uplink::name_server(endpoint));
    let text = match (write::read(&base)?, has_names) {
        (Some(text), _) => text,
        (None, false) if server.is_none() => return Ok(()),
        (None, _) => {
            let text = write::read(&file)?.unwrap_or_default();
            write::replace(directory, RESOLV_BASE, &text, write::Durability::Passing)?;
            text
        }
    };
    let text = String::from_utf8_lossy(&text);
    let has_server = text.lines().any(|line| line.starts_with("nameserver "));
    match (has_names, server) {
        (true, _) => overwrite(&file, ours(&text).as_bytes()),
        (false, Some(server)) if !has_server => {
            overwrite(&file, format!("nameserver {server}\n{text}").as_bytes())
        }
        (false, _) => overwrite(&file, text.as_bytes()),
    }
}

/// The resolver's file with our server; its search list and options stay. Names of containers have no dots, and are asked for as they are
/// before the search list is tried (`ndots:0`).
fn ours(text: &str) -> String {
    let mut out = "nameserver 127.0.0.11\n".to_owned();
    let mut options = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {}
            Some("options") => options.extend(words),
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0");
    }
    out + &format!("options {}\n", options.join(" "))
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

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn our_server_in_place_of_theirs() {
        let theirs = "nameserver 10.0.0.2\nsearch a.example\noptions edns0\nnameserver ::2\n";
        assert_eq!(ours(theirs), "nameserver 127.0.0.11\nsearch a.example\noptions edns0 ndots:0\n");
        assert_eq!(ours("options ndots:2\n"), "nameserver 127.0.0.11\noptions ndots:2\n");
    }
}
