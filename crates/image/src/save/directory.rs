//! An OCI layout in a directory. One that is there already is added to: an entry of the same name is replaced.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use conex_archive::HashingReader;
use conex_content::{DOCUMENT_LIMIT, REF_NAME};
use conex_oci::image::{ImageIndex, ImageLayout};
use conex_oci::{Descriptor, Digest};

use super::archive::json;
use super::plan::Plan;
use crate::{Error, Result, Store};

pub(super) fn write(store: &Store, plan: &Plan, directory: &Path) -> Result<()> {
    let known = existing(directory)?;
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|source| Error::WriteLayout { path: blobs.clone(), source })?;
    for digest in plan.blobs.keys() {
        copy(store, digest, &blobs)?;
    }
    let new = &plan.index.manifests;
    let name = |entry: &Descriptor| entry.annotation(REF_NAME).map(str::to_owned);
    let mut manifests: Vec<Descriptor> = known
        .into_iter()
        .filter(|old| {
            !new.iter().any(|entry| entry == old || (name(entry).is_some() && name(entry) == name(old)))
        })
        .collect();
    manifests.extend(new.iter().cloned());
    let index = ImageIndex { manifests, ..plan.index.clone() };
    replace(&directory.join("index.json"), &json(&index))?;
    // Last: with it the directory is a layout.
    replace(&directory.join("oci-layout"), &json(&ImageLayout::default()))
}

/// The entries of the layout that is there; none in a new or empty directory.
fn existing(directory: &Path) -> Result<Vec<Descriptor>> {
    let failed = |source| Error::WriteLayout { path: directory.to_owned(), source };
    let not_a_layout = || Error::NotALayout { path: directory.to_owned() };
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(not_a_layout()),
        Err(error) => return Err(failed(error)),
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(Vec::new());
            }
        }
    }
    if !directory.join("oci-layout").is_file() {
        return Err(not_a_layout());
    }
    let mut bytes = Vec::new();
    let file = File::open(directory.join("index.json")).map_err(|_| not_a_layout())?;
    file.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|_| not_a_layout())?;
    Ok(index.manifests)
}

fn copy(store: &Store, digest: &Digest, blobs: &Path) -> Result<()> {
    let path = blobs.join(digest.hex());
    if path.exists() {
        return Ok(());
    }
    let failed = |source| Error::WriteLayout { path: path.clone(), source };
    let partial = blobs.join(format!(".{}.{}", digest.hex(), std::process::id()));
    let mut reader = HashingReader::new(store.content().reader(digest)?);
    let copied = File::create(&partial).and_then(|mut file| io::copy(&mut reader, &mut file));
    let found = copied.and_then(|_| reader.finish());
    match found {
        Ok((found, _)) if found == *digest => fs::rename(&partial, &path).map_err(failed),
        found => {
            // The first error is the one to tell.
            let _ = fs::remove_file(&partial);
            let (found, _) = found.map_err(failed)?;
            let found = format!("its bytes have {found}");
            Err(conex_content::Error::Corrupt { digest: *digest, found }.into())
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| Error::WriteLayout { path: path.to_owned(), source })
}
