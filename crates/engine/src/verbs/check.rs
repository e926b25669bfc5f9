//! `system check`: the store, and what containers need of it.

use conex_image::{CheckOptions, Report, Tenant, Tenants};

use crate::store::record::Summary;
use crate::store::write;
use crate::{Engine, Error, Result};

impl Engine {
    /// Reads the whole store and, if it is asked to, mends it. `advance` hears how many bytes more have been read.
    ///
    /// # Errors
    /// When the store or the list of containers cannot be read at all.
    pub fn check(&self, options: &CheckOptions<'_>, advance: &(dyn Fn(u64) + Sync)) -> Result<Report> {
        self.parts.images.check(options, || self.tenants(), advance)
    }

    /// All containers with their images; those that cannot be asked apart.
    fn tenants(&self) -> Result<Tenants> {
        let store = &self.parts.store;
        let mut tenants = Tenants::default();
        for id in store.ids()? {
            let state = store.state(&id);
            let path = store.directory(&id).join("config.json");
            match write::read_json::<Summary>(&path) {
                Ok(Some(summary)) => {
                    // One that cannot be told may run.
                    let is_live = state.map_or(true, |state| state.is_some_and(|state| state.is_live()));
                    let tenant =
                        |typed, image| Tenant { name: summary.name.to_string(), typed, image, is_live };
                    let mounted = summary.images.into_iter().map(|other| tenant(other.source, other.image));
                    tenants.known.extend(mounted);
                    tenants.known.push(tenant(summary.image, summary.image_id));
                }
                // The rest of one.
                Ok(None) => {}
                Err(Error::Document { source, .. }) => {
                    tenants.unknown.push((id.short().to_owned(), format!("config.json: {source}")));
                }
                Err(error) => tenants.unknown.push((id.short().to_owned(), error.to_string())),
            }
        }
        Ok(tenants)
    }
}
