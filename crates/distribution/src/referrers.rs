//! What refers to a manifest: found by looking at all manifests of the repository.

use conex_http::{Head, Response};
use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, media_type};

use crate::api::{Answer, Api};
use crate::manifests::Shape;
use crate::repository::Repository;

impl Api {
    pub(crate) fn referrers(&self, repository: &Repository, subject: &Digest, head: &Head) -> Answer {
        let wanted = head.query("artifactType").filter(|kind| !kind.is_empty());
        let mut found = Vec::new();
        for manifest in repository.manifests(&self.content)? {
            let Ok(shape) = self.content.document::<Shape>(&manifest) else { continue };
            if shape.subject.as_ref().is_none_or(|about| about.digest != *subject) {
                continue;
            }
            let kind = shape.artifact_type.or(shape.config.map(|config| config.media_type));
            if wanted.is_none_or(|wanted| kind.as_deref() == Some(wanted)) {
                found.push(Descriptor {
                    artifact_type: kind,
                    annotations: shape.annotations,
                    ..Descriptor::new(manifest.media_type, manifest.digest, manifest.size)
                });
            }
        }
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: found,
            annotations: None,
        };
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        let response = Response::new(200).bytes(media_type::INDEX, bytes);
        Ok(if wanted.is_some() { response.with("OCI-Filters-Applied", "artifactType") } else { response })
    }
}
