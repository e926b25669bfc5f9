//! `inspect`, of containers, images, volumes, networks and pods; also `container inspect` and `image inspect`.

use clap::Command;
use conex_engine::Engine;
use conex_image::Store;
use serde_json::Value;

use super::document::{format, show_all, template};
use super::shapes;
use crate::cli::args::{flag, many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::shape::Shape;

pub(crate) const VERB: Verb = Verb {
    name: "inspect",
    aliases: &[],
    about: "Return low-level information on containers, images, volumes, networks and pods",
    usage: "NAME|ID [NAME|ID...]",
    arity: Arity::AtLeast(1),
    examples: "  conex inspect web
  conex inspect -f '{{.State.Status}} {{.State.ExitCode}}' web
  conex inspect -f '{{range .Mounts}}{{println .Source .Destination}}{{end}}' web",
    unsupported: &[],
    failure: 1,
    define: |command| {
        shared(command).args([
            value("type", "string")
                .help("Only inspect objects of the given type (container, image, volume, network, pod)"),
            flag("size").short('s').help("Display total file sizes if the type is container"),
        ])
    },
    run: |context, given| run(context, given, given.filled("type")),
};

pub(crate) const CONTAINER: Verb = Verb {
    name: "inspect",
    about: "Display detailed information on one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    define: |command| shared(command).arg(flag("size").short('s').help("Display total file sizes")),
    run: |context, given| run(context, given, Some("container")),
    ..VERB
};

pub(crate) const IMAGE: Verb = Verb {
    name: "inspect",
    about: "Display detailed information on one or more images",
    usage: "IMAGE [IMAGE...]",
    examples: "  conex image inspect -f '{{json .Config.Env}}' alpine:3.20",
    define: |command| {
        shared(command).arg(value("platform", "string").help("Inspect a specific platform of the image"))
    },
    run: |context, given| run(context, given, Some("image")),
    ..VERB
};

fn shared(command: Command) -> Command {
    command.args([format(), many("name")])
}

/// What is looked for under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Container,
    Image,
    Volume,
    Network,
    Pod,
}

fn run(context: &Context, given: &Given<'_>, kind: Option<&str>) -> Result<u8, Error> {
    let kind = match kind {
        None => Kind::Any,
        Some("container") => Kind::Container,
        Some("image") => Kind::Image,
        Some("volume") => Kind::Volume,
        Some("network") => Kind::Network,
        Some("pod") => Kind::Pod,
        Some(other @ ("node" | "plugin" | "secret" | "service" | "task" | "config")) => {
            return Err(Error::Refused(format!(
                "--type {other} is not supported; use container, image, volume, network or pod"
            )));
        }
        Some(other) => {
            return Err(Error::Refused(format!(
                "{other:?} is not a valid value for --type; use container, image, volume, network or pod"
            )));
        }
    };
    let template = template(given)?;
    let (engine, images) = (context.engine()?, context.images()?);
    show_all(template.as_ref(), given.texts("name"), |name| look(&engine, &images, name, kind, given))
}

fn look(
    engine: &Engine,
    images: &Store,
    name: &str,
    kind: Kind,
    given: &Given<'_>,
) -> Result<(Value, &'static Shape), Error> {
    if kind == Kind::Volume {
        return Ok((engine.volume_inspect(name)?, &shapes::VOLUME));
    }
    if kind == Kind::Pod {
        return Ok((engine.inspect_pod(&engine.find_pod(name)?)?, &shapes::POD));
    }
    if matches!(kind, Kind::Any | Kind::Container) {
        match engine.find(name) {
            Ok(id) => return Ok((engine.inspect(&id, given.on("size"))?, &shapes::CONTAINER)),
            Err(conex_engine::Error::NoSuchContainer { .. }) if kind == Kind::Any => {}
            Err(error) => return Err(error.into()),
        }
    }
    if kind == Kind::Network {
        return Ok((engine.network_inspect(name)?, &shapes::NETWORK));
    }
    let platform = if kind == Kind::Image { given.parsed("platform", str::parse)? } else { None };
    match images.resolve(name, platform.as_ref()) {
        Ok(image) => Ok((images.inspect(&image)?, &shapes::IMAGE)),
        // A name that no image can have is another object's all the same.
        Err(error) if kind == Kind::Any => {
            if let Ok(value) = engine.network_inspect(name) {
                return Ok((value, &shapes::NETWORK));
            }
            if engine.volume_exists(name).unwrap_or(false) {
                return Ok((engine.volume_inspect(name)?, &shapes::VOLUME));
            }
            match error {
                conex_image::Error::NotFound { .. } => {
                    let known = "neither a container or pod, nor an image, nor a network, nor a volume";
                    Err(Error::Refused(format!("no such object: {name} ({known})")))
                }
                error => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
