//! What there is: tables, elements of sets, rules with their counters.

use super::set::{Element, ask_elements, read_elements};
use super::{Family, Nft, Table as Named, message};
use crate::attributes::{attributes, be64_of, find, text};
use crate::error::Result;

const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_USERDATA: u16 = 7;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
/// `struct nfgenmsg`
const HEADER: usize = 4;

/// A table that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its family's number.
    pub family: u8,
    /// What it is called.
    pub name: String,
}

/// A rule's chain, comment and counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    /// The chain.
    pub chain: String,
    /// The note that it was made with.
    pub comment: Option<String>,
    /// Packets and bytes, of a rule that counts.
    pub counted: Option<(u64, u64)>,
}

impl Nft {
    /// Whether the table is there.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn has_table(&mut self, table: Named<'_>) -> Result<bool> {
        let mut request = message(NFT_MSG_GETTABLE, 0, table.family);
        request.put_text(NFTA_TABLE_NAME, table.name);
        Ok(self.socket.get(&request, &|| format!("look for the table {}", table.name))?.is_some())
    }

    /// All tables of the namespace, everybody's.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn tables(&mut self) -> Result<Vec<Table>> {
        // Of every family.
        let mut request = message(NFT_MSG_GETTABLE, 0, Family::Inet);
        request.payload[0] = 0;
        let all = self.socket.dump(&request, &|| "list the tables".to_owned())?;
        let table = |payload: &[u8]| {
            let name = text(find(payload.get(HEADER..)?, NFTA_TABLE_NAME)?);
            Some(Table { family: *payload.first()?, name })
        };
        Ok(all.iter().filter_map(|(_, payload)| table(payload)).collect())
    }

    /// All elements of a set; none if it is not there.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn elements(&mut self, table: Named<'_>, set: &str) -> Result<Vec<Element>> {
        let mut request = message(NFT_MSG_GETSETELEM, 0, table.family);
        ask_elements(&mut request, table.name, set);
        match self.socket.dump(&request, &|| format!("list the set {} {set}", table.name)) {
            Ok(all) => Ok(all
                .iter()
                .filter_map(|(_, payload)| payload.get(HEADER..))
                .flat_map(read_elements)
                .collect()),
            Err(error) if error.is_gone() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// All rules of a table, in order, with what they have counted.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn rules(&mut self, table: Named<'_>) -> Result<Vec<RuleCount>> {
        let mut request = message(NFT_MSG_GETRULE, 0, table.family);
        request.put_text(NFTA_RULE_TABLE, table.name);
        match self.socket.dump(&request, &|| format!("list the rules of {}", table.name)) {
            Ok(all) => {
                Ok(all.iter().filter_map(|(_, payload)| RuleCount::read(payload.get(HEADER..)?)).collect())
            }
            Err(error) if error.is_gone() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl RuleCount {
    fn read(rule: &[u8]) -> Option<Self> {
        let chain = text(find(rule, NFTA_RULE_CHAIN)?);
        // libnftnl's own form: type 0, length, text with its NUL.
        let comment =
            find(rule, NFTA_RULE_USERDATA).and_then(|data| data.strip_prefix(&[0])).and_then(|data| {
                let length = usize::from(*data.first()?);
                Some(text(data.get(1..=length)?))
            });
        let expressions = find(rule, NFTA_RULE_EXPRESSIONS).unwrap_or_default();
        let counter = attributes(expressions)
            .find(|(_, expression)| {
                find(expression, NFTA_EXPR_NAME).is_some_and(|name| text(name) == "counter")
            })
            .and_then(|(_, expression)| find(expression, NFTA_EXPR_DATA));
        let number = |data, kind| find(data, kind).map_or(0, be64_of);
        let counted =
            counter.map(|data| (number(data, NFTA_COUNTER_PACKETS), number(data, NFTA_COUNTER_BYTES)));
        Some(Self { chain, comment, counted })
    }
}
