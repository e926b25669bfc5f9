//! `image prune`, `container prune` and `system prune`: what nobody uses goes, after a question.
//!
//! What cannot be removed is told of in one line, and the rest goes on.

use std::io::Read;

use clap::Command;
use conex_engine::filter::{invalid, known};
use conex_engine::{Engine, NetworkFilter, VolumeFilter};
use conex_image::{PruneFilter, PruneOptions, Removed};

use super::time;
use crate::cli::args::{flag, list};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::units::sum;
use crate::output;

pub(crate) const IMAGE: Verb = Verb {
    name: "prune",
    aliases: &[],
    about: "Remove unused images",
    usage: "",
    arity: Arity::None,
    examples: "  conex image prune -f
  conex image prune --all --filter until=24h --filter label!=keep",
    unsupported: &[],
    failure: 1,
    define: |command| {
        shared(command).arg(flag("all").short('a').help("Remove all unused images, not just dangling ones"))
    },
    run: image,
};

pub(crate) const CONTAINER: Verb = Verb {
    about: "Remove all stopped containers",
    examples: "  conex container prune --filter until=10m",
    define: shared,
    run: container,
    ..IMAGE
};

pub(crate) const SYSTEM: Verb = Verb {
    about: "Remove unused data",
    examples: "  conex system prune -a -f --volumes\n  conex system prune --filter label=stage=test",
    define: |command| {
        shared(command).args([
            flag("all").short('a').help("Remove all unused images not just dangling ones"),
            flag("volumes").help("Prune anonymous volumes"),
        ])
    },
    run: system,
    ..IMAGE
};

fn shared(command: Command) -> Command {
    command.args([
        flag("force").short('f').help("Do not prompt for confirmation"),
        list("filter", "filter")
            .help("Provide filter values (until=<timestamp>, label=<key>=<value>, label!=…)"),
    ])
}

const ALL_IMAGES: &str = "all images without at least one container associated to them";
const DANGLING_IMAGES: &str = "all dangling images";
const CONTAINERS: &str = "all stopped containers";
const NETWORKS: &str = "all networks not used by at least one container";
const SURE: &str = "Are you sure you want to continue?";

fn image(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let all = given.on("all");
    let filter = filter(given, Some(!all))?;
    let what = if all { ALL_IMAGES } else { DANGLING_IMAGES };
    if !confirmed(given, &format!("WARNING! This will remove {what}.\n{SURE}"))? {
        return Ok(0);
    }
    let bytes = images(&context.engine()?, &PruneOptions { all, filter })?;
    total(bytes)
}

fn container(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let filter = filter(given, None)?;
    if !confirmed(given, &format!("WARNING! This will remove {CONTAINERS}.\n{SURE}"))? {
        return Ok(0);
    }
    let bytes = containers(&context.engine()?, &filter)?;
    total(bytes)
}

fn system(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let all = given.on("all");
    let filter = filter(given, None)?;
    let images_too = if all { ALL_IMAGES } else { DANGLING_IMAGES };
    let mut question =
        format!("WARNING! This will remove:\n  - {CONTAINERS}\n  - {NETWORKS}\n  - {images_too}\n");
    let volumes_too = given.on("volumes");
    if volumes_too {
        question += "  - all anonymous volumes not used by at least one container\n";
        if filter.until.is_some() {
            let why = "the \"until\" filter is not supported with \"--volumes\"";
            return Err(Error::Refused(why.to_owned()));
        }
    }
    let mut filters: Vec<&str> = given.texts("filter").collect();
    if !filters.is_empty() {
        filters.sort_unstable();
        question += "\n  Items to be pruned will be filtered with:\n";
        filters.iter().for_each(|filter| question += &format!("  - {filter}\n"));
    }
    if !confirmed(given, &format!("{question}\n{SURE}"))? {
        return Ok(0);
    }
    let engine = context.engine()?;
    // Containers first: their networks, volumes and images may go with them.
    let mut bytes = containers(&engine, &filter)?;
    networks(&engine, &filter)?;
    if volumes_too {
        let mut labels = VolumeFilter::default();
        given.texts("filter").try_for_each(|text| labels.add(text))?;
        bytes += super::volume::volumes(&engine, &labels, false)?;
    }
    engine.collect_attachments()?.iter().for_each(output::warning);
    total(bytes + images(&engine, &PruneOptions { all, filter })?)
}

