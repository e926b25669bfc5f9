//! `org.systemd.property.NAME` annotations of a bundle: properties of the scope that the user sets himself, as runc and crun take
//! them. A value is a GVariant in text form (`'text'`, `true`, `uint64 5`, `['a.service']`); a name that ends in `Sec` takes seconds
//! and becomes systemd's `USec`.

use std::collections::BTreeMap;

use super::wire::Value;
use crate::error::{Error, Result};

const PREFIX: &str = "org.systemd.property.";

/// Properties for a scope beside those of its limits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties(pub(crate) Vec<(String, Value)>);

impl Properties {
    /// Takes them from a bundle's annotations (runtime-spec config.md#annotations).
    ///
    /// # Errors
    /// [`Error::Property`] for a name that is no property's, or a value that is no GVariant.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Self> {
        let ours = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        ours.map(|(name, text)| property(name, text)).collect::<Result<_>>().map(Self)
    }
}

fn property(name: &str, text: &str) -> Result<(String, Value)> {
    let wrong = |why| Error::Property {
        name: name.chars().take(80).collect(),
        value: text.chars().take(80).collect(),
        why,
    };
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(wrong("a property's name is made of letters"));
    }
    let mut rest = text.trim_start();
    let value = parse(&mut rest, 0)
        .ok_or_else(|| wrong("the value is not a GVariant, such as 'text', true, uint64 5 or ['a', 'b']"))?;
    if !rest.trim().is_empty() {
        return Err(wrong("something follows the value"));
    }
    match name.strip_suffix("Sec") {
        Some(stem) if stem.ends_with(|last: char| last.is_ascii_lowercase()) => {
            let micros = microseconds(&value).ok_or_else(|| wrong("it is not a number of seconds"))?;
            Ok((format!("{stem}USec"), Value::U64(micros)))
        }
        _ => Ok((name.to_owned(), value)),
    }
}

fn microseconds(seconds: &Value) -> Option<u64> {
    const MICRO: u64 = 1_000_000;
    let whole = match *seconds {
        Value::Byte(value) => value.into(),
        Value::I16(value) => u64::try_from(value).ok()?,
        Value::U16(value) => value.into(),
        Value::I32(value) => u64::try_from(value).ok()?,
        Value::U32(value) => value.into(),
        Value::I64(value) => u64::try_from(value).ok()?,
        Value::U64(value) => value,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within")]
        Value::Double(value) => {
            let micros = value * MICRO as f64;
            return (0.0..1e18).contains(&micros).then_some(micros as u64);
        }
        _ => return None,
    };
    whole.checked_mul(MICRO)
}

/// How deep brackets may stand in one another.
const MAX_DEPTH: usize = 16;

/// One value from the front of `rest`.
fn parse(rest: &mut &str, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    *rest = rest.trim_start();
    match rest.chars().next()? {
        '\'' | '"' => text(rest).map(Value::Text),
        '[' => {
            let values = list(rest, ']', depth)?;
            // Of one type; without an element there is nothing to tell it by.
            let element = values.first()?.signature();
            values.iter().all(|value| value.signature() == element).then_some(Value::Array(element, values))
        }
        '(' => list(rest, ')', depth).filter(|fields| !fields.is_empty()).map(Value::Struct),
        '<' => {
            *rest = &rest[1..];
            let value = parse(rest, depth + 1)?;
            *rest = rest.trim_start().strip_prefix('>')?;
            Some(Value::Variant(Box::new(value)))
        }
        '@' => {
            let (signature, after) = rest[1..].split_once(char::is_whitespace)?;
            *rest = after;
            typed(signature, rest, depth)
        }
        'b' if rest[1..].starts_with(['\'', '"']) => {
            *rest = &rest[1..];
            // A byte string ends with a zero byte.
            let mut bytes = text(rest)?.into_bytes();
            bytes.push(0);
            Some(Value::bytes(&bytes))
        }
        _ => {
            let word = word(rest);
            match word {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => match signature_of(word) {
                    Some(signature) => typed(signature, rest, depth),
                    None if word.contains(['.', 'e', 'E']) && !word.starts_with("0x") => number("d", word),
                    None => number("i", word),
                },
            }
        }
    }
}

