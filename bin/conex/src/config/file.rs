//! One file: its keys, each known or named, with the line where it is wrong.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use conex_engine::options::{LogDriver, nearest};
use toml::de::{DeTable, DeValue};

use super::keys::{Config, KEYS, SECTIONS};
use super::{Origin, Said};
use crate::errors::Error;

/// The most that is read of a file, in bytes.
const LIMIT: u64 = 1 << 20;

impl Config {
    /// Takes what a file says over what was said before; false when there is no such file.
    pub(super) fn take_file(&mut self, path: &Path) -> Result<bool, Error> {
        let problem = |reason: String| Error::Config { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(problem(error.to_string())),
            Ok(count) if count as u64 > LIMIT => return Err(problem("it is too large".to_owned())),
            Ok(_) => {}
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            problem(format!("line {line}: it is not valid UTF-8"))
        })?;
        self.take_text(path, &text).map_err(problem)?;
        Ok(true)
    }

    /// The same of a text, with the number of the line that is wrong.
    pub(super) fn take_text(&mut self, path: &Path, text: &str) -> Result<(), String> {
        let at = |span: Range<usize>, reason: String| {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {}", reason.replace('\n', " "))
        };
        let table = DeTable::parse(text).map_err(|error| {
            let reason = error.message().to_owned();
            error.span().map_or_else(|| reason.replace('\n', " "), |span| at(span, reason.clone()))
        })?;
        for (section, content) in table.get_ref() {
            let name = section.get_ref();
            let is_table = matches!(content.get_ref(), DeValue::Table(_));
            if !SECTIONS.iter().any(|(known, _)| *known == name.as_ref()) {
                if !is_table {
                    return Err(at(section.span(), unknown_alone(name)));
                }
                let near = nearest(name, SECTIONS.iter().map(|(known, _)| *known));
                let near = near.map(|near| format!("; did you mean [{near}]?")).unwrap_or_default();
                return Err(at(section.span(), format!("unknown section [{name}]{near}")));
            }
            let DeValue::Table(content) = content.get_ref() else {
                return Err(at(section.span(), format!("{name} is a section: expected [{name}]")));
            };
            for (key, value) in content {
                let known = |index: &usize| {
                    KEYS[*index].section == name.as_ref() && KEYS[*index].name == key.get_ref().as_ref()
                };
                let Some(index) = (0..KEYS.len()).find(known) else {
                    let reason = unknown_key(name, key.get_ref());
                    return Err(at(key.span(), reason));
                };
                self.set(index, value.get_ref())
                    .map_err(|reason| at(value.span(), format!("{name}.{}: {reason}", key.get_ref())))?;
                let written = text.get(value.span()).unwrap_or_default();
                let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
                self.say(Said { key: index, text: written, origin: Origin::File(path.to_owned()) });
            }
            // Each of the two makes sense alone, and may be another file's.
            let options = self.log.options.as_ref().is_some_and(|options| !options.0.is_empty());
            if *name == "log" && options && self.log.driver == Some(LogDriver::None) {
                let place = content.iter().map(|(key, _)| key).max_by_key(|key| key.span().start);
                let place = place.map_or(section.span(), toml::Spanned::span);
                return Err(at(place, "log.options: log.driver \"none\" takes none".to_owned()));
            }
        }
        Ok(())
    }
}

/// A key that stands in no section.
fn unknown_alone(name: &str) -> String {
    let near =
        KEYS.iter().find(|key| key.name == name).map(|key| format!("; did you mean {}.{name}?", key.section));
    format!("unknown key {name}{}", near.as_deref().unwrap_or("; keys stand in sections, as [run]"))
}

/// With the nearest of the section; else, whatever section has one of that name.
fn unknown_key(section: &str, name: &str) -> String {
    let of_section = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    let near = match nearest(name, of_section) {
        Some(near) => Some(format!("{section}.{near}")),
        None => KEYS.iter().find(|key| key.name == name).map(|key| format!("{}.{name}", key.section)),
    };
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("unknown key {section}.{name}{near}")
}