/// Asks on standard output, as Docker does. Anything but a `y` is a no, and no error.
pub(super) fn confirmed(given: &Given<'_>, question: &str) -> Result<bool, Error> {
    if given.on("force") {
        return Ok(true);
    }
    output::text(&format!("{question} [y/N] "))?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the line is not ours.
    for byte in std::io::stdin().lock().bytes().take(256) {
        match byte {
            Ok(b'\n') | Err(_) => break,
            Ok(byte) => answer.push(byte),
        }
    }
    Ok(answer.trim_ascii().eq_ignore_ascii_case(b"y"))
}

/// Bytes that were freed.
fn images(engine: &Engine, options: &PruneOptions) -> Result<u64, Error> {
    let pruned = engine.prune_images(options)?;
    let mut lines = String::new();
    for removed in &pruned.removed {
        match removed {
            Removed::Untagged { name, .. } => lines += &format!("untagged: {name}\n"),
            Removed::Deleted(id) => lines += &format!("deleted: {id}\n"),
        }
    }
    section("Deleted Images:", &lines)?;
    pruned.left.iter().for_each(output::warning);
    Ok(pruned.bytes)
}

/// Bytes that were freed.
fn containers(engine: &Engine, filter: &PruneFilter) -> Result<u64, Error> {
    let pruned = engine.prune_containers(filter)?;
    let lines: String = pruned.removed.iter().map(|id| format!("{id}\n")).collect();
    section("Deleted Containers:", &lines)?;
    for (id, error) in &pruned.left {
        output::warning(format!("container {} is left: {error}", id.short()));
    }
    Ok(pruned.bytes)
}

/// The same filter in networks' terms.
fn networks(engine: &Engine, filter: &PruneFilter) -> Result<(), Error> {
    let mut wanted = NetworkFilter::default();
    for (key, labels) in [("label", &filter.labels), ("label!", &filter.without)] {
        for (name, value) in labels {
            let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
            wanted.add(&format!("{key}={name}{value}"))?;
        }
    }
    let limit = filter.until.map(|until| i64::try_from(until / 1_000_000_000).unwrap_or(i64::MAX));
    let gone = engine.network_prune(&wanted, limit)?;
    let lines: String = gone.iter().map(|name| format!("{name}\n")).collect();
    section("Deleted Networks:", &lines)
}

fn section(heading: &str, lines: &str) -> Result<(), Error> {
    if lines.is_empty() { Ok(()) } else { output::text(&format!("{heading}\n{lines}\n")) }
}

fn total(bytes: u64) -> Result<u8, Error> {
    output::line(format!("Total reclaimed space: {}", sum(bytes)))?;
    Ok(0)
}

/// Of images also `dangling=`, which can only say what `--all` says.
fn filter(given: &Given<'_>, dangling: Option<bool>) -> Result<PruneFilter, Error> {
    let keys: &[&str] = match dangling {
        Some(_) => &["dangling", "label", "label!", "until"],
        None => &["label", "label!", "until"],
    };
    let mut filter = PruneFilter::default();
    let mut until = None;
    for text in given.texts("filter") {
        let (key, value) = known(text, keys)?;
        let label = || match value.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (value.clone(), None),
        };
        match key.as_str() {
            "until" => {
                filter.until = Some(time::filter(text, &value)?);
                if until.replace(value.clone()).is_some_and(|other| other != value) {
                    return Err(invalid(text, "more than one until filter specified").into());
                }
            }
            "label" => filter.labels.push(label()),
            "label!" => filter.without.push(label()),
            _ => {
                let wanted = flag_of(text, &value)?;
                if dangling.is_some_and(|dangling| wanted != dangling) {
                    let why = "--all prunes the others too, and without it only dangling images go";
                    return Err(invalid(text, why).into());
                }
            }
        }
    }
    Ok(filter)
}

/// A filter's value that is on or off.
pub(super) fn flag_of(filter: &str, value: &str) -> Result<bool, Error> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(filter, "expected true or false").into()),
    }
}
