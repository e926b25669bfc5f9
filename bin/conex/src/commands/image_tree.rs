//! `image tree`: what each layer of an image adds, hides and wastes.

use std::collections::HashMap;

use clap::{Arg, ArgAction, Command};
use conex_image::Image;
use conex_image::contents::{Contents, Event, EventKind, LayerSummary, Wasted};
use serde_json::{Value, json};

use super::document::pretty;
use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::{ellipsis, size};
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "tree",
    aliases: &[],
    about: "Show what each layer of an image adds, changes, hides and wastes",
    usage: "IMAGE [PATH...]",
    arity: Arity::AtLeast(1),
    examples: "  conex image tree app:1
  conex image tree --wasted app:1
  conex image tree --layer 3 app:1
  conex image tree app:1 /etc/passwd",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

const LAYERS: &[Column] = &[
    ("Layer", "LAYER"),
    ("Size", "SIZE"),
    ("Added", "ADDED"),
    ("Changed", "CHANGED"),
    ("Deleted", "DELETED"),
    ("Hides", "HIDES"),
    ("Wasted", "WASTED"),
    ("CreatedBy", "CREATED BY"),
];
const FILES: &[Column] = &[
    ("Change", "CHANGE"),
    ("Size", "SIZE"),
    ("Layer", "LAYER"),
    ("From", "FROM"),
    ("HiddenBy", "HIDDEN BY"),
    ("Path", "PATH"),
];
const WASTED: &[Column] =
    &[("Size", "SIZE"), ("Layer", "LAYER"), ("HiddenBy", "HIDDEN BY"), ("How", "HOW"), ("Path", "PATH")];

