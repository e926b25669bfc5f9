//! D-Bus's wire format, as far as talking to systemd takes it (D-Bus specification, "Type System"): values of every basic type,
//! arrays, structures and variants; no file descriptors, no dictionaries to write.
//!
//! Pure: values in, bytes out and back. What is read is bounded by the message it stands in.

/// Arrays and structures within one another; the specification allows 32 of each.
const MAX_DEPTH: usize = 64;

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Text(String),
    Path(String),
    Signature(String),
    /// The signature of one element, then the elements.
    Array(String, Vec<Value>),
    /// Also a dictionary's entry, where one is read.
    Struct(Vec<Value>),
    Variant(Box<Value>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `ay`
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".to_owned(), bytes.iter().copied().map(Self::Byte).collect())
    }

    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::I16(_) => "n".to_owned(),
            Self::U16(_) => "q".to_owned(),
            Self::I32(_) => "i".to_owned(),
            Self::U32(_) => "u".to_owned(),
            Self::I64(_) => "x".to_owned(),
            Self::U64(_) => "t".to_owned(),
            Self::Double(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(fields) => format!("({})", fields.iter().map(Self::signature).collect::<String>()),
            Self::Variant(_) => "v".to_owned(),
        }
    }

    /// Appends the value; alignment counts from the start of `out`, little-endian.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Byte(value) => out.push(*value),
            Self::Bool(value) => put(out, &u32::from(*value).to_le_bytes()),
            Self::I16(value) => put(out, &value.to_le_bytes()),
            Self::U16(value) => put(out, &value.to_le_bytes()),
            Self::I32(value) => put(out, &value.to_le_bytes()),
            Self::U32(value) => put(out, &value.to_le_bytes()),
            Self::I64(value) => put(out, &value.to_le_bytes()),
            Self::U64(value) => put(out, &value.to_le_bytes()),
            Self::Double(value) => put(out, &value.to_le_bytes()),
            Self::Text(text) | Self::Path(text) => {
                put(out, &length(text.len()).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Self::Signature(text) => {
                out.push(text.len().to_le_bytes()[0]);
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Self::Array(element, values) => {
                put(out, &[0; 4]);
                let length_at = out.len() - 4;
                align(out, alignment(element.as_bytes().first().copied().unwrap_or(b'y')));
                let start = out.len();
                for value in values {
                    value.write(out);
                }
                let bytes = length(out.len() - start).to_le_bytes();
                out[length_at..length_at + 4].copy_from_slice(&bytes);
            }
            Self::Struct(fields) => {
                align(out, 8);
                for field in fields {
                    field.write(out);
                }
            }
            Self::Variant(value) => {
                Self::Signature(value.signature()).write(out);
                value.write(out);
            }
        }
    }
}

/// Messages are refused before they come near this bound.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn align(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// A number, aligned to its own size.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    align(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// Takes values from bytes; `None` for anything that the format does not allow.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_little: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], is_little: bool) -> Self {
        Self { bytes, at: 0, is_little }
    }

    /// One value for each complete type of `signature`.
    pub(crate) fn read(&mut self, signature: &str) -> Option<Vec<Value>> {
        let mut rest = signature.as_bytes();
        let mut values = Vec::new();
        while !rest.is_empty() {
            let (one, after) = rest.split_at(complete(rest, 0)?);
            values.push(self.value(one, 0)?);
            rest = after;
        }
        Some(values)
    }

    fn value(&mut self, signature: &[u8], depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_to(alignment(*signature.first()?))?;
        Some(match signature.first()? {
            b'y' => Value::Byte(self.take(1)?[0]),
            b'b' => Value::Bool(self.u32()? != 0),
            b'n' => Value::I16(self.u16()?.cast_signed()),
            b'q' => Value::U16(self.u16()?),
            b'i' => Value::I32(self.u32()?.cast_signed()),
            b'u' | b'h' => Value::U32(self.u32()?),
            b'x' => Value::I64(self.u64()?.cast_signed()),
            b't' => Value::U64(self.u64()?),
            b'd' => Value::Double(f64::from_bits(self.u64()?)),
            b's' => Value::Text(self.text()?),
            b'o' => Value::Path(self.text()?),
            b'g' => Value::Signature(self.short_text()?),
            b'v' => {
                let inner = self.short_text()?;
                let inner = inner.as_bytes();
                (complete(inner, 0)? == inner.len()).then_some(())?;
                Value::Variant(Box::new(self.value(inner, depth + 1)?))
            }
            b'a' => {
                let element = &signature[1..];
                let bytes = self.u32()? as usize;
                self.skip_to(alignment(*element.first()?))?;
                let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len())?;
                let mut values = Vec::new();
                while self.at < end {
                    values.push(self.value(element, depth + 1)?);
                }
                (self.at == end).then_some(())?;
                Value::Array(String::from_utf8(element.to_vec()).ok()?, values)
            }
            b'(' | b'{' => {
                let mut rest = &signature[1..signature.len() - 1];
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let (one, after) = rest.split_at(complete(rest, 0)?);
                    fields.push(self.value(one, depth + 1)?);
                    rest = after;
                }
                Value::Struct(fields)
            }
            _ => return None,
        })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn skip_to(&mut self, alignment: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(alignment) - self.at).map(drop)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.try_into().ok()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn text(&mut self) -> Option<String> {
        let bytes = self.u32()? as usize;
        let text = self.take(bytes)?.to_vec();
        (self.take(1)? == [0]).then_some(())?;
        String::from_utf8(text).ok()
    }

    fn short_text(&mut self) -> Option<String> {
        let bytes = usize::from(self.take(1)?[0]);
        let text = self.take(bytes)?.to_vec();
        (self.take(1)? == [0]).then_some(())?;
        String::from_utf8(text).ok()
    }
}

