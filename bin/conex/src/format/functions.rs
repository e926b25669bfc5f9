//! The functions of a template: Go's own and those that Docker adds. Each takes values and returns one.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::print::{general, kind, quote, text, truth};

type Outcome = Result<Value, String>;

const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad",
    "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// Longest text that a function makes, and widest field that `printf` and `pad` fill.
const LONGEST: usize = 16 << 20;
const WIDEST: usize = 4096;

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls all but `and` and `or`, which do not evaluate all their arguments and so stand in `eval`.
pub(super) fn call(name: &str, arguments: &[Cow<'_, Value>]) -> Outcome {
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
    match name {
        "json" => serde_json::to_string(&arguments[0]).map(Value::String).map_err(|error| error.to_string()),
        "len" => len(&arguments[0]),
        "not" => Ok(Value::Bool(!truth(&arguments[0]))),
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
        "index" => index(arguments),
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
            let words: Vec<_> = arguments.iter().map(|value| text(value)).collect();
            bounded(words.join(" ") + "\n")
        }
        "printf" => printf(string(&arguments[0])?, &arguments[1..]),
        _ => Err("not a function".to_owned()),
    }
}

fn bounded(text: String) -> Outcome {
    if text.len() > LONGEST { Err("the text gets too long".to_owned()) } else { Ok(Value::String(text)) }
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a string, got {}", kind(value)))
}

fn integer(value: &Value) -> Result<usize, String> {
    let number = value.as_i64().ok_or_else(|| format!("expected an integer, got {}", kind(value)))?;
    usize::try_from(number).map_err(|_| format!("{number} is negative"))
}

fn width(value: &Value) -> Result<usize, String> {
    integer(value).map(|width| width.min(WIDEST))
}

fn len(value: &Value) -> Outcome {
    Ok(Value::from(match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        other => return Err(format!("len of {}", kind(other))),
    }))
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

/// `index .Map "key" 0`. An absent key is nil; an index beyond a list is an error.
fn index(arguments: &[Cow<'_, Value>]) -> Outcome {
    let mut value: &Value = &arguments[0];
    for key in &arguments[1..] {
        value = match value {
            Value::Object(map) => map
                .get(key.as_str().ok_or_else(|| format!("a map's key is a string, not {}", kind(key)))?)
                .unwrap_or(&Value::Null),
            Value::Array(items) => {
                let number = integer(key)?;
                items.get(number).ok_or_else(|| format!("index out of range: {number}"))?
            }
            Value::Null => return Err("index of nil".to_owned()),
            other => return Err(format!("can't index {}", kind(other))),
        };
    }
    Ok(value.clone())
}

fn slice(arguments: &[Cow<'_, Value>]) -> Outcome {
    let total = match &*arguments[0] {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        other => return Err(format!("can't slice {}", kind(other))),
    };
    let from = arguments.get(1).map_or(Ok(0), |value| integer(value))?;
    let to = arguments.get(2).map_or(Ok(total), |value| integer(value))?;
    let range = || format!("index out of range: {from}:{to}");
    match &*arguments[0] {
        Value::String(text) => {
            text.get(from..to).map(|part| Value::String(part.to_owned())).ok_or_else(range)
        }
        Value::Array(items) => items.get(from..to).map(|part| Value::Array(part.to_vec())).ok_or_else(range),
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

fn order(arguments: &[Cow<'_, Value>], accept: impl Fn(Ordering) -> bool) -> Outcome {
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
fn print(arguments: &[Cow<'_, Value>]) -> String {
    let mut out = String::new();
    for (index, value) in arguments.iter().enumerate() {
        if index > 0 && !value.is_string() && !arguments[index - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&text(value));
    }
    out
}

/// A verb's flags, width and precision.
#[derive(Debug, Default)]
struct Directive {
    left: bool,
    zero: bool,
    plus: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

fn printf(format: &str, arguments: &[Cow<'_, Value>]) -> Outcome {
    let mut out = String::new();
    let mut arguments_left = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(&flag) = chars.peek() {
            match flag {
                '-' => directive.left = true,
                '0' => directive.zero = true,
                '+' => directive.plus = true,
                '#' => directive.sharp = true,
                ' ' => {}
                _ => break,
            }
            chars.next();
        }
        let mut digits = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
                chars.next();
            }
            if number.is_none() && chars.next_if_eq(&'*').is_some() {
                let value = arguments_left.next().ok_or("%!(BADWIDTH)".to_owned())?;
                number = Some(width(value)?);
            }
            Ok::<_, String>(number)
        };
        directive.width = digits(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            directive.precision = Some(digits(&mut chars)?.unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments_left.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => fill(&mut out, &directive, &verb_text(verb, &directive, value)),
            },
        }
        if out.len() > LONGEST {
            return Err("the text gets too long".to_owned());
        }
    }
    let extra: Vec<_> = arguments_left.map(|value| text(value)).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    bounded(out)
}

fn verb_text(verb: char, directive: &Directive, value: &Value) -> String {
    let signed =
        |text: String| if directive.plus && !text.starts_with('-') { format!("+{text}") } else { text };
    match (verb, value) {
        ('v', Value::String(source)) if directive.sharp => quote(source),
        ('v' | 's', Value::String(source)) => match directive.precision {
            Some(precision) => source.chars().take(precision).collect(),
            None => source.clone(),
        },
        ('v', Value::Number(_)) => signed(text(value)),
        ('v', other) | ('s', other @ (Value::Array(_) | Value::Object(_))) => text(other),
        ('q', Value::String(source)) => quote(source),
        ('q', Value::Array(items)) => {
            let words: Vec<_> = items.iter().map(|item| quote(&text(item))).collect();
            format!("[{}]", words.join(" "))
        }
        ('t', Value::Bool(flag)) => flag.to_string(),
        ('x', Value::String(source)) => source.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('f' | 'F' | 'e' | 'g', Value::Number(number)) => {
            let float = number.as_f64().unwrap_or(0.0);
            signed(match verb {
                'g' => general(float, directive.precision),
                'e' => format!("{float:.*e}", directive.precision.unwrap_or(6)),
                _ => format!("{float:.*}", directive.precision.unwrap_or(6)),
            })
        }
        (_, Value::Number(number)) => match (verb, number.as_i64()) {
            ('d', Some(number)) => signed(number.to_string()),
            ('d', None) if number.is_u64() => number.to_string(),
            ('x', Some(number)) => radix(number, format!("{:x}", number.unsigned_abs())),
            ('X', Some(number)) => radix(number, format!("{:X}", number.unsigned_abs())),
            ('o', Some(number)) => radix(number, format!("{:o}", number.unsigned_abs())),
            ('b', Some(number)) => radix(number, format!("{:b}", number.unsigned_abs())),
            ('c', Some(number)) => {
                u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
            }
            _ => format!("%!{verb}({})", text(value)),
        },
        _ => format!("%!{verb}({})", text(value)),
    }
}

fn radix(number: i64, digits: String) -> String {
    if number < 0 { format!("-{digits}") } else { digits }
}

fn fill(out: &mut String, directive: &Directive, text: &str) {
    let missing = directive.width.saturating_sub(text.chars().count());
    if directive.left {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if directive.zero {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => text.split_at(text.len() - digits.len()),
            None => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}
