//! `--format` and `-q` of the verbs that list things: a table, one JSON object a line, or a template a row.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Error, Method, Template, table};
use crate::output::visible;

/// A column: a placeholder and what stands over it.
pub(crate) type Column = (&'static str, &'static str);

/// A row: its placeholders, and what answers `.Label "key"`.
pub(crate) struct Row<'r> {
    /// All placeholders, as `{{json .}}` shows them.
    pub(crate) fields: &'r Value,
    /// Calls with arguments.
    pub(crate) method: Method<'r>,
}

/// `.Label "key"`
pub(crate) fn label(labels: &BTreeMap<String, String>, name: &str, arguments: &[Value]) -> Option<Value> {
    match (name, arguments) {
        ("Label", [Value::String(key)]) => Some(Value::String(labels.get(key).cloned().unwrap_or_default())),
        _ => None,
    }
}

/// How rows are printed.
#[derive(Debug)]
pub(crate) enum Format {
    /// `json`
    Json,
    /// A template, with a line of headings over it when it began with `table`.
    Template { template: Template, headed: bool },
}

impl Format {
    /// What `--format` says; `default` is the columns of a bare `table`.
    ///
    /// # Errors
    /// A template that does not parse.
    pub(crate) fn parse(text: &str, default: &str) -> Result<Self, Error> {
        // Shells pass `\t` on as two characters.
        let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let (text, headed) = match text.as_str() {
            "json" => return Ok(Self::Json),
            "" | "table" => (default, true),
            other => match other.strip_prefix("table ").or_else(|| other.strip_prefix("table\t")) {
                Some(rest) => (rest.trim_start(), true),
                None => (other, false),
            },
        };
        Ok(Self::Template { template: Template::parse(text)?, headed })
    }

    /// Renders the rows; every line ends with a newline.
    ///
    /// # Errors
    /// A template that does not fit the rows.
    pub(crate) fn render<'r>(
        &self,
        columns: &[Column],
        rows: impl Iterator<Item = Row<'r>>,
    ) -> Result<String, Error> {
        let mut out = String::new();
        match self {
            Self::Json => {
                for row in rows {
                    out.push_str(&row.fields.to_string());
                    out.push('\n');
                }
            }
            Self::Template { template, headed } => {
                if *headed {
                    out.push_str(&headings(template, columns)?);
                    out.push('\n');
                }
                for row in rows {
                    // A table is for eyes, and a cell stays in its place; whoever writes a template gets what is there.
                    if *headed {
                        let method = |name: &str, arguments: &[Value]| {
                            (row.method)(name, arguments).map(|value| in_place(&value))
                        };
                        out.push_str(&template.render_with(&in_place(row.fields), &method)?);
                    } else {
                        out.push_str(&template.render_with(row.fields, row.method)?);
                    }
                    out.push('\n');
                }
            }
        }
        // Tabs are columns with or without headings.
        Ok(if out.contains('\t') && !matches!(self, Self::Json) { table::align(&out) } else { out })
    }
}

/// The value without a control character in its texts.
fn in_place(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible(text, &[]).into_owned()),
        Value::Array(items) => items.iter().map(in_place).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (visible(key, &[]).into_owned(), in_place(value))).collect()
        }
        other => other.clone(),
    }
}

/// The template with headings for values; `.Label "com.example.team"` is headed by the label's last word.
fn headings(template: &Template, columns: &[Column]) -> Result<String, Error> {
    let fields: Map<String, Value> =
        columns.iter().map(|(name, heading)| ((*name).to_owned(), Value::from(*heading))).collect();
    let label = |name: &str, arguments: &[Value]| match (name, arguments) {
        ("Label", [Value::String(key)]) => {
            let word = key.rsplit('.').next().unwrap_or(key);
            Some(Value::String(word.replace(['-', '_'], " ")))
        }
        _ => None,
    };
    template.render_with(&Value::Object(fields), &label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[("ID", "CONTAINER ID"), ("Names", "NAMES")];

    fn render(format: &str) -> String {
        let rows =
            [json!({"ID": "0123456789ab", "Names": "web"}), json!({"ID": "ba9876543210", "Names": "db"})];
        let method = |name: &str, arguments: &[Value]| match (name, arguments) {
            ("Label", [Value::String(key)]) => Some(Value::String(format!("<{key}>"))),
            _ => None,
        };
        Format::parse(format, "{{.ID}}\t{{.Names}}")
            .and_then(|format| {
                format.render(COLUMNS, rows.iter().map(|row| Row { fields: row, method: &method }))
            })
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn tables_have_headings() {
        let table = "CONTAINER ID   NAMES\n0123456789ab   web\nba9876543210   db\n";
        assert_eq!(render("table"), table);
        assert_eq!(render("table {{.ID}}\\t{{.Names}}"), table);
        assert_eq!(render("table {{.Label \"a.b\"}}"), "b\n<a.b>\n<a.b>\n");
    }

    #[test]
    fn rows_without_headings() {
        assert_eq!(render("{{.Names}}: {{.ID}}"), "web: 0123456789ab\ndb: ba9876543210\n");
        assert_eq!(
            render("json"),
            "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n{\"ID\":\"ba9876543210\",\"Names\":\"db\"}\n"
        );
        assert_eq!(render("{{json .}}"), render("json"));
    }

    #[test]
    fn a_cell_of_a_table_stays_in_its_place() {
        let row = json!({"ID": "a\u{1b}[2J\tb\n", "Names": "x"});
        let render = |format: &str| {
            let rows = std::iter::once(Row { fields: &row, method: &|_, _| Some(Value::from("\u{7}")) });
            Format::parse(format, "{{.ID}}").unwrap().render(COLUMNS, rows).unwrap()
        };
        assert_eq!(render("table"), "CONTAINER ID\na\\u001b[2J\\u0009b\\u000a\n");
        assert_eq!(render("table {{.Label \"x\"}}"), "x\n\\u0007\n");
        assert_eq!(render("{{.Label \"x\"}}"), "\u{7}\n");
    }

    #[test]
    fn an_unknown_placeholder_is_an_error() {
        assert_eq!(render("{{.Nmaes}}"), "template:1:3: <.Nmaes>: there is no field Nmaes");
    }
}