/// How many bytes of a signature its first complete type is.
fn complete(signature: &[u8], depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH {
        return None;
    }
    match signature.first()? {
        b'a' => Some(1 + complete(&signature[1..], depth + 1)?),
        open @ (b'(' | b'{') => {
            let close = if *open == b'(' { b')' } else { b'}' };
            let mut at = 1;
            while *signature.get(at)? != close {
                at += complete(&signature[at..], depth + 1)?;
            }
            (at > 1).then_some(at + 1)
        }
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' | b'h' => {
            Some(1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_as_the_specification_has_them() {
        let mut out = Vec::new();
        Value::Array("s".to_owned(), vec![Value::text("hi")]).write(&mut out);
        assert_eq!(out, b"\x07\0\0\0\x02\0\0\0hi\0");
        out.clear();
        Value::Byte(1).write(&mut out);
        Value::Struct(vec![Value::text("CPUWeight"), Value::Variant(Box::new(Value::U64(7)))])
            .write(&mut out);
        assert_eq!(out, b"\x01\0\0\0\0\0\0\0\x09\0\0\0CPUWeight\0\x01t\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0");
        // The padding before the first element is not counted, also when there is none.
        out.clear();
        Value::Array("(sv)".to_owned(), Vec::new()).write(&mut out);
        assert_eq!(out, [0; 8]);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (signature, bytes) in [
            ("s", &b"\xff\xff\xff\xffx"[..]),
            ("s", b"\x01\0\0\0xx"),
            ("au", b"\x03\0\0\0\0\0\0\0"),
            ("v", b"\x02uu\0\0\0\0\0"),
            ("()", b""),
            ("(u", b"\0\0\0\0"),
            ("z", b"\0"),
            ("a", b"\0\0\0\0"),
        ] {
            assert_eq!(Reader::new(bytes, true).read(signature), None, "{signature}");
        }
        assert_eq!(Reader::new(&[0; 4096], true).read(&"a".repeat(255)), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::Byte),
            any::<bool>().prop_map(Value::Bool),
            any::<i16>().prop_map(Value::I16),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            any::<u64>().prop_map(Value::U64),
            "[a-zé]{0,9}".prop_map(Value::Text),
            proptest::collection::vec(any::<u64>(), 0..4).prop_map(|values| Value::Array(
                "t".to_owned(),
                values.into_iter().map(Value::U64).collect()
            )),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
                inner.prop_map(|value| Value::Variant(Box::new(value))),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_and_back(values in proptest::collection::vec(any_value(), 0..5)) {
            let mut out = Vec::new();
            let mut signature = String::new();
            for value in &values {
                value.write(&mut out);
                signature.push_str(&value.signature());
            }
            prop_assert_eq!(Reader::new(&out, true).read(&signature), Some(values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), signature in "[ybnqiuxtdsogva(){}]{0,12}") {
            let _no_panic = Reader::new(&bytes, false).read(&signature);
        }
    }
}
