//! How Go prints a value.

use std::fmt::Write as _;
use std::time::Duration;

use conex_engine::time::go_duration;
use serde_json::Value;

use super::shape::{Shape, Val};

/// Appends `value` as `{{.}}` prints it.
pub(super) fn value(out: &mut String, value: &Val<'_>) {
    match (&**value, value.shape()) {
        (Value::Null, Shape::Any | Shape::Missing) => out.push_str("<no value>"),
        _ => out.push_str(&shown(value)),
    }
}

/// As `%v` prints it, where a nil slice and a nil map are empty ones.
pub(super) fn shown(value: &Val<'_>) -> String {
    match (&**value, value.shape()) {
        (Value::Null, Shape::List(_)) => "[]".to_owned(),
        (Value::Null, Shape::Map(_)) => "map[]".to_owned(),
        (Value::Number(nanoseconds), Shape::Duration) => duration(nanoseconds.as_i64().unwrap_or(0)),
        (Value::String(moment), Shape::Time) => time(moment),
        (other, _) => text(other),
    }
}

/// As `%v` prints what is of no known type.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    plain(&mut out, value);
    out
}

fn plain(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&general(float, None)),
            _ => {
                let _ = write!(out, "{number}");
            }
        },
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                plain(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push_str("map[");
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                plain(out, &map[key]);
            }
            out.push(']');
        }
    }
}

fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    format!("{sign}{}", go_duration(Duration::from_nanos(nanoseconds.unsigned_abs())))
}

/// Go's `Time.String` of a text of RFC 3339; of another, the text.
fn time(moment: &str) -> String {
    let split = || {
        let (day, rest) = moment.split_once('T')?;
        let zone = rest.find(['Z', '+', '-'])?;
        let (clock, zone) = rest.split_at(zone);
        let clock = match clock.contains('.') {
            true => clock.trim_end_matches('0').trim_end_matches('.'),
            false => clock,
        };
        let zone = match zone {
            "Z" => "+0000 UTC".to_owned(),
            // A zone without a name has its offset for one.
            offset => format!("{0} {0}", offset.replace(':', "")),
        };
        Some(format!("{day} {clock} {zone}"))
    };
    split().unwrap_or_else(|| moment.to_owned())
}

/// C's and Go's `%g`; the shortest text that reads back as the same number without a precision.
pub(super) fn general(float: f64, precision: Option<usize>) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    let scientific = match precision {
        Some(digits) => format!("{float:.*e}", digits.max(1) - 1),
        None => format!("{float:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = precision.map_or(21, |digits| i32::try_from(digits.max(1)).unwrap_or(i32::MAX));
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    if (-4..limit).contains(&exponent) {
        let digits = mantissa.replace(['.', '-'], "");
        let decimals = i32::try_from(digits.len()).unwrap_or(i32::MAX) - 1 - exponent;
        return format!("{float:.*}", usize::try_from(decimals).unwrap_or(0));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The type's name in an error.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Go's `strconv.Quote`.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\x7f' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
