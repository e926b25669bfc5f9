//! `state`: what is known of a container, as JSON.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use conex_oci::runtime::Status;
use conex_runtime::state::Container;
use serde::Serialize;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
    }
}

/// The specification's state document, with what runc adds to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    oci_version: String,
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) status: Status,
    pub(super) bundle: PathBuf,
    rootfs: PathBuf,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

impl Report {
    /// Of a container with a record; the owner is left empty.
    pub(super) fn of(container: &Container) -> Result<Self, Error> {
        let status = container.status()?;
        let Some(record) = container.record() else {
            return Err(Error::refused("container does not exist"));
        };
        let document = record.document(status);
        Ok(Self {
            oci_version: document.oci_version,
            id: document.id,
            pid: document.pid,
            status,
            bundle: document.bundle,
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: document.annotations,
            owner: String::new(),
        })
    }

    /// With the name of whoever owns the record, from the host's list of users; `#1000` for one without a name.
    pub(super) fn with_owner(mut self, container: &Container) -> Self {
        let uid = std::fs::metadata(container.path()).map_or(0, |metadata| metadata.uid());
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        self.owner = name.unwrap_or_else(|| format!("#{uid}"));
        self
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let container = context.container(&self.words[0])?;
        let report = Report::of(&container)?;
        let text =
            serde_json::to_string_pretty(&report).map_err(|error| Error::io("print", "the state", error))?;
        crate::print(&text);
        Ok(0)
    }
}
