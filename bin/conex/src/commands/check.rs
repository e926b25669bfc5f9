//! `system check`: what is damaged in the store, and what mends it.

use clap::Command;
use conex_image::{CheckOptions, Cure, Finding, Outcome, Report};
use serde_json::{Value, json};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::{Error, one_line};
use crate::format::listing::{Column, Format, Row};
use crate::format::units::sum;
use crate::{output, progress};

pub(crate) const VERB: Verb = Verb {
    name: "check",
    aliases: &[],
    about: "Find damage in the store of images, and mend it",
    usage: "",
    arity: Arity::None,
    examples: "  conex system check
  conex system check --repair --pull
  conex system check --quick --format json || echo damaged",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const COLUMNS: &[Column] =
    &[("Kind", "KIND"), ("Name", "NAME"), ("Problem", "PROBLEM"), ("Repair", "REPAIR"), ("State", "STATE")];
const TABLE: &str = "{{.Kind}}\t{{.Name}}\t{{.Problem}}\t{{.Repair}}";

fn define(command: Command) -> Command {
    command.args([
        flag("repair").short('r').help("Mend what can be mended; no container is removed"),
        flag("pull")
            .help("With --repair: fetch what is missing from the registries that the images came from"),
        flag("force").short('f').help("With --repair: drop the references that nothing mends"),
        flag("quick").short('q').help("Look at names and sizes only, and read no layers"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let text = given.filled("format").unwrap_or("table");
    let format = Format::parse(text, TABLE)?;
    let repair = given.on("repair");
    for name in ["pull", "force"] {
        if given.on(name) && !repair {
            return Err(Error::usage(format!("--{name} is part of a repair; give --repair too")));
        }
    }
    let engine = context.engine()?;
    let client = given.on("pull").then(|| context.registries());
    let options =
        CheckOptions { quick: given.on("quick"), repair, pull: client.as_ref(), force: given.on("force") };
    let bar = match options.quick {
        true => progress::reading(0),
        false => progress::reading(engine.images().bytes_to_check()?),
    };
    let report = engine.check(&options, &|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    let is_table = text == "table";
    let rows: Vec<Value> = report.findings.iter().map(|finding| row(finding, !is_table)).collect();
    if !(is_table && rows.is_empty()) {
        let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
        output::text(&format.render(COLUMNS, rows)?)?;
    }
    if is_table {
        output::line(summary(&report, &options))?;
    }
    Ok(u8::from(report.is_damaged()))
}

fn row(finding: &Finding, full: bool) -> Value {
    let state = match (&finding.outcome, finding.is_damage()) {
        (Outcome::Mended(_), _) => "mended",
        (_, true) => "damaged",
        (_, false) => "noted",
    };
    json!({
        "Kind": finding.subject.kind(),
        "Name": if full { finding.subject.name() } else { finding.subject.short() },
        "Problem": one_line(&finding.problem()),
        "NeededBy": finding.needed_by,
        "Repair": one_line(&finding.repair()),
        "State": state,
    })
}

fn summary(report: &Report, options: &CheckOptions<'_>) -> String {
    let damaged = report.findings.iter().filter(|finding| finding.is_damage()).count();
    let mended =
        report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Mended(_))).count();
    let is_curable = report.findings.iter().any(|finding| {
        finding.is_damage() && !matches!(finding.cure, Cure::Fetch | Cure::Leave | Cure::Wait)
    });
    let count = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let directories = match report.unchecked {
        0 => String::new(),
        count => format!(" ({count} as directories, whose contents are not checked)"),
    };
    let mut text = format!(
        "{} {} ({}), {}{directories}, {}: ",
        if options.quick { "Looked at" } else { "Read" },
        count(report.blobs, "blob"),
        sum(report.bytes),
        count(report.layers, "layer"),
        count(report.references, "reference"),
    );
    text += &match (damaged, mended) {
        (0, 0) => "sound".to_owned(),
        (0, mended) => format!("{mended} mended, sound"),
        (damaged, 0) if !options.repair && is_curable => {
            format!("{damaged} damaged ('conex system check --repair' mends what it can)")
        }
        (damaged, 0) => format!("{damaged} damaged"),
        (damaged, mended) => format!("{mended} mended, {damaged} damaged"),
    };
    text
}
