//! YAML, as far as specifications need it: a document read into a tree of bounded size, and types deserialised from that.
//!
//! Scalars keep their text, and what they are is decided by the type that is asked for, so that `name: 0` is a name and `major: 0` a
//! number, as the reference library has it. Aliases are taken, but count as what they stand for.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

/// Deeper than any specification is.
const DEPTH: usize = 16;
/// More values than any specification has.
const NODES: usize = 200_000;

#[derive(Debug, Clone)]
enum Node {
    /// `bool`: whether it was written without quotes.
    Scalar(String, bool),
    List(Vec<Placed>),
    Map(Vec<(String, Placed)>),
}

#[derive(Debug, Clone)]
struct Placed {
    node: Node,
    line: usize,
}

/// One document.
///
/// # Errors
/// In one line, with the number of the line that is wrong.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let tree =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), left: NODES }.document()?;
    T::deserialize(&tree).map_err(|error| error.to_string())
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, (Placed, usize)>,
    /// How many nodes may still come.
    left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                Err(format!("line {}: {}", error.marker().line(), error.info().replace('\n', " ")))
            }
            None => Err("it ends too early".to_owned()),
        }
    }

    fn document(mut self) -> Result<Placed, String> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, _) => return Err("it is empty".to_owned()),
                event => {
                    let tree = self.node(event, 0)?;
                    return match (self.next()?.0, self.next()?.0) {
                        (Event::DocumentEnd, Event::StreamEnd) => Ok(tree),
                        _ => Err("it holds more than one document".to_owned()),
                    };
                }
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<(), String> {
        self.left =
            self.left.checked_sub(count).ok_or_else(|| format!("it holds more than {NODES} values"))?;
        Ok(())
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Placed, String> {
        let line = span.start.line();
        if depth > DEPTH {
            return Err(format!("line {line}: it is more than {DEPTH} levels deep"));
        }
        self.take(1)?;
        let before = self.left;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (Node::Scalar(text.into_owned(), style == ScalarStyle::Plain), anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        event => list.push(self.node(event, depth + 1)?),
                    }
                }
                (Node::List(list), anchor)
            }
            Event::MappingStart(anchor, _) => (Node::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                // One within itself is not there yet.
                let Some((tree, count)) = self.anchors.get(&anchor).cloned() else {
                    return Err(format!("line {line}: an alias of what is not there"));
                };
                self.take(count)?;
                return Ok(tree);
            }
            _ => return Err(format!("line {line}: a value is missing")),
        };
        let placed = Placed { node, line };
        if anchor != 0 {
            self.anchors.insert(anchor, (placed.clone(), before - self.left));
        }
        Ok(placed)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Placed)>, String> {
        let mut map: Vec<(String, Placed)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let key = match event {
                Event::MappingEnd => return Ok(map),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(format!("line {line}: a key is no text")),
            };
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            map.push((key, value));
        }
    }
}

/// The message of the innermost error, with the line where it was.
type Error = serde::de::value::Error;

impl Placed {
    fn at(&self, error: &Error) -> Error {
        let text = error.to_string();
        if text.starts_with("line ") {
            return Error::custom(text);
        }
        Error::custom(format!("line {}: {text}", self.line))
    }

