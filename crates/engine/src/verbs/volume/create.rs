//! `volume create`, `volume inspect`

use conex_volume::{NewVolume, Volume, VolumeName};
use serde_json::{Value, json};

use crate::events::Event;
use crate::{Engine, Error, Result};

impl Engine {
    /// Makes a volume, or finds the one of that name that has the same options. Without a name it is anonymous.
    ///
    /// # Errors
    /// A name, a driver or an option that is none.
    pub fn volume_create(&self, name: Option<&str>, driver: &str, mut asked: NewVolume) -> Result<Volume> {
        if driver != "local" {
            return Err(conex_volume::Error::Driver { driver: driver.to_owned() }.into());
        }
        let name = match name {
            Some(name) => name.parse().map_err(Error::Volume)?,
            None => {
                asked.anonymous = true;
                asked.labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
                VolumeName::random()?
            }
        };
        let volumes = self.parts.volumes();
        let is_new = !volumes.directory(&name).exists();
        let volume = volumes.create(&name, &asked)?;
        if is_new {
            self.event(&Event::new("volume", "create", name.as_str()).with("driver", "local"));
        }
        Ok(volume)
    }

    /// Docker's document of a volume.
    ///
    /// # Errors
    /// When there is no such volume.
    pub fn volume_inspect(&self, name: &str) -> Result<Value> {
        let volumes = self.parts.volumes();
        let volume = volumes.find(name)?;
        let or_null = |map: &std::collections::BTreeMap<String, String>| {
            if map.is_empty() { Value::Null } else { json!(map) }
        };
        Ok(json!({
            "CreatedAt": volume.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "Driver": volume.driver,
            "Labels": or_null(&volume.labels),
            "Mountpoint": volumes.data(&volume.name),
            "Name": volume.name,
            "Options": or_null(&volume.options),
            "Scope": "local",
        }))
    }

    /// Whether there is such a volume.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn volume_exists(&self, name: &str) -> Result<bool> {
        match self.parts.volumes().find(name) {
            Err(conex_volume::Error::NotFound { .. }) => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }
}