fn signature_of(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

/// A value whose type is given before it.
fn typed(signature: &str, rest: &mut &str, depth: usize) -> Option<Value> {
    *rest = rest.trim_start();
    match signature {
        "s" => text(rest).map(Value::Text),
        "o" => text(rest).map(Value::Path),
        "g" => text(rest).map(Value::Signature),
        "b" | "v" => parse(rest, depth + 1).filter(|value| value.signature() == signature),
        array if array.starts_with('a') => {
            if depth > MAX_DEPTH {
                return None;
            }
            let element = &array[1..];
            *rest = rest.strip_prefix('[')?.trim_start();
            let mut values = Vec::new();
            while !rest.starts_with(']') {
                values.push(typed(element, rest, depth + 1)?);
                *rest = rest.trim_start();
                match rest.strip_prefix(',') {
                    Some(after) => *rest = after.trim_start(),
                    None => break,
                }
            }
            *rest = rest.strip_prefix(']')?;
            let is_basic =
                matches!(element, "y" | "n" | "q" | "i" | "u" | "x" | "t" | "d" | "s" | "o" | "g" | "b");
            (is_basic || !values.is_empty()).then(|| Value::Array(element.to_owned(), values))
        }
        structure if structure.starts_with('(') => {
            parse(rest, depth + 1).filter(|value| value.signature() == structure)
        }
        number_type => number(number_type, word(rest)),
    }
}

/// The elements between brackets.
fn list(rest: &mut &str, close: char, depth: usize) -> Option<Vec<Value>> {
    *rest = rest[1..].trim_start();
    let mut values = Vec::new();
    while !rest.starts_with(close) {
        values.push(parse(rest, depth + 1)?);
        *rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => *rest = after.trim_start(),
            None => break,
        }
    }
    *rest = rest.strip_prefix(close)?;
    Some(values)
}

/// Up to the next blank or bracket.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| c.is_whitespace() || ",])>".contains(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

fn number(signature: &str, word: &str) -> Option<Value> {
    if signature == "d" {
        return double(word).map(Value::Double);
    }
    let (is_negative, digits) = sign(word);
    let magnitude = match digits.strip_prefix("0x") {
        Some(hexadecimal) => i128::from(u64::from_str_radix(hexadecimal, 16).ok()?),
        None if digits.starts_with(|first: char| first.is_ascii_digit()) => {
            i128::from(digits.parse::<u64>().ok()?)
        }
        None => return None,
    };
    let value = if is_negative { -magnitude } else { magnitude };
    match signature {
        "y" => value.try_into().ok().map(Value::Byte),
        "n" => value.try_into().ok().map(Value::I16),
        "q" => value.try_into().ok().map(Value::U16),
        "i" => value.try_into().ok().map(Value::I32),
        "u" => value.try_into().ok().map(Value::U32),
        "x" => value.try_into().ok().map(Value::I64),
        "t" => value.try_into().ok().map(Value::U64),
        _ => None,
    }
}

/// Whether it is negative, and what follows the sign.
fn sign(word: &str) -> (bool, &str) {
    match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    }
}

/// JSON's numbers; but zeros may stand in front, and one side of the point may be empty.
fn double(word: &str) -> Option<f64> {
    let (is_negative, digits) = sign(word);
    let (digits, exponent) = digits.split_at(digits.find(['e', 'E']).unwrap_or(digits.len()));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty()) && whole.bytes().all(|c| c.is_ascii_digit());
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let json = format!("{whole}.{fraction}0{exponent}");
    let magnitude: f64 = is_number.then(|| serde_json::from_slice(json.as_bytes()).ok()).flatten()?;
    Some(if is_negative { -magnitude } else { magnitude })
}