fn define(command: Command) -> Command {
    command.args([
        value("layer", "number").help("List what this layer does, file by file (1 is the lowest)"),
        flag("wasted").help("List files that later layers hide, the largest first"),
        flag("no-trunc").help("Don't truncate output"),
        value("format", "string").help("Format output: 'json' gives one document with all that is asked for"),
        value("platform", "string").help("Show the image of this platform (os/arch[/variant])"),
        one("image"),
        Arg::new("path").num_args(0..).action(ArgAction::Append).value_name("PATH"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let as_json = match given.filled("format") {
        None => false,
        Some("json") => true,
        Some(other) => return Err(Error::usage(format!("invalid --format {other:?}; expected json"))),
    };
    let layer = given.parsed("layer", |text| {
        text.parse::<usize>().map_err(|_| {
            Error::usage(format!("invalid argument {text:?} for \"--layer\" flag: expected a number from 1"))
        })
    })?;
    let platform = given.parsed("platform", str::parse)?;
    let images = context.images()?;
    let image = images.resolve(given.argument("image"), platform.as_ref())?;
    let _lease = images.lease(&image)?;
    let count = image.manifest.layers.len();
    if let Some(layer) = layer.filter(|layer| !(1..=count).contains(layer)) {
        return Err(Error::Refused(format!("image {} has no layer {layer}; it has {count}", image.name())));
    }
    let contents = images.contents(&image)?;
    let mut shown = Shown {
        image: &image,
        layers: contents.layers(),
        visible: contents.visible(),
        files: None,
        wasted: None,
    };
    let paths: Vec<&str> = given.texts("path").collect();
    if !paths.is_empty() {
        let mut events = Vec::new();
        for path in paths {
            let origin = contents.origin(path.as_bytes());
            if origin.is_empty() {
                return Err(Error::Refused(format!("no layer of {} has anything at {path}", image.name())));
            }
            events.extend(origin);
        }
        shown.files = Some(events);
    } else if let Some(layer) = layer {
        shown.files = Some(contents.layer(layer));
    }
    if given.on("wasted") {
        shown.wasted = Some(contents.wasted());
    }
    if as_json {
        output::line(pretty(&shown.document()))?;
    } else {
        output::text(&shown.text(given.on("no-trunc"))?)?;
    }
    Ok(0)
}

/// All that is asked for.
struct Shown<'a> {
    image: &'a Image,
    layers: Vec<LayerSummary>,
    /// Files and bytes.
    visible: (u64, u64),
    files: Option<Vec<Event>>,
    wasted: Option<Vec<Wasted>>,
}

impl Shown<'_> {
    /// The command that made each layer, as far as the image says.
    fn commands(&self) -> Vec<&str> {
        let steps = self.image.document.history.iter().filter(|step| !step.empty_layer);
        let told = steps.map(|step| step.created_by.as_deref().unwrap_or_default());
        told.chain(std::iter::repeat("")).take(self.layers.len()).collect()
    }

    fn totals(&self) -> (u64, u64) {
        self.layers.iter().fold((0, 0), |(bytes, wasted), layer| (bytes + layer.bytes, wasted + layer.wasted))
    }

    fn text(&self, full: bool) -> Result<String, Error> {
        let table = |columns: &[Column], rows: &[Value]| -> Result<String, Error> {
            let template: Vec<String> = columns.iter().map(|(name, _)| format!("{{{{.{name}}}}}")).collect();
            let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
            Ok(Format::parse("table", &template.join("\t"))?.render(columns, rows)?)
        };
        match (&self.files, &self.wasted) {
            (Some(files), _) => return table(FILES, &files.iter().map(file_row).collect::<Vec<_>>()),
            (None, Some(wasted)) => return table(WASTED, &wasted.iter().map(wasted_row).collect::<Vec<_>>()),
            (None, None) => {}
        }
        let (bytes, wasted) = self.totals();
        let percent = 100.0 * Contents::efficiency(&self.layers);
        let mut out = format!(
            "Image:       {} ({})\nFiles:       {}, {}\nLayers:      {}, {}\nEfficiency:  {percent:.1}%, {} wasted\n\n",
            output::visible(&self.image.name(), &[]),
            self.image.id.short(),
            self.visible.0,
            size(self.visible.1),
            self.layers.len(),
            size(bytes),
            size(wasted),
        );
        let commands = self.commands();
        let rows = self.layers.iter().zip(&commands).enumerate().map(|(number, (layer, command))| {
            let command = command.replace(['\t', '\n'], " ");
            json!({
                "Layer": (number + 1).to_string(),
                "Size": size(layer.bytes),
                "Added": layer.added.to_string(),
                "Changed": layer.changed.to_string(),
                "Deleted": layer.deleted.to_string(),
                "Hides": size(layer.hides),
                "Wasted": size(layer.wasted),
                "CreatedBy": if full { command } else { ellipsis(&command, 45) },
            })
        });
        out.push_str(&table(LAYERS, &rows.collect::<Vec<_>>())?);
        Ok(out)
    }

    fn document(&self) -> Value {
        let (bytes, wasted) = self.totals();
        let commands = self.commands();
        let ids = &self.image.document.rootfs.diff_ids;
        let layers = self.layers.iter().zip(&commands).enumerate().map(|(number, (layer, command))| {
            json!({
                "Layer": number + 1,
                "DiffID": ids.get(number),
                "CreatedBy": command,
                "Size": layer.bytes,
                "Added": layer.added,
                "Changed": layer.changed,
                "Deleted": layer.deleted,
                "Hides": layer.hides,
                "Wasted": layer.wasted,
            })
        });
        let mut document = json!({
            "Id": self.image.id,
            "Name": self.image.name(),
            "Files": self.visible.0,
            "Size": self.visible.1,
            "LayersSize": bytes,
            "WastedSize": wasted,
            "Efficiency": Contents::efficiency(&self.layers),
            "Layers": layers.collect::<Vec<_>>(),
        });
        let lists: HashMap<&str, Option<Vec<Value>>> = HashMap::from([
            ("Changes", self.files.as_ref().map(|files| files.iter().map(file_document).collect())),
            ("Wasted", self.wasted.as_ref().map(|wasted| wasted.iter().map(wasted_document).collect())),
        ]);
        if let Some(fields) = document.as_object_mut() {
            for (name, list) in lists {
                fields.extend(list.map(|list| (name.to_owned(), Value::Array(list))));
            }
        }
        document
    }
}

fn letter(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added => "A",
        EventKind::Changed => "C",
        EventKind::Deleted => "D",
    }
}

fn number(layer: Option<usize>) -> String {
    layer.map_or_else(|| "-".to_owned(), |layer| layer.to_string())
}

fn file_row(event: &Event) -> Value {
    json!({
        "Change": letter(event.kind),
        "Size": size(event.bytes),
        "Layer": event.layer.to_string(),
        "From": number(event.below),
        "HiddenBy": number(event.hidden_by),
        "Path": String::from_utf8_lossy(&event.path),
    })
}

fn file_document(event: &Event) -> Value {
    json!({
        "Change": letter(event.kind),
        "Size": event.bytes,
        "Layer": event.layer,
        "From": event.below,
        "HiddenBy": event.hidden_by,
        "Path": String::from_utf8_lossy(&event.path),
    })
}

fn wasted_row(file: &Wasted) -> Value {
    json!({
        "Size": size(file.bytes),
        "Layer": file.layer.to_string(),
        "HiddenBy": file.hidden_by.to_string(),
        "How": file.how,
        "Path": String::from_utf8_lossy(&file.path),
    })
}

fn wasted_document(file: &Wasted) -> Value {
    json!({
        "Size": file.bytes,
        "Layer": file.layer,
        "HiddenBy": file.hidden_by,
        "How": file.how,
        "Path": String::from_utf8_lossy(&file.path),
    })
}