    fn is_null(&self) -> bool {
        matches!(&self.node, Node::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A scalar's text, for a type that is written as one.
    fn scalar(&self, wanted: &str) -> Result<&str, Error> {
        match &self.node {
            Node::Scalar(text, _) => Ok(text),
            Node::List(_) => Err(self.at(&Error::custom(format!("a list where {wanted} is expected")))),
            Node::Map(_) => Err(self.at(&Error::custom(format!("a mapping where {wanted} is expected")))),
        }
    }

    /// Decimal, `0x`, `0o`, or octal by a leading zero, which file modes are written with.
    fn number(&self) -> Result<i64, Error> {
        let text = self.scalar("a number")?;
        let (digits, minus) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
        let read = match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => i64::from_str_radix(&digits[2..], 16),
            [b'0', b'o' | b'O', ..] => i64::from_str_radix(&digits[2..], 8),
            [b'0', b'0'..=b'7', ..] => i64::from_str_radix(&digits[1..], 8),
            _ => digits.parse(),
        };
        match read {
            Ok(number) if !digits.starts_with(['+', '-']) => Ok(if minus { -number } else { number }),
            _ => Err(self.at(&Error::custom(format!("{text:?} is no number")))),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_i64(self.number()?).map_err(|error: Error| self.at(&error))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Placed {
    type Error = Error;

    /// What nobody asks for by type: fields that are not known.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let made = match &self.node {
            Node::Scalar(..) if self.is_null() => visitor.visit_unit(),
            Node::Scalar(text, _) => visitor.visit_borrowed_str(text),
            Node::List(list) => SeqDeserializer::new(list.iter()).deserialize_any(visitor),
            Node::Map(map) => MapDeserializer::new(map.iter().map(|(key, value)| (key.as_str(), value)))
                .deserialize_any(visitor),
        };
        made.map_err(|error: Error| self.at(&error))
    }

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar("true or false")? {
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            text => Err(self.at(&Error::custom(format!("{text:?} is neither true nor false")))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.scalar("a text")?;
        visitor.visit_borrowed_str(text).map_err(|error: Error| self.at(&error))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StrDeserializer<'_, Error> = self.scalar("a name")?.into_deserializer();
        visitor.visit_enum(name).map_err(|error: Error| self.at(&error))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A key without a value is an empty list, as Go has it.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            return SeqDeserializer::new(std::iter::empty::<&Placed>()).deserialize_any(visitor);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.is_null() {
            let nothing = std::iter::empty::<(&str, &Placed)>();
            return MapDeserializer::new(nothing).deserialize_any(visitor);
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for &'de Placed {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Some {
        name: String,
        #[serde(default)]
        mode: Option<u32>,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        on: bool,
    }

    #[test]
    fn scalars_are_what_is_asked_for() {
        let read = |text: &str| from_str::<Some>(text);
        let some: Some = read("---\nname: 0\nmode: 0666\nlist: [a, 1, true]\non: true\n").unwrap();
        assert_eq!(
            some,
            Some {
                name: "0".to_owned(),
                mode: Some(0o666),
                list: ["a", "1", "true"].map(str::to_owned).to_vec(),
                on: true
            }
        );
        assert_eq!(read("name: x\nmode: 0o600").unwrap().mode, Some(0o600));
        assert_eq!(read("name: x\nmode: 438").unwrap().mode, Some(438));
        assert_eq!(read("name: x\nmode:\nlist:\n").unwrap().mode, None);
        assert_eq!(read("name: &a x\nlist: [*a, *a]").unwrap().list, ["x", "x"]);
        for (text, words) in [
            ("", "empty"),
            ("name: x\nmod: 1\n", "line 1: unknown field `mod`"),
            ("name: x\nmode: many\n", "line 2: \"many\" is no number"),
            ("name: x\nmode: -1\n", "line 2: invalid value"),
            ("name: [x]\n", "line 1: a list where a text is expected"),
            ("name: x\nlist: {a: b}\n", "line 2: invalid type: map"),
            ("name: x\n---\nname: y\n", "more than one document"),
            ("name: x\nlist: *b\n", "line 2: "),
            ("name: \"x\nlist: [", "line "),
            ("{a: b}: c", "line 1: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words) && error.lines().count() == 1, "{text:?}: {error}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (name, of) in
            ["b", "c", "d", "e", "f", "g", "h"].into_iter().zip(["a", "b", "c", "d", "e", "f", "g"])
        {
            bomb +=
                &format!("{name}: &{name} [*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of}]\n");
        }
        assert!(from_str::<Some>(&bomb).unwrap_err().contains("more than 200000 values"));
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(50_000)] {
            assert!(from_str::<Some>(&deep).unwrap_err().lines().count() == 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[-a-c:&*\\[\\]{}, \n\"'0?!|>#]{0,60}") {
            let _ = from_str::<Some>(&text);
        }
    }
}
