//! `events`: what has happened, and what happens from now on.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Command;
use conex_engine::events::{Event, EventFilter};
use conex_engine::time::Time;
use serde_json::{Value, json};

use super::{shapes, time};
use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::Template;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "events",
    aliases: &[],
    about: "Get real time events of containers, images, networks and volumes",
    usage: "",
    arity: Arity::None,
    examples: "  conex events --filter container=web --filter event=die
  conex events --since 1h --until 0s
  conex events --format '{{.Time}} {{.Action}} {{.Actor.Attributes.name}}'",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        list("filter", "filter")
            .short('f')
            .help("Filter output based on conditions provided (container=, event=, type=, label=, …)"),
        value("format", "string").help("Format output using a custom template: 'json', 'TEMPLATE'"),
        value("since", "string").help("Show all events created since timestamp"),
        value("until", "string").help("Stream events until this timestamp"),
        flag("stream")
            .help("Stream events and do not exit when returning the last known event (default true)"),
        flag("no-stream").help("Show the events that are kept, and end"),
        flag("no-trunc").help("Do not truncate the output (it never is)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let since = given.parsed("since", |text| time::parse("since", text))?;
    let until = given.parsed("until", |text| time::parse("until", text))?;
    let ends = given.on("no-stream") || given.switch("stream") == Some(false);
    let form = match given.filled("format") {
        None => Form::Line,
        Some("json" | "{{json .}}") => Form::Json,
        Some(text) => Form::Template(Template::parse(text)?),
    };
    let mut filter = EventFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    let engine = context.engine()?;
    let failed = |source| Error::Refused(format!("cannot read the events: {source}"));
    let mut events = engine.events()?;
    // As with Docker, a question about the past is answered from all that is kept.
    if since.is_none() && until.is_none() && !ends {
        events.skip_all().map_err(failed)?;
    }
    // What is written in between is read, as it comes after what was passed over.
    if !ends {
        events.watch().map_err(failed)?;
    }
    loop {
        while let Some(event) = events.next_event().map_err(failed)? {
            let at = i128::from(event.time_nano);
            if until.is_some_and(|until| at > until) {
                continue;
            }
            if since.is_none_or(|since| at >= since) && filter.passes(&event) {
                show(&event, &form)?;
            }
        }
        let left = until.map(|until| until - i128::from(Time::now().0));
        match left {
            _ if ends => return Ok(0),
            Some(left) if left <= 0 => return Ok(0),
            Some(left) => {
                let left = Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX));
                events.wait(Some(left)).map_err(failed)?;
            }
            None => events.wait(None).map_err(failed)?,
        }
    }
}

enum Form {
    Line,
    Json,
    Template(Template),
}

fn show(event: &Event, form: &Form) -> Result<(), Error> {
    match form {
        Form::Line => output::line(line(event)),
        Form::Json => output::line(serde_json::to_string(event).unwrap_or_default()),
        Form::Template(template) => output::line(template.render_shaped(&fields(event), &shapes::EVENT)?),
    }
}

/// `2026-11-27T10:00:00.123456789Z container start 0123… (image=alpine, name=web)`
fn line(event: &Event) -> String {
    let Event { kind, action, actor, time_nano, .. } = event;
    let attributes: Vec<String> =
        actor.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!(" ({})", attributes.join(", ")),
    };
    let text = format!("{} {kind} {action} {}{attributes}", Time(*time_nano).padded(), actor.id);
    // A label with a newline is no second event.
    output::visible(&text, &['\t']).into_owned()
}

/// Docker's names in templates, and those of Podman's that say something else.
fn fields(event: &Event) -> Value {
    let of = |name: &str| event.actor.attributes.get(name).cloned().unwrap_or_default();
    let attributes: &BTreeMap<String, String> = &event.actor.attributes;
    json!({
        "Status": if event.status.is_empty() { &event.action } else { &event.status },
        "ID": event.actor.id,
        "From": event.from,
        "Type": event.kind,
        "Action": event.action,
        "Actor": { "ID": event.actor.id, "Attributes": attributes },
        "Scope": event.scope,
        "Time": event.time,
        "TimeNano": event.time_nano,
        "Name": of("name"),
        "Image": of("image"),
        "Attributes": attributes,
    })
}
