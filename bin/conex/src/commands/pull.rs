//! `pull`

use clap::Command;
use conex_image::{Pulled, Store};
use conex_oci::{Platform, Reference};
use conex_registry::Client;

use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::progress::{self, Shown};
use crate::{images, output};

pub(crate) const VERB: Verb = Verb {
    name: "pull",
    aliases: &[],
    about: "Download an image from a registry",
    usage: "NAME[:TAG|@DIGEST]",
    arity: Arity::Exactly(1),
    examples: "  conex pull alpine:3.20
  conex pull --platform linux/arm64 registry.example.com:5000/app@sha256:…
  conex pull --all-platforms --format json alpine:3.20",
    unsupported: &["--disable-content-trust"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("all-tags").short('a').help("Download all tagged images in the repository"),
        flag("all-platforms").help("Download all platforms of a multi-platform image"),
        flag("quiet").short('q').help("Suppress verbose output"),
        value("platform", "string").help("Set platform if server is multi-platform capable"),
        value("format", "string").help("How to tell progress: 'json' writes a line a message, for programs"),
        one("image"),
    ])
}

/// What is asked of each tag.
struct Asked {
    platform: Option<Platform>,
    whole: bool,
    shown: Shown,
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let typed = given.argument("image");
    let reference: Reference = typed.parse()?;
    let asked = Asked {
        platform: given.parsed("platform", str::parse)?,
        whole: given.on("all-platforms"),
        shown: match (given.filled("format"), given.on("quiet")) {
            (Some("json"), _) => Shown::Json,
            (None, true) => Shown::Nothing,
            (None, false) => Shown::Words,
            (Some(other), _) => {
                return Err(Error::usage(format!("unknown format {other:?} for progress (expected json)")));
            }
        },
    };
    if asked.whole && asked.platform.is_some() {
        return Err(Error::usage("--platform and --all-platforms are mutually exclusive"));
    }
    let done = if given.on("all-tags") {
        all_tags(context, typed, &reference, &asked)
    } else {
        single(context, typed, &reference, &asked)
    };
    if let (Shown::Json, Err(error)) = (asked.shown, &done) {
        progress::tell_error(&error.to_string());
    }
    done.map(|()| 0)
}

fn single(context: &Context, typed: &str, reference: &Reference, asked: &Asked) -> Result<(), Error> {
    let (store, client) = (context.images()?, context.registries());
    let implied =
        reference.digest().is_none() && reference.tag() == Some("latest") && !typed.ends_with(":latest");
    if asked.shown == Shown::Words && implied {
        output::line("Using default tag: latest")?;
    }
    let pulled = pull(&store, &client, reference, asked)?;
    context.image_event("pull", reference.familiar(), reference.familiar_name());
    tell(&pulled, reference, asked)?;
    if asked.shown != Shown::Json {
        output::line(reference.to_string())?;
    }
    Ok(())
}

fn all_tags(context: &Context, typed: &str, reference: &Reference, asked: &Asked) -> Result<(), Error> {
    if reference.digest().is_some() || typed.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(Error::Refused("tag can't be used with --all-tags/-a".to_owned()));
    }
    let (store, client) = (context.images()?, context.registries());
    let tags = client.tags(reference)?;
    let mut updated = false;
    for tag in &tags {
        let tagged: Reference =
            format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse()?;
        let pulled = pull(&store, &client, &tagged, asked)?;
        context.image_event("pull", tagged.familiar(), tagged.familiar_name());
        updated |= pulled.updated;
        match asked.shown {
            Shown::Words => output::line(format!("Digest: {}", pulled.digest))?,
            Shown::Json => progress::tell_status(&format!("Digest: {}", pulled.digest)),
            Shown::Nothing => {}
        }
    }
    let name = reference.familiar_name();
    let status = match updated {
        true => format!("Status: Downloaded newer image for {name}"),
        false => format!("Status: Image is up to date for {name}"),
    };
    match asked.shown {
        Shown::Words => output::line(status)?,
        Shown::Json => progress::tell_status(&status),
        Shown::Nothing => {}
    }
    if asked.shown != Shown::Json {
        output::line(format!("{}/{}", reference.registry(), reference.repository()))?;
    }
    Ok(())
}

fn pull(store: &Store, client: &Client, reference: &Reference, asked: &Asked) -> Result<Pulled, Error> {
    let shown = progress::of_pull(asked.shown);
    Ok(match asked.whole {
        true => store.pull_whole(client, reference, &*shown)?,
        false => store.pull_with(client, reference, asked.platform.as_ref(), &*shown)?,
    })
}

fn tell(pulled: &Pulled, reference: &Reference, asked: &Asked) -> Result<(), Error> {
    let lines = [format!("Digest: {}", pulled.digest), images::status(pulled, reference)];
    for line in lines {
        match asked.shown {
            Shown::Words => output::line(line)?,
            Shown::Json => progress::tell_status(&line),
            Shown::Nothing => {}
        }
    }
    Ok(())
}
