//! Of which Go type a value is in Docker's structs, where JSON does not tell: what may be left out, what is null, and what
//! is a map whose keys are the user's.
//!
//! A shape says nothing of the JSON that is printed: what is absent there stays absent.

use std::borrow::Cow;
use std::ops::Deref;

use serde_json::{Map, Value};

/// A Go type, as far as a template can tell.
#[derive(Debug)]
pub(crate) enum Shape {
    /// What the JSON shows: a null is nil, an object whose keys all begin with a capital is a struct.
    Any,
    /// A string, left out when empty.
    Text,
    /// Left out when it is zero.
    Number,
    /// `time.Duration`: nanoseconds, printed in units. Left out when it is zero.
    Duration,
    /// `time.Time`, of RFC 3339 in JSON.
    Time,
    /// Left out when it is false.
    Flag,
    /// Null when nil, and true when not, whatever it points to.
    Pointer(&'static Shape),
    /// A slice, null when nil.
    List(&'static Shape),
    /// A map, null when nil.
    Map(&'static Shape),
    /// A struct: the fields of the JSON, and these.
    Struct(&'static [(&'static str, Shape)]),
    /// Another name of the field: Go's `.ID` for JSON's `Id`.
    Alias(&'static str),
    /// What a map has under a key that is not in it. Whatever is asked of it is missing, too.
    Missing,
}

/// `map[string]string`
pub(crate) const TEXTS: Shape = Shape::Map(&Shape::Text);
/// `[]string`
pub(crate) const WORDS: Shape = Shape::List(&Shape::Text);

/// A value of a template, and of which type it is.
#[derive(Debug, Clone)]
pub(super) struct Val<'v> {
    value: Cow<'v, Value>,
    shape: &'static Shape,
}

impl Deref for Val<'_> {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.value
    }
}

impl From<Value> for Val<'_> {
    fn from(value: Value) -> Self {
        Self { value: Cow::Owned(value), shape: &Shape::Any }
    }
}

impl<'v> Val<'v> {
    pub(super) fn new(value: &'v Value, shape: &'static Shape) -> Self {
        Self { value: Cow::Borrowed(value), shape }
    }

    pub(super) fn into_value(self) -> Value {
        self.value.into_owned()
    }

