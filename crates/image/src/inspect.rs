//! `inspect`: an image as Docker's API shows it (its `ImageInspect`), so that templates written for Docker find their fields.

use conex_oci::Reference;
use conex_oci::image::ImageConfig;
use serde_json::{Map, Value, json};

use crate::{Image, Result, Store};

impl Store {
    /// The image with Docker's field names.
    pub fn inspect(&self, image: &Image) -> Result<Value> {
        let document = &image.document;
        let names = self.names(image)?;
        let tags: Vec<String> =
            names.iter().filter(|name| name.digest().is_none()).map(Reference::familiar).collect();
        let digests: Vec<String> = self.repo_digests(image)?.iter().map(Reference::familiar).collect();
        let platform = image.platform();
        let mut value = json!({
            "Id": image.id,
            "RepoTags": tags,
            "RepoDigests": digests,
            "Parent": "",
            "Comment": document.history.last().and_then(|step| step.comment.as_deref()).unwrap_or_default(),
            "Created": document.created,
            // Docker leaves these out by now; older templates ask for them.
            "DockerVersion": "",
            "VirtualSize": self.size(image)?,
            "Author": document.author.as_deref().unwrap_or_default(),
            "Config": config(&document.config),
            "Architecture": platform.architecture,
            "Os": platform.os,
            "Size": self.size(image)?,
            "GraphDriver": self.driver(image)?,
            "RootFS": { "Type": "layers", "Layers": document.rootfs.diff_ids },
            "Metadata": { "LastTagTime": self.last_tagged(&names) },
            "Descriptor": image.target,
            "Manifest": image.manifest_digest,
        });
        if let (Some(variant), Some(fields)) = (platform.variant, value.as_object_mut()) {
            fields.insert("Variant".to_owned(), variant.into());
        }
        Ok(value)
    }

    /// Where the layers are, in Docker's terms: the topmost is the image's upper directory.
    fn driver(&self, image: &Image) -> Result<Value> {
        let mut data = Map::new();
        let mut directories = Vec::new();
        for layer in image.document.rootfs.diff_ids.iter().rev() {
            directories.extend(self.layers().lower(layer)?.map(|path| path.to_string_lossy().into_owned()));
        }
        if let Some((upper, lowers)) = directories.split_first() {
            if !lowers.is_empty() {
                data.insert("LowerDir".to_owned(), lowers.join(":").into());
            }
            data.insert("UpperDir".to_owned(), upper.clone().into());
        }
        Ok(json!({ "Name": "overlay", "Data": data }))
    }

    fn last_tagged(&self, names: &[Reference]) -> Option<String> {
        let times = names.iter().filter_map(|name| self.content().changed(name));
        let newest = times.max()?;
        Some(jiff::Timestamp::try_from(newest).ok()?.to_string())
    }
}

/// Docker's `Config`: the common fields are always there, `null` when unset.
fn config(config: &ImageConfig) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_else(|_| json!({}));
    if let Some(fields) = value.as_object_mut() {
        for name in ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"] {
            fields.entry(name).or_insert(Value::Null);
        }
        for name in ["User", "WorkingDir"] {
            fields.entry(name).or_insert_with(|| "".into());
        }
    }
    value
}