/// A quoted string, with C's escapes.
fn text(rest: &mut &str) -> Option<String> {
    let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                *rest = &rest[at + 1..];
                return Some(text);
            }
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                other => text.push(other),
            },
            // Neither end nor middle of a D-Bus string.
            '\0' => return None,
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(name: &str, text: &str) -> Result<Properties> {
        Properties::from_annotations(&[(format!("{PREFIX}{name}"), text.to_owned())].into())
    }

    #[test]
    fn values() {
        let texts =
            |texts: &[&str]| Value::Array("s".to_owned(), texts.iter().copied().map(Value::text).collect());
        for (text, expected) in [
            ("'a \\'quoted\\' text'", Value::text("a 'quoted' text")),
            ("true", Value::Bool(true)),
            ("5", Value::I32(5)),
            ("-5", Value::I32(-5)),
            ("uint64 123456789", Value::U64(123_456_789)),
            ("byte 0xff", Value::Byte(255)),
            ("1.5", Value::Double(1.5)),
            ("double -007.25", Value::Double(-7.25)),
            ("+.5", Value::Double(0.5)),
            ("2.", Value::Double(2.0)),
            ("double 2", Value::Double(2.0)),
            ("1.5e3", Value::Double(1500.0)),
            ("1E-2", Value::Double(0.01)),
            ("['a.service', \"b.service\"]", texts(&["a.service", "b.service"])),
            ("@as []", texts(&[])),
            ("@as ['x',]", texts(&["x"])),
            ("[uint32 1, uint32 2]", Value::Array("u".to_owned(), vec![Value::U32(1), Value::U32(2)])),
            ("<'x'>", Value::Variant(Box::new(Value::text("x")))),
            ("('a', 1)", Value::Struct(vec![Value::text("a"), Value::I32(1)])),
            ("b'ab'", Value::bytes(b"ab\0")),
            ("objectpath '/a'", Value::Path("/a".to_owned())),
        ] {
            assert_eq!(one("Some", text).expect(text).0, [("Some".to_owned(), expected)], "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        for (text, micros) in
            [("456", 456_000_000), ("byte 234", 234_000_000), ("uint64 234", 234_000_000), ("1.5", 1_500_000)]
        {
            assert_eq!(
                one("TimeoutStopSec", text).expect(text).0,
                [("TimeoutStopUSec".to_owned(), Value::U64(micros))]
            );
        }
        assert_eq!(one("TimeoutStopUSec", "uint64 5").expect("valid").0[0].0, "TimeoutStopUSec");
        for bad in ["'5'", "true", "-1", "uint64 18446744073709551615"] {
            assert!(one("TimeoutStopSec", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_one_line() {
        let long = "[".repeat(5000);
        for (name, text) in [
            ("", "1"),
            ("ab", "1"),
            ("A-b", "1"),
            ("Some", ""),
            ("Some", "text"),
            ("Some", "'open"),
            ("Some", "1 2"),
            ("Some", "['a', 1]"),
            ("Some", "[]"),
            ("Some", "byte 256"),
            ("Some", "2147483648"),
            ("Some", "@"),
            ("Some", "."),
            ("Some", "double --1"),
            ("Some", "1.-5"),
            ("Some", "1.5e"),
            ("Some", "1e999"),
            ("Some", "double nan"),
            ("Some", "@zz 1"),
            ("Some", "\u{1}\n"),
            ("Some", &long),
        ] {
            let message = one(name, text).expect_err(text).to_string();
            assert!(!message.contains('\n') && message.len() < 400, "{message}");
        }
        assert_eq!(
            Properties::from_annotations(&[("other".to_owned(), "x".to_owned())].into()).expect("none"),
            Properties::default()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[@a-z0-9\\[\\]()<>', .b\\\\-]{0,40}") {
            let _no_panic = one("Some", &text);
        }
    }
}
