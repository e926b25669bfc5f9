//! `ui`: the dashboard; also `top --all`.

use clap::Command;
use conex_image::Filter;

use super::{images, time};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::units::{ago, now, short_id};
use crate::terminal;
use crate::ui::{self, ImageRow};

pub(crate) const VERB: Verb = Verb {
    name: "ui",
    aliases: &[],
    about: "Show containers and images on the terminal, and act on them by keys",
    usage: "",
    arity: Arity::None,
    examples: "  conex ui
  NO_COLOR=1 conex ui",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command
}

fn run(context: &Context, _: &Given<'_>) -> Result<u8, Error> {
    show(context)
}

/// Shows the dashboard.
pub(super) fn show(context: &Context) -> Result<u8, Error> {
    if !terminal::output_is_terminal() || !terminal::input_is_terminal() {
        let reason = "the dashboard needs a terminal at standard input and output; 'conex ps' and 'conex stats' do not";
        return Err(Error::Refused(reason.to_owned()));
    }
    ui::run(context, &|| list(context))?;
    Ok(0)
}

fn list(context: &Context) -> Result<Vec<ImageRow>, Error> {
    let now = now();
    let mut rows = Vec::new();
    for image in context.images()?.list(&Filter::default())? {
        let created = image.image.document.created.as_deref().and_then(time::seconds_of);
        for name in images::names(&image, false) {
            rows.push(ImageRow {
                id: short_id(&image.id().to_string()).to_owned(),
                name: name.repository,
                tag: name.tag,
                created: created.map_or_else(|| "N/A".to_owned(), |created| ago(created, now)),
                size: image.size,
            });
        }
    }
    Ok(rows)
}