    /// As the value behind a pointer.
    pub(super) fn shape(&self) -> &'static Shape {
        match self.shape {
            Shape::Pointer(inner) if !self.value.is_null() => inner,
            shape => shape,
        }
    }

    /// Go's zero of the type.
    fn zero(shape: &'static Shape) -> Self {
        let value = match shape {
            Shape::Text => Value::from(""),
            Shape::Number | Shape::Duration => Value::from(0),
            Shape::Time => Value::from("0001-01-01T00:00:00Z"),
            Shape::Flag => Value::Bool(false),
            Shape::Struct(_) => Value::Object(Map::new()),
            _ => Value::Null,
        };
        Self { value: Cow::Owned(value), shape }
    }

    /// A field or an entry of an object that is there.
    fn get(&self, name: &str, shape: &'static Shape) -> Option<Self> {
        let value = match &self.value {
            Cow::Borrowed(value) => Cow::Borrowed(value.get(name)?),
            Cow::Owned(value) => Cow::Owned(value.get(name)?.clone()),
        };
        if value.is_null() { Some(Self::zero(shape)) } else { Some(Self { value, shape }) }
    }

    /// `.Name` of a struct or a map; `None` when the type has no such field.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let missing = Self::zero(&Shape::Missing);
        match self.shape() {
            Shape::Missing => Some(missing),
            Shape::Map(inner) => Some(self.get(name, inner).unwrap_or(missing)),
            Shape::Struct(fields) if self.value.is_object() => {
                match fields.iter().find(|(known, _)| *known == name) {
                    Some((_, Shape::Alias(real))) => self.field(real),
                    Some((_, shape)) => Some(self.get(name, shape).unwrap_or_else(|| Self::zero(shape))),
                    None => self.get(name, &Shape::Any),
                }
            }
            _ => {
                let found = self.get(name, &Shape::Any);
                let is_map = self.value.as_object().is_some_and(|map| !is_struct(map));
                if is_map { Some(found.unwrap_or(missing)) } else { found }
            }
        }
    }

    /// `index` of a map: the zero of its values' type when the key is not there.
    pub(super) fn entry(&self, key: &str) -> Self {
        match self.shape() {
            Shape::Map(inner) => self.get(key, inner).unwrap_or_else(|| Self::zero(inner)),
            // Methods and other fields of a struct are not indexed, but it is harmless, and old templates do it.
            Shape::Struct(_) => self.field(key).unwrap_or_else(|| Self::zero(&Shape::Missing)),
            _ => self.get(key, &Shape::Any).unwrap_or_else(|| Self::zero(&Shape::Missing)),
        }
    }

    /// What the items of a list and the values of a map are.
    fn inner(&self) -> &'static Shape {
        match self.shape() {
            Shape::List(inner) | Shape::Map(inner) => inner,
            _ => &Shape::Any,
        }
    }

    /// An item of a list.
    pub(super) fn item(&self, number: usize) -> Option<Self> {
        let shape = self.inner();
        let value = match &self.value {
            Cow::Borrowed(value) => Cow::Borrowed(value.get(number)?),
            Cow::Owned(value) => Cow::Owned(value.get(number)?.clone()),
        };
        Some(Self { value, shape })
    }

    /// Keys and values to range over; keys come sorted, as Go's do. `None` for what has none.
    pub(super) fn pairs(self) -> Option<Vec<(Self, Self)>> {
        let shape = self.inner();
        let key = |key: &str| Self::from(Value::from(key));
        Some(match self.value {
            Cow::Borrowed(Value::Array(items)) => {
                let items = items.iter().enumerate();
                items.map(|(i, item)| (Value::from(i).into(), Self::new(item, shape))).collect()
            }
            Cow::Borrowed(Value::Object(map)) => {
                sorted(map).map(|(name, item)| (key(name), Self::new(item, shape))).collect()
            }
            Cow::Owned(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(i, item)| (Value::from(i).into(), Self { value: Cow::Owned(item), shape }))
                .collect(),
            Cow::Owned(Value::Object(map)) => sorted(&map)
                .map(|(name, item)| (key(name), Self { value: Cow::Owned(item.clone()), shape }))
                .collect(),
            _ => return None,
        })
    }

    /// How many items a list or a map has, none when it is nil; `None` of what is neither.
    pub(super) fn count(&self) -> Option<usize> {
        match (&*self.value, self.shape) {
            (Value::Array(items), _) => Some(items.len()),
            (Value::Object(map), _) => Some(map.len()),
            (Value::Null, Shape::List(_) | Shape::Map(_)) => Some(0),
            _ => None,
        }
    }

    /// Empty, zero, false and nil are not true; a struct is, and a pointer to anything.
    pub(super) fn truth(&self) -> bool {
        match (&*self.value, self.shape) {
            (Value::Null, _) => false,
            (_, Shape::Pointer(_) | Shape::Struct(_)) => true,
            (Value::Bool(flag), _) => *flag,
            (Value::Number(number), _) => number.as_f64() != Some(0.0),
            (Value::String(text), _) => !text.is_empty(),
            (Value::Array(items), _) => !items.is_empty(),
            (Value::Object(map), _) => !map.is_empty(),
        }
    }
}

/// JSON does not tell Go's structs (an unknown field is an error) from its maps (an unknown key is `<no value>`):
/// an object whose keys all begin with a capital is taken for a struct.
fn is_struct(map: &Map<String, Value>) -> bool {
    !map.is_empty() && map.keys().all(|key| key.starts_with(char::is_uppercase))
}

fn sorted(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_unstable_by_key(|(key, _)| *key);
    pairs.into_iter()
}
