//! What is set, and by whom; and the file with every key, for people to start from.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Origin;
use super::keys::{Config, KEYS, SECTIONS};
use crate::format::listing::Column;

/// Of `info --config`.
pub(crate) const COLUMNS: &[Column] = &[
    ("Key", "KEY"),
    ("Value", "VALUE"),
    ("From", "FROM"),
    ("Default", "DEFAULT"),
    ("Type", "TYPE"),
    ("Variable", "VARIABLE"),
    ("About", "ABOUT"),
];

/// Every key with its value, as it would be written in a file, and where that comes from.
pub(crate) fn rows(config: &Config) -> Vec<Value> {
    let row = |(index, key): (usize, &super::Key)| {
        let said = config.said.iter().find(|said| said.key == index);
        json!({
            "Key": format!("{}.{}", key.section, key.name),
            "Value": said.map_or(key.default, |said| &said.text),
            "From": match said.map(|said| &said.origin) {
                None => "default".to_owned(),
                Some(Origin::File(path)) => path.display().to_string(),
                Some(Origin::Variable(name)) => format!("environment ({name})"),
            },
            "Default": key.default,
            "Type": key.kind,
            "Variable": key.variable.unwrap_or_default(),
            "About": about(key.about),
        })
    };
    KEYS.iter().enumerate().map(row).collect()
}

/// conex.toml with every key commented out at its default.
pub(crate) fn example() -> String {
    let mut out = String::from(
        "# /etc/conex/conex.toml, and $XDG_CONFIG_HOME/conex/conex.toml over it: every key, at its default.\n\
         # `conex info --config` shows what is set, and where.\n",
    );
    for (section, words) in SECTIONS {
        let _ = write!(out, "\n# {}\n[{section}]\n", about(words));
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let _ = writeln!(out, "\n# {}", about(key.about));
            if let Some(variable) = key.variable {
                let _ = writeln!(out, "# {variable} in the environment goes over it.");
            }
            let default = if key.default.is_empty() { "…" } else { key.default };
            let _ = writeln!(out, "# {} = {default}", key.name);
        }
    }
    out
}

/// A doc line without the space that it begins with.
fn about(text: &str) -> &str {
    text.trim_start()
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    // JSON's strings are TOML's basic strings.
    serde_json::to_string(text).unwrap_or_default()
}
