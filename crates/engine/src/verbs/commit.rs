//! `commit`: a container's writable layer on top of its image's layers, as a new image.

use conex_cgroup::Cgroup;
use conex_image::configure::configure;
use conex_image::{Image, NewImage};
use conex_oci::image::ImageConfig;
use conex_oci::{ContainerId, Reference};

use super::inspect::{declared_volumes, program};
use super::inspect_network::exposed;
use crate::events::Subject;
use crate::options::signal_name;
use crate::store::{ContainerState, Record};
use crate::supervise::wire::Request;
use crate::{Attachment, Engine, Result};

/// What `commit` takes.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// `--author`
    pub author: Option<String>,
    /// `--message`
    pub message: Option<String>,
    /// `--change`: instructions in Dockerfile syntax.
    pub changes: Vec<String>,
    /// `--pause`: a running container is frozen while its files are copied.
    pub pause: bool,
    /// The image's name.
    pub reference: Option<Reference>,
}

impl Engine {
    /// Makes an image of what the container has written. Its configuration is the image's with what the container was
    /// started with, and then with the changes.
    ///
    /// # Errors
    /// A change that cannot be made; files that no layer can hold; a container that is removed meanwhile.
    pub fn commit(&self, id: &ContainerId, options: &CommitOptions) -> Result<Image> {
        let committed = self.commit_leased(id, options);
        if committed.is_err()
            && let Err(error) = self.parts.images.collect()
        {
            log::warn!("cannot collect what is not needed: {error}");
        }
        committed
    }

    fn commit_leased(&self, id: &ContainerId, options: &CommitOptions) -> Result<Image> {
        let images = &self.parts.images;
        let opened = self.open_writable(id)?;
        let mut config = config(&opened.record, &opened.image.document.config);
        configure(&mut config, options.changes.iter().map(String::as_str))
            .map_err(|source| crate::Error::Change { source })?;
        let lease = images.content().lease().map_err(conex_image::Error::from)?;
        let held = if options.pause { self.hold(id, &opened.record)? } else { None };
        let layer = images.write_layer(&lease, |sink| {
            let (_, filled) = opened.writable().layer(sink).map_err(conex_image::Error::from)?;
            self.still_there(id)?;
            Ok::<_, crate::Error>(filled)
        })?;
        drop(held);
        let image = images.assemble(
            &lease,
            NewImage {
                base: Some(&opened.image),
                layer,
                config,
                platform: opened.image.platform(),
                author: options.author.clone(),
                comment: options.message.clone(),
                created_by: Some(opened.record.command.join(" ")),
                reference: options.reference.as_ref(),
            },
        )?;
        let event = Subject::from(&opened.record).event("commit").with("imageID", image.id);
        let comment = options.message.as_deref().unwrap_or_default();
        let reference = options.reference.as_ref().map(ToString::to_string).unwrap_or_default();
        self.parts.event(&event.with("comment", comment).with("imageRef", reference));
        Ok(image)
    }

    fn has_group(&self, record: &Record) -> Result<bool> {
        Ok(Cgroup::open(self.parts.host()?, &record.cgroup)?.exists())
    }

    /// Freezes a running container until the answer is dropped, or this process ends in whatever way.
    fn hold(&self, id: &ContainerId, record: &Record) -> Result<Option<Hold>> {
        match self.parts.store.state(id)? {
            Some(ContainerState::Running(_)) if !self.has_group(record)? => {
                log::warn!(
                    "container {}: it has no control group to be paused by, and goes on meanwhile",
                    id.short()
                );
                Ok(None)
            }
            Some(ContainerState::Running(_)) => Ok(self.ask_live(id, &Request::Hold)?.map(Hold)),
            _ => Ok(None),
        }
    }
}

/// A container that is frozen.
struct Hold(Attachment);

impl Drop for Hold {
    fn drop(&mut self) {
        // It goes on before anything else happens, and not some time after the connection is closed. It may also have
        // ended meanwhile.
        if let Err(error) = self.0.ask(&Request::Release) {
            log::debug!("{error}");
        }
    }
}

/// The image's configuration with what the container was started with. Triggers were for the images that are built from
/// this one's base, as Docker has it.
fn config(record: &Record, image: &ImageConfig) -> ImageConfig {
    let options = &record.options;
    let (entrypoint, cmd) = program(record, image);
    let mut env = image.env.clone();
    crate::spec::merge_env(&mut env, &options.process.env);
    let supervision = &options.supervision;
    ImageConfig {
        user: options.process.user.clone().unwrap_or_else(|| image.user.clone()),
        env,
        entrypoint,
        cmd,
        working_dir: options.process.workdir.clone().unwrap_or_else(|| image.working_dir.clone()),
        labels: record.labels.clone(),
        stop_signal: match supervision.stop_signal {
            Some(signal) => Some(signal_name(signal).unwrap_or_else(|| signal.to_string())),
            None => image.stop_signal.clone(),
        },
        exposed_ports: exposed(&image.exposed_ports, &options.ports),
        volumes: declared_volumes(record, image),
        healthcheck: record.health.as_ref().map(|check| check.config.clone()),
        on_build: None,
        ..image.clone()
    }
}
