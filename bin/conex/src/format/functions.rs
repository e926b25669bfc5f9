//! The functions of a template: Go's own and those that Docker adds. Each takes values and returns one.

use std::cmp::Ordering;

use serde_json::Value;

use super::escape;
use super::print::{kind, shown, text};
use super::printf::printf;
use super::shape::{Shape, Val};

pub(super) type Outcome = Result<Value, String>;

const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate", "upper", "urlquery",
];

/// Longest text that a function makes, and widest field that `printf` and `pad` fill.
pub(super) const LONGEST: usize = 16 << 20;
pub(super) const WIDEST: usize = 4096;

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls all but `and` and `or`, which do not evaluate all their arguments and so stand in `eval`.
pub(super) fn call<'v>(name: &str, arguments: &[Val<'v>]) -> Result<Val<'v>, String> {
    let count = arguments.len();
    let (least, most) = match name {
        "json" | "len" | "lower" | "upper" | "title" | "not" => (1, 1),
        "split" | "join" | "truncate" | "ne" | "lt" | "le" | "gt" | "ge" => (2, 2),
        "pad" => (3, 3),
        "eq" => (2, usize::MAX),
        "slice" => (1, 4),
        "index" | "printf" => (1, usize::MAX),
        _ => (0, usize::MAX),
    };
    if count < least || count > most {
        let want = if least == most { format!("{least}") } else { format!("at least {least}") };
        return Err(format!("wrong number of args: want {want} got {count}"));
    }
    if name == "index" {
        return index(arguments);
    }
    made(name, arguments).map(Val::from)
}

