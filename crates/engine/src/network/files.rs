//! /etc/hosts and /etc/resolv.conf of a container on networks: its own names, by the addresses that it has in this run; who resolves others.

use std::path::Path;

use conex_network::Endpoint;
use conex_network::cni::{Attachment, Resolver};

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
pub(crate) fn name_addresses(parts: &Parts, record: &Record, own: &[Endpoint]) -> Result<()> {
    let store = &parts.store;
    let directory = store.directory(&record.id);
    let attachments = store.cni().attachments_of(record.id.as_str())?;
    let endpoints: Vec<_> = own.iter().cloned().chain(attachments.iter().map(Attachment::endpoint)).collect();
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
    if endpoints.iter().any(uplink::is_uplink) {
        // The host is not reached by the gateways of a way out, which are the host's own.
        text = text
            .lines()
            .filter(|line| !line.starts_with(HOST_GATEWAY))
            .fold(String::new(), |all, line| all + line + "\n");
    } else if let Some(gateway) = endpoints.iter().find_map(|endpoint| endpoint.gateways.first()) {
        text = text.replace(&format!("{HOST_GATEWAY}\t"), &format!("{gateway}\t"));
    }
    let names = own_names(&record.hostname, record.options.namespaces.domainname.as_deref());
    for (address, _) in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    overwrite(&hosts, text.as_bytes())?;
    let has_names = own.iter().any(has_names);
    let mut theirs = resolver_of(&attachments);
    // A carrier's own, where the host has none that can be reached.
    if let Some(server) = own.iter().find_map(uplink::name_server) {
        let known = write::read(&directory.join(RESOLV_BASE))?.or(write::read(&directory.join(RESOLV))?);
        let known = String::from_utf8_lossy(known.as_deref().unwrap_or_default());
        if !known.lines().any(|line| line.starts_with("nameserver ")) {
            theirs.servers.push(server.to_string());
        }
    }
    name_servers(&directory, record, has_names, &theirs)
}

/// The full name first, which is what `hostname -f` shows.
fn own_names(hostname: &str, domain: Option<&str>) -> String {
    let full = match domain {
        Some(domain) if !domain.is_empty() => format!("{hostname}.{domain}"),
        _ => hostname.to_owned(),
    };
    match full.split_once('.') {
        Some((short, _)) => format!("{full} {short}"),
        None => full,
    }
}

/// What plugins say of who resolves names, of all networks together.
pub(super) fn resolver_of(attachments: &[Attachment]) -> Resolver {
    let mut all = Resolver::default();
    for dns in attachments.iter().map(|attachment| attachment.given().dns) {
        // Each is a word of a line.
        let words = |list: Vec<String>| list.into_iter().filter(|word| is_word(word));
        all.servers.extend(words(dns.nameservers));
        all.searches.extend(words(dns.search).chain(dns.domain.filter(|word| is_word(word))));
        all.options.extend(words(dns.options));
    }
    all
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Where names resolve the resolver asks us, and nobody else: we ask the others. Elsewhere whom plugins name, if any do; what the user
/// has given comes before them.
fn name_servers(directory: &Path, record: &Record, has_names: bool, theirs: &Resolver) -> Result<()> {
    let (file, base) = (directory.join(RESOLV), directory.join(RESOLV_BASE));
    let is_changed = has_names || *theirs != Resolver::default();
    let text = match (write::read(&base)?, is_changed) {
        (Some(text), _) => text,
        (None, false) => return Ok(()),
        (None, true) => {
            let text = write::read(&file)?.unwrap_or_default();
            write::replace(directory, RESOLV_BASE, &text, write::Durability::Passing)?;
            text
        }
    };
    if !is_changed {
        return overwrite(&file, &text);
    }
    let asked = &record.options.namespaces;
    let unless = |is_given: bool, list: &[String]| if is_given { Vec::new() } else { list.to_vec() };
    let theirs = Resolver {
        servers: unless(!asked.dns.is_empty(), &theirs.servers),
        searches: unless(!asked.dns_search.is_empty(), &theirs.searches),
        options: unless(!asked.dns_options.is_empty(), &theirs.options),
    };
    let text = merged(&String::from_utf8_lossy(&text), theirs);
    let text = if has_names { ours(&text) } else { text };
    overwrite(&file, text.as_bytes())
}

/// The resolver's file with plugins' servers, search list and options in place of the host's, each where they name any.
fn merged(text: &str, theirs: Resolver) -> String {
    let Resolver { servers, searches, options } = theirs;
    let is_replaced = |line: &str| match line.split_whitespace().next() {
        Some("nameserver") => !servers.is_empty(),
        Some("search" | "domain") => !searches.is_empty(),
        Some("options") => !options.is_empty(),
        _ => false,
    };
    let mut out: String =
        text.lines().filter(|line| !is_replaced(line)).map(|line| format!("{line}\n")).collect();
    servers.iter().for_each(|server| out.push_str(&format!("nameserver {server}\n")));
    for (keyword, words) in [("search", &searches), ("options", &options)] {
        if !words.is_empty() {
            out.push_str(&format!("{keyword} {}\n", words.join(" ")));
        }
    }
    out
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
    use super::{Resolver, merged, ours, own_names};

    #[test]
    fn the_full_name_comes_first() {
        for (hostname, domain, names) in [
            ("h1", None, "h1"),
            ("h1", Some("d.e"), "h1.d.e h1"),
            ("h1.d.e", None, "h1.d.e h1"),
            ("h1.d", Some("e"), "h1.d.e h1"),
            ("h1", Some(""), "h1"),
        ] {
            assert_eq!(own_names(hostname, domain), names);
        }
    }

    #[test]
    fn what_plugins_say_takes_the_place() {
        let host = "nameserver 10.0.0.2\nsearch a.example\noptions edns0\n";
        assert_eq!(merged(host, Resolver::default()), host);
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let theirs = Resolver { servers: list(&["10.1.0.1", "fd00::1"]), ..Resolver::default() };
        assert_eq!(
            merged(host, theirs),
            "search a.example\noptions edns0\nnameserver 10.1.0.1\nnameserver fd00::1\n"
        );
        let theirs = Resolver { searches: list(&["b.example", "c.example"]), ..Resolver::default() };
        assert_eq!(merged(host, theirs), "nameserver 10.0.0.2\noptions edns0\nsearch b.example c.example\n");
    }

    #[test]
    fn our_server_in_place_of_theirs() {
        let theirs = "nameserver 10.0.0.2\nsearch a.example\noptions edns0\nnameserver ::2\n";
        assert_eq!(ours(theirs), "nameserver 127.0.0.11\nsearch a.example\noptions edns0 ndots:0\n");
        assert_eq!(ours("options ndots:2\n"), "nameserver 127.0.0.11\noptions ndots:2\n");
    }
}
