//! From an index to the manifest for one platform.

use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Platform};

use super::{Pull, Refusal};
use crate::Result;

/// How deep indexes may list indexes. Digests make a loop impossible, but not a long chain.
const DEPTH: u32 = 3;
/// How many documents one choice may cost.
const DOCUMENTS: usize = 16;

impl Pull<'_> {
    /// The manifest for the platform that is wanted.
    pub(super) fn choose(&self, target: &Descriptor, index: &ImageIndex) -> Result<Descriptor> {
        let host = Platform::host();
        let wanted = self.platform.unwrap_or(&host);
        let mut manifests = Vec::new();
        let mut documents = DOCUMENTS;
        self.gather(index, DEPTH, &mut documents, &mut manifests)?;
        if let Some(chosen) = best(&manifests, wanted) {
            return Ok(chosen.clone());
        }
        // Entries need not say where they run; a single one is taken at its configuration's word.
        let mut unsaid = manifests.iter().filter(|manifest| manifest.platform.is_none());
        if let (Some(only), None) = (unsaid.next(), unsaid.next()) {
            return Ok(only.clone());
        }
        log::debug!("{} has nothing for {wanted}", target.digest);
        if let Some(first) = manifests.first().filter(|_| self.whole) {
            return Ok(first.clone());
        }
        Err(self.refuse(Refusal::Platform { wanted: wanted.clone(), available: listed(&manifests) }))
    }

    fn gather(
        &self,
        index: &ImageIndex,
        depth: u32,
        documents: &mut usize,
        found: &mut Vec<Descriptor>,
    ) -> Result<()> {
        for child in &index.manifests {
            if child.is_manifest() && !is_attestation(child) {
                found.push(child.clone());
            } else if child.is_index() {
                if depth == 0 || *documents == 0 {
                    return Err(self.refuse(Refusal::Nested));
                }
                *documents -= 1;
                let bytes = self.document(child)?;
                self.gather(&self.index(child, &bytes)?, depth - 1, documents, found)?;
            }
        }
        Ok(())
    }
}

/// The first that fits exactly, else the first that serves.
fn best<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let serves = |manifest: &&Descriptor| manifest.platform.as_ref().is_some_and(|p| p.serves(wanted));
    let exact =
        |manifest: &&Descriptor| manifest.platform.as_ref().is_some_and(|p| p.variant == wanted.variant);
    let mut fitting = manifests.iter().filter(serves);
    fitting.clone().find(exact).or_else(|| fitting.next())
}

/// BuildKit puts provenance into an index as a manifest for no platform.
fn is_attestation(child: &Descriptor) -> bool {
    child.annotation("vnd.docker.reference.type").is_some()
        || child.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

/// A few of the platforms, for a message. The registry's text: clipped, and nothing a terminal would obey.
fn listed(manifests: &[Descriptor]) -> String {
    const SHOWN: usize = 12;
    let clean = |text: String| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let platforms = manifests.iter().filter_map(|manifest| manifest.platform.as_ref());
    let mut shown: Vec<String> = platforms.map(|platform| clean(platform.to_string())).take(SHOWN).collect();
    match manifests.len() {
        0 => return "nothing that could run".to_owned(),
        more if more > SHOWN => shown.push("…".to_owned()),
        _ => {}
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::{Digest, media_type};

    fn manifest(platform: &str) -> Descriptor {
        let digest = Digest::of(platform.as_bytes());
        let platform = platform.parse().ok();
        Descriptor { platform, ..Descriptor::new(media_type::MANIFEST, digest, 1) }
    }

    #[test]
    fn the_exact_variant_goes_first() {
        let manifests = ["linux/arm/v6", "linux/arm", "linux/arm/v7", "linux/amd64"].map(manifest);
        let chosen = |wanted: &str| best(&manifests, &wanted.parse().unwrap()).cloned();
        assert_eq!(chosen("linux/arm/v7"), Some(manifests[2].clone()));
        assert_eq!(chosen("linux/arm"), Some(manifests[1].clone()));
        assert_eq!(chosen("linux/amd64"), Some(manifests[3].clone()));
        assert_eq!(chosen("linux/s390x"), None);
        // What serves without being exact.
        assert_eq!(chosen("linux/arm/v5"), Some(manifests[1].clone()));
    }

    #[test]
    fn a_list_of_platforms_is_short_and_harmless() {
        let mut evil = manifest("linux/amd64");
        evil.platform.as_mut().unwrap().architecture = "\x1b[31m".to_owned() + &"x".repeat(1000);
        let text = listed(&vec![evil; 100]);
        assert!(text.len() < 1000 && !text.contains('\x1b'), "{text}");
        assert_eq!(listed(&[]), "nothing that could run");
    }
}