fn made(name: &str, arguments: &[Val<'_>]) -> Outcome {
    match name {
        "json" => serde_json::to_string(&*arguments[0]).map(Value::String).map_err(|error| error.to_string()),
        "len" => len(&arguments[0]),
        "not" => Ok(Value::Bool(!arguments[0].truth())),
        "lower" => Ok(Value::String(string(&arguments[0])?.to_lowercase())),
        "upper" => Ok(Value::String(string(&arguments[0])?.to_uppercase())),
        "title" => Ok(Value::String(title(string(&arguments[0])?))),
        "split" => split(string(&arguments[0])?, string(&arguments[1])?),
        "join" => join(&arguments[0], string(&arguments[1])?),
        "pad" => {
            let (before, after) = (width(&arguments[1])?, width(&arguments[2])?);
            Ok(Value::String(match string(&arguments[0])? {
                "" => String::new(),
                source => format!("{}{source}{}", " ".repeat(before), " ".repeat(after)),
            }))
        }
        "truncate" => {
            let source = string(&arguments[0])?;
            Ok(Value::String(source.chars().take(integer(&arguments[1])?).collect()))
        }
        "slice" => slice(arguments),
        "eq" => {
            for other in &arguments[1..] {
                if equal(&arguments[0], other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "ne" => equal(&arguments[0], &arguments[1]).map(|equal| Value::Bool(!equal)),
        "lt" => order(arguments, Ordering::is_lt),
        "le" => order(arguments, Ordering::is_le),
        "gt" => order(arguments, Ordering::is_gt),
        "ge" => order(arguments, Ordering::is_ge),
        "print" => bounded(print(arguments)),
        "println" => {
            let words: Vec<_> = arguments.iter().map(shown).collect();
            bounded(words.join(" ") + "\n")
        }
        "html" => bounded(escape::html(&print(arguments))),
        "js" => bounded(escape::js(&print(arguments))),
        "urlquery" => bounded(escape::urlquery(&print(arguments))),
        "printf" => printf(string(&arguments[0])?, &arguments[1..]),
        _ => Err("not a function".to_owned()),
    }
}

pub(super) fn bounded(text: String) -> Outcome {
    if text.len() > LONGEST { Err("the text gets too long".to_owned()) } else { Ok(Value::String(text)) }
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a string, got {}", kind(value)))
}

fn integer(value: &Value) -> Result<usize, String> {
    let number = value.as_i64().ok_or_else(|| format!("expected an integer, got {}", kind(value)))?;
    usize::try_from(number).map_err(|_| format!("{number} is negative"))
}

pub(super) fn width(value: &Value) -> Result<usize, String> {
    integer(value).map(|width| width.min(WIDEST))
}

fn len(value: &Val<'_>) -> Outcome {
    match &**value {
        Value::String(text) => Ok(text.len().into()),
        other => value.count().map(Value::from).ok_or_else(|| format!("len of {}", kind(other))),
    }
}

/// Each word's first letter.
fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

fn split(text: &str, separator: &str) -> Outcome {
    let part = |part: &str| Value::String(part.to_owned());
    Ok(Value::Array(match separator {
        "" => text.chars().map(|c| Value::String(c.to_string())).collect(),
        separator => text.split(separator).map(part).collect(),
    }))
}

fn join(list: &Value, separator: &str) -> Outcome {
    let Value::Array(items) = list else {
        return if list.is_null() {
            Ok(Value::String(String::new()))
        } else {
            Err(format!("join of {}", kind(list)))
        };
    };
    let words: Vec<_> = items.iter().map(text).collect();
    if words.len().saturating_mul(separator.len()) > LONGEST {
        return Err("the text gets too long".to_owned());
    }
    bounded(words.join(separator))
}

/// `index .Map "key" 0`. An absent key has the zero of the map's type; an index beyond a list is an error.
fn index<'v>(arguments: &[Val<'v>]) -> Result<Val<'v>, String> {
    let mut value = arguments[0].clone();
    for key in &arguments[1..] {
        value = match (&*value, value.shape()) {
            (Value::Object(_), _) | (_, Shape::Map(_)) => value
                .entry(key.as_str().ok_or_else(|| format!("a map's key is a string, not {}", kind(key)))?),
            (Value::Array(_), _) | (_, Shape::List(_)) => {
                let number = integer(key)?;
                value.item(number).ok_or_else(|| format!("index out of range: {number}"))?
            }
            (Value::Null, _) => return Err("index of nil".to_owned()),
            (other, _) => return Err(format!("can't index {}", kind(other))),
        };
    }
    Ok(value)
}

fn slice(arguments: &[Val<'_>]) -> Outcome {
    let total = match (&*arguments[0], arguments[0].shape()) {
        (Value::String(text), _) => text.len(),
        (Value::Array(items), _) => items.len(),
        (Value::Null, Shape::List(_)) => 0,
        (other, _) => return Err(format!("can't slice {}", kind(other))),
    };
    let from = arguments.get(1).map_or(Ok(0), |value| integer(value))?;
    let to = arguments.get(2).map_or(Ok(total), |value| integer(value))?;
    let range = || format!("index out of range: {from}:{to}");
    match &*arguments[0] {
        Value::String(text) => {
            text.get(from..to).map(|part| Value::String(part.to_owned())).ok_or_else(range)
        }
        Value::Array(items) => items.get(from..to).map(|part| Value::Array(part.to_vec())).ok_or_else(range),
        Value::Null if (from, to) == (0, 0) => Ok(Value::Array(Vec::new())),
        _ => Err(range()),
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(left.as_f64() == right.as_f64()),
        (Value::Null, _) | (_, Value::Null) => Ok(left.is_null() && right.is_null()),
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_)) => Ok(left == right),
        _ => Err(format!("incompatible types for comparison: {} and {}", kind(left), kind(right))),
    }
}

fn order(arguments: &[Val<'_>], accept: impl Fn(Ordering) -> bool) -> Outcome {
    let (left, right) = (&*arguments[0], &*arguments[1]);
    let ordering = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right)),
        },
        _ => None,
    };
    ordering
        .map(|ordering| Value::Bool(accept(ordering)))
        .ok_or_else(|| format!("incompatible types for comparison: {} and {}", kind(left), kind(right)))
}

/// A space goes between operands when neither is a string.
fn print(arguments: &[Val<'_>]) -> String {
    let mut out = String::new();
    for (index, value) in arguments.iter().enumerate() {
        if index > 0 && !value.is_string() && !arguments[index - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}
