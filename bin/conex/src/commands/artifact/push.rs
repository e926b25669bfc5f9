//! `artifact push`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use conex_oci::Reference;
use conex_registry::{ArtifactFile, ArtifactOptions, Client, Delivery};

use crate::cli::args::{flag, list, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "push",
    aliases: &[],
    about: "Upload files to a registry as an artifact",
    usage: "NAME[:TAG] [FILE[:TYPE]...]",
    arity: Arity::AtLeast(1),
    examples: "  conex artifact push --artifact-type application/vnd.example.sbom registry.example.com/app:sbom sbom.json:application/json
  conex artifact push --subject registry.example.com/app:1.0 registry.example.com/app signature.bin",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("artifact-type", "type").help("What the files are together (a media type)"),
        list("annotation", "key=value").short('a').help("Annotate the manifest"),
        value("subject", "reference").help("Attach the artifact to this image of the same repository"),
        flag("quiet").short('q').help("Print only the digest"),
        one("name"),
        Arg::new("file").num_args(0..).action(ArgAction::Append).value_name("FILE[:TYPE]"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let typed = given.argument("name");
    let reference: Reference = typed.parse()?;
    if reference.digest().is_some() {
        return Err(Error::Refused("cannot push to a digest reference (name a tag)".to_owned()));
    }
    let client = context.registries();
    let subject = given.parsed("subject", |text| subject(&client, &reference, text))?;
    // Attached to something, an artifact needs no tag of its own.
    let tagged = typed.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let attached = subject.is_some() && !tagged;
    let files: Vec<ArtifactFile> = given.texts("file").map(file).collect();
    if files.is_empty() && subject.is_none() {
        return Err(Error::Refused("no file to push was named".to_owned()));
    }
    let options = ArtifactOptions {
        artifact_type: given.filled("artifact-type").map(str::to_owned),
        annotations: annotations(given)?,
        subject,
    };
    let quiet = given.on("quiet");
    let tell = |name: &str, descriptor: &conex_oci::Descriptor, how: &Delivery| {
        if !quiet {
            let word = if *how == Delivery::Exists { "Exists  " } else { "Uploaded" };
            output::note(format!("{word} {} {name}", descriptor.digest.short()));
        }
    };
    let pushed = client.push_artifact(&reference, attached, &files, &options, &tell)?;
    if quiet {
        output::line(pushed.manifest.digest.to_string())?;
    } else {
        let named = if attached { reference.with_digest(pushed.manifest.digest) } else { reference };
        output::line(format!("Pushed {named}"))?;
        output::line(format!("Digest: {}", pushed.manifest.digest))?;
    }
    Ok(0)
}

fn subject(client: &Client, reference: &Reference, text: &str) -> Result<conex_oci::Descriptor, Error> {
    let subject: Reference = text.parse()?;
    let place = |reference: &Reference| (reference.registry().to_owned(), reference.repository().to_owned());
    if place(&subject) != place(reference) {
        return Err(Error::Refused(format!(
            "the subject {} is in another repository than {}",
            subject.familiar(),
            reference.familiar_name()
        )));
    }
    Ok(client.resolve(&subject)?.descriptor)
}

/// `FILE[:TYPE]`; a media type has a slash, so a colon in a file's name is no trouble.
fn file(text: &str) -> ArtifactFile {
    match text.rsplit_once(':') {
        Some((path, kind)) if kind.contains('/') && !path.is_empty() => {
            ArtifactFile { path: PathBuf::from(path), media_type: Some(kind.to_owned()) }
        }
        _ => ArtifactFile { path: PathBuf::from(text), media_type: None },
    }
}

fn annotations(given: &Given<'_>) -> Result<BTreeMap<String, String>, Error> {
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::usage(format!("invalid annotation {text:?}: expected KEY=VALUE"))),
    };
    given.texts("annotation").map(pair).collect()
}
