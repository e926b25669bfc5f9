//! Sets and maps, and their elements.

use super::NFTA_LIST_ELEM;
use super::field::Field;
use super::rule::Verdict;
use crate::message::Message;

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_TIMEOUT: u16 = 11;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(super) const NFTA_SET_ELEM_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NFT_SET_MAP: u32 = 0x8;
const NFT_SET_TIMEOUT: u32 = 0x10;
const NFT_SET_EVAL: u32 = 0x20;
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

/// What a set has for each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing: it is a set.
    None,
    /// A verdict.
    Verdict,
    /// These fields.
    Fields(&'a [Field]),
    /// Nothing: it is a set that rules remember packets in, for as many milliseconds, at most 65,535 at a time (the kernel's choice: a size
    /// that is asked for has its memory at once).
    Remembered(u64),
}

/// A set or map to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What its keys are made of.
    pub key: &'a [Field],
    /// What it has for each.
    pub value: Value<'a>,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    key: Vec<u8>,
    data: Option<Result<Vec<u8>, Verdict>>,
}

impl Element {
    /// Of a set; the parts are those of its key, in order.
    pub fn new(key: &[&[u8]]) -> Self {
        // One of a single part is as long as that.
        let key = if let [one] = key { one.to_vec() } else { joined(key) };
        Self { key, data: None }
    }

    /// Of a map; the parts are those of its key, and those of its value.
    pub fn mapped(key: &[&[u8]], value: &[&[u8]]) -> Self {
        Self { key: joined(key), data: Some(Ok(joined(value))) }
    }

    /// Of a map of verdicts.
    pub fn judged(key: &[&[u8]], verdict: Verdict) -> Self {
        Self { key: joined(key), data: Some(Err(verdict)) }
    }

    pub(super) fn read(key: &[u8], data: Option<&[u8]>) -> Self {
        Self { key: key.to_vec(), data: data.map(|data| Ok(data.to_vec())) }
    }

    /// Its key, each of several parts filled up to four bytes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its value, likewise.
    pub fn value(&self) -> Option<&[u8]> {
        self.data.as_ref().and_then(|data| data.as_deref().ok())
    }
}

/// Parts as they are in keys and values: one by itself as it is, several each filled up to four bytes.
pub(super) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    if let [one] = parts {
        return one.to_vec();
    }
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(part);
        all.resize(all.len().next_multiple_of(4), 0);
    }
    all
}

/// Type and length of fields together.
fn describe(fields: &[Field]) -> (u32, u32) {
    let kind = fields.iter().fold(0, |kind, field| kind << 6 | field.data_type());
    // A key of one field is as long as the field.
    let length = match fields {
        [one] => one.length() as u32,
        many => many.iter().map(|field| field.registers() * 4).sum(),
    };
    (kind, length)
}

impl Set<'_> {
    pub(super) fn put(&self, message: &mut Message, table: &str, number: u32) {
        message.put_text(NFTA_SET_TABLE, table);
        message.put_text(NFTA_SET_NAME, self.name);
        let (kind, length) = describe(self.key);
        let flags = match self.value {
            Value::None => 0,
            Value::Verdict | Value::Fields(_) => NFT_SET_MAP,
            Value::Remembered(_) => NFT_SET_TIMEOUT | NFT_SET_EVAL,
        };
        message.put_be32(NFTA_SET_FLAGS, flags);
        message.put_be32(NFTA_SET_KEY_TYPE, kind);
        message.put_be32(NFTA_SET_KEY_LEN, length);
        match self.value {
            Value::None => {}
            Value::Verdict => {
                message.put_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
                message.put_be32(NFTA_SET_DATA_LEN, 0);
            }
            Value::Fields(fields) => {
                let (kind, length) = describe(fields);
                message.put_be32(NFTA_SET_DATA_TYPE, kind);
                message.put_be32(NFTA_SET_DATA_LEN, length);
            }
            Value::Remembered(timeout) => message.put(NFTA_SET_TIMEOUT, &timeout.to_be_bytes()),
        }
        message.put_be32(NFTA_SET_ID, number);
        // For nft(8), in libnftnl's own form: type 0 (the key's byte order), length, the machine's (1) or the network's (2).
        if let [one] = self.key {
            let order = if one.is_native() { 1_u32 } else { 2 };
            message.put(NFTA_SET_USERDATA, &[&[0, 4], &order.to_ne_bytes()[..]].concat());
        }
    }
}

/// Elements of one message.
pub(super) fn put_elements(message: &mut Message, table: &str, set: &str, elements: &[Element]) {
    message.put_text(NFTA_SET_ELEM_LIST_TABLE, table);
    message.put_text(NFTA_SET_ELEM_LIST_SET, set);
    message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        for element in elements {
            list.nest(NFTA_LIST_ELEM, |one| {
                one.nest(NFTA_SET_ELEM_KEY, |key| key.put(NFTA_DATA_VALUE, &element.key));
                match &element.data {
                    None => {}
                    Some(Ok(value)) => one.nest(NFTA_SET_ELEM_DATA, |data| data.put(NFTA_DATA_VALUE, value)),
                    Some(Err(verdict)) => verdict.put(one, NFTA_SET_ELEM_DATA),
                }
            });
        }
    });
}

/// A request for all elements.
pub(super) fn ask_elements(message: &mut Message, table: &str, set: &str) {
    message.put_text(NFTA_SET_ELEM_LIST_TABLE, table);
    message.put_text(NFTA_SET_ELEM_LIST_SET, set);
}

/// The elements in an answer.
pub(super) fn read_elements(payload: &[u8]) -> Vec<Element> {
    use crate::attributes::{attributes, find};
    let list = find(payload, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
    let element = |bytes| {
        let key = find(find(bytes, NFTA_SET_ELEM_KEY)?, NFTA_DATA_VALUE)?;
        let data = find(bytes, NFTA_SET_ELEM_DATA).and_then(|data| find(data, NFTA_DATA_VALUE));
        Some(Element::read(key, data))
    };
    attributes(list).filter_map(|(_, bytes)| element(bytes)).collect()
}
