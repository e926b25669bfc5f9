//! The images that an `index.json` names.

use conex_content::{Content, Lease};
use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, media_type};

use super::intake::{Failure, Intake};
use super::{Found, IMAGES, Refusal, naming};

/// All of them, each target once, with the names that its entries give it.
pub(super) fn images(
    content: &Content,
    intake: &Intake,
    lease: &Lease,
    stem: Option<&str>,
) -> Result<Vec<Found>, Failure> {
    let Some(index) = intake.parsed::<ImageIndex>("index.json")? else { return Ok(Vec::new()) };
    if index.manifests.len() > IMAGES {
        return Err(Refusal::TooMany { what: "images", limit: IMAGES }.into());
    }
    if is_one_image(&index) {
        // Tools that write one image for several platforms may put them here, without an index of their own.
        let bytes = intake.bytes("index.json").unwrap_or_default();
        lease.add(&Digest::of(bytes))?;
        let target = Descriptor::new(media_type::INDEX, content.put(bytes)?, bytes.len() as u64);
        return Ok(vec![Found { target, names: Vec::new() }]);
    }
    let mut images: Vec<Found> = Vec::new();
    for entry in index.manifests.iter().filter(|entry| entry.is_index() || entry.is_manifest()) {
        if !content.has(&entry.digest) {
            return Err(Refusal::MissingBlob { digest: entry.digest }.into());
        }
        let names = naming::names(entry, stem);
        match images.iter_mut().find(|found| found.target.digest == entry.digest) {
            Some(found) => {
                let new: Vec<_> = names.into_iter().filter(|name| !found.names.contains(name)).collect();
                found.names.extend(new);
            }
            None => {
                let target = Descriptor { annotations: None, ..entry.clone() };
                images.push(Found { target, names });
            }
        }
    }
    Ok(images)
}

/// Several nameless manifests, each for a platform of its own.
fn is_one_image(index: &ImageIndex) -> bool {
    let manifests = &index.manifests;
    manifests.len() > 1
        && manifests.iter().all(|entry| {
            entry.is_manifest()
                && entry.platform.is_some()
                && entry.annotation(naming::CONTAINERD_NAME).is_none()
                && entry.annotation(conex_content::REF_NAME).is_none()
                && manifests.iter().filter(|other| other.platform == entry.platform).count() == 1
        })
}
