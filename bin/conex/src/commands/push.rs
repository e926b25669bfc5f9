//! `push`

use clap::Command;
use conex_image::Pushed;
use conex_oci::Reference;

use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{output, progress};

pub(crate) const VERB: Verb = Verb {
    name: "push",
    aliases: &[],
    about: "Upload an image to a registry",
    usage: "NAME[:TAG]",
    arity: Arity::Exactly(1),
    examples: "  conex push registry.example.com/app:1.0
  conex push --all-tags registry.example.com/app",
    unsupported: &["--disable-content-trust"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("all-tags").short('a').help("Push all tags of an image to the repository"),
        flag("quiet").short('q').help("Suppress verbose output"),
        value("platform", "string").help("Push a platform-specific manifest as a single-platform image"),
        one("image"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let typed = given.argument("image");
    let reference: Reference = typed.parse()?;
    let platform = given.parsed("platform", str::parse)?;
    let (quiet, all) = (given.on("quiet"), given.on("all-tags"));
    let has_tag = typed.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if all && has_tag {
        return Err(Error::Refused("tag can't be used with --all-tags/-a".to_owned()));
    }
    let store = context.images()?;
    let references = if all { store.tags_here(&reference)? } else { vec![reference.clone()] };
    if references.is_empty() {
        let name = reference.familiar_name();
        return Err(Error::Refused(format!(
            "an image does not exist locally with the name {name}; 'conex images' lists them"
        )));
    }
    if !quiet {
        if !all && !has_tag && reference.digest().is_none() {
            output::line("Using default tag: latest")?;
        }
        let name = format!("{}/{}", reference.registry(), reference.repository());
        output::line(format!("The push refers to repository [{name}]"))?;
    }
    let client = context.registries();
    for reference in &references {
        let shown = progress::of_push(quiet);
        let pushed = store.push(&client, reference, platform.as_ref(), &*shown)?;
        drop(shown);
        context.image_event("push", reference.familiar(), reference.familiar_name());
        if quiet {
            output::line(reference.to_string())?;
        } else {
            tell(reference, &pushed, platform.is_some())?;
        }
    }
    Ok(0)
}

/// Docker's last lines.
fn tell(reference: &Reference, pushed: &Pushed, asked: bool) -> Result<(), Error> {
    let target = &pushed.target;
    output::line(format!(
        "{}: digest: {} size: {}",
        reference.tag().unwrap_or_default(),
        target.digest,
        target.size
    ))?;
    if let Some(index) = pushed.part_of.filter(|_| !asked) {
        output::note(format!(
            "\nNot all multiplatform-content is present and only the available single-platform image was pushed\n{index} \
             -> {}",
            target.digest
        ));
    }
    Ok(())
}
