//! Which authorities are trusted: those of the system, so that private ones work; Mozilla's, compiled in, on a machine
//! that has none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Where distributions keep all authorities in one file.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
    "/etc/ssl/cert.pem",                  // Alpine, BSDs
];

/// The most that is read of one file of certificates, in bytes.
const LIMIT: u64 = 16 << 20;

/// The roots of this machine, and more for one registry.
pub(crate) fn system_and(more: &[Certificate<'static>]) -> RootCerts {
    match system() {
        roots if more.is_empty() => roots,
        RootCerts::Specific(roots) => {
            let all: Vec<_> = roots.iter().chain(more).map(Certificate::to_owned).collect();
            RootCerts::new_with_certs(&all)
        }
        // A machine without any: those that were put there for the registry are all that it means to trust.
        _ => RootCerts::new_with_certs(more),
    }
}

/// The roots of this machine. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the usual places, as with OpenSSL.
fn system() -> RootCerts {
    let named = (std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR"));
    let certificates = match named {
        (None, None) => BUNDLES.iter().map(|path| read(Path::new(path))).find(|found| !found.is_empty()),
        (file, directories) => Some(from_environment(file, directories)),
    };
    match certificates {
        // What the user has named is all that is trusted, even when nothing is found there.
        Some(certificates) => RootCerts::new_with_certs(&certificates),
        None => RootCerts::WebPki,
    }
}

fn from_environment(file: Option<OsString>, directories: Option<OsString>) -> Vec<Certificate<'static>> {
    let mut found = file.map(|file| read(Path::new(&file))).unwrap_or_default();
    for directory in directories.iter().flat_map(std::env::split_paths) {
        found.extend(files_of(&directory).iter().flat_map(|file| read(file)));
    }
    found
}

fn files_of(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory);
    if let Err(error) = &entries {
        log::warn!("cannot read certificates in {}: {error}", directory.display());
    }
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// The certificates of a PEM file; anything else in it, and a file that is not there, is nothing.
pub(crate) fn read(path: &Path) -> Vec<Certificate<'static>> {
    use std::io::Read;
    let mut pem = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut pem));
    if let Err(error) = read {
        log::debug!("no certificates in {}: {error}", path.display());
        return Vec::new();
    }
    parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}
