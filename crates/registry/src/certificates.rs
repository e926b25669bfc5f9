//! `certs.d`: a directory a registry (`HOST[:PORT]`), with the authorities that it is checked against (`*.crt`) and what
//! we show it (`*.cert` with its `*.key`), as Docker and podman have them (containers-certs.d(5)).

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PrivateKey};

use crate::roots;

/// The most that is read of a key, in bytes.
const LIMIT: u64 = 1 << 20;

/// What one registry's directory holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostCertificates {
    /// More authorities, for this registry alone.
    pub(crate) authorities: Vec<Certificate<'static>>,
    /// Who we are.
    pub(crate) client: Option<ClientCert>,
}

/// The usual places, a user's own last: the first that has a directory for a host counts.
pub(crate) fn usual_places() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let mut places: Vec<PathBuf> = config
        .into_iter()
        .flat_map(|directory| [directory.join("containers/certs.d"), directory.join("docker/certs.d")])
        .collect();
    places.extend(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from));
    places
}

/// What there is for `host`; nothing when no place has a directory for it.
pub(crate) fn find(places: &[PathBuf], host: &str) -> io::Result<Option<HostCertificates>> {
    // A host of an address: never a path that leads elsewhere.
    if host.contains('/') || host.starts_with('.') {
        return Ok(None);
    }
    let Some(directory) = places.iter().map(|place| place.join(host)).find(|directory| directory.is_dir())
    else {
        return Ok(None);
    };
    let named = |error: io::Error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("cannot use certificates in {}: {error}", directory.display()),
        )
    };
    read(&directory).map(Some).map_err(named)
}

fn read(directory: &Path) -> io::Result<HostCertificates> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut found = HostCertificates::default();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let authorities = roots::read(&file);
                if authorities.is_empty() {
                    return Err(io::Error::other(format!("{} holds no certificate", name(&file))));
                }
                found.authorities.extend(authorities);
            }
            Some("cert") => {
                let key = file.with_extension("key");
                let chain = roots::read(&file);
                if chain.is_empty() {
                    return Err(io::Error::other(format!("{} holds no certificate", name(&file))));
                }
                found.client = Some(ClientCert::new_with_certs(&chain, private_key(&key)?));
            }
            Some("key") if !file.with_extension("cert").exists() => {
                return Err(io::Error::other(format!("{} has no .cert beside it", name(&file))));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn private_key(path: &Path) -> io::Result<PrivateKey<'static>> {
    let mut pem = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut pem));
    read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", name(path))))?;
    // The parser's own words may quote the file.
    PrivateKey::from_pem(&pem).map_err(|_| io::Error::other(format!("{} holds no private key", name(path))))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_by_name() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        assert!(find(&places, "r.example:5000").unwrap().is_none());
        assert!(find(&places, "..").unwrap().is_none());
        let directory = place.path().join("r.example:5000");
        fs::create_dir(&directory).unwrap();
        assert!(find(&places, "r.example:5000").unwrap().is_some());
        fs::write(directory.join("client.key"), "secret").unwrap();
        let error = find(&places, "r.example:5000").unwrap_err().to_string();
        assert!(error.contains("client.key has no .cert"), "{error}");
        fs::write(directory.join("ca.crt"), "nothing").unwrap();
        let error = find(&places, "r.example:5000").unwrap_err().to_string();
        assert!(error.contains("ca.crt holds no certificate"), "{error}");
    }
}
