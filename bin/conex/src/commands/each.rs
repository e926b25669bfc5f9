//! The same for each thing that is named: one that fails is told, and does not keep the others from it.

use conex_engine::Engine;
use conex_oci::ContainerId;

use crate::cli::{Context, Given};
use crate::errors::Error;
use crate::output;

/// Prints the line that `act` gives for each, if any, or its error, and goes on. 1 when one failed.
pub(super) fn each<T>(
    things: impl IntoIterator<Item = T>,
    act: impl Fn(T) -> Result<Option<String>, Error>,
) -> Result<u8, Error> {
    let mut code = 0;
    for thing in things {
        match act(thing) {
            Ok(Some(line)) => output::line(line)?,
            Ok(None) => {}
            Err(error) => {
                error.tell();
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Does the same to each container named; prints the name, or the error, and goes on. 1 when one failed.
pub(super) fn each_container(
    context: &Context,
    given: &Given<'_>,
    act: impl Fn(&Engine, &ContainerId) -> Result<(), Error>,
) -> Result<u8, Error> {
    let engine = context.engine()?;
    each(given.texts("container"), |name| {
        act(&engine, &engine.find(name)?)?;
        Ok(Some(name.to_owned()))
    })
}
