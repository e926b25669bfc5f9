//! Bringing an image that a container needs: from the binary itself, or from its registry.

use conex_engine::events::{Event, note};
use conex_image::{Error as ImageError, Pulled, Store};
use conex_oci::{Platform, Reference};

use crate::errors::Error;
use crate::{output, progress};

/// Whether the image is not here.
pub(crate) fn is_missing(store: &Store, image: &str, platform: Option<&Platform>) -> bool {
    matches!(store.resolve(image, platform), Err(ImageError::NotFound { .. } | ImageError::Platform { .. }))
}

/// Brings an image that is missing.
///
/// # Errors
/// A name that is none, a registry that does not have it or is not to be reached.
pub(crate) fn provide(
    store: &Store,
    image: &str,
    platform: Option<&Platform>,
    quiet: bool,
) -> Result<(), Error> {
    let reference: Reference = image.parse()?;
    if !quiet {
        output::note(format!("Unable to find image '{}' locally", reference.familiar()));
    }
    fetch(store, image, platform, quiet)
}

/// Pulls, with progress on standard error: standard output is the container's.
///
/// # Errors
/// As [`provide`].
pub(crate) fn fetch(
    store: &Store,
    image: &str,
    platform: Option<&Platform>,
    quiet: bool,
) -> Result<(), Error> {
    let reference: Reference = image.parse()?;
    let pulled = pull(store, &reference, platform, quiet)?;
    if !quiet {
        output::note(format!("Digest: {}", pulled.digest));
        output::note(status(&pulled, &reference));
    }
    Ok(())
}

/// Pulls an image and shows how it goes.
pub(crate) fn pull(
    store: &Store,
    reference: &Reference,
    platform: Option<&Platform>,
    quiet: bool,
) -> Result<Pulled, Error> {
    let shown = progress::start(quiet);
    let pulled = store.pull(reference, platform, &*shown)?;
    let event = Event::new("image", "pull", reference.familiar().to_string());
    note(store.root(), &event.with("name", reference.familiar_name()));
    Ok(pulled)
}

/// Docker's last line of a pull.
pub(crate) fn status(pulled: &Pulled, reference: &Reference) -> String {
    if pulled.updated {
        format!("Status: Downloaded newer image for {}", reference.familiar())
    } else {
        format!("Status: Image is up to date for {}", reference.familiar())
    }
}
