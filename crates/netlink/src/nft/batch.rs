//! Transactions.

use super::rule::Rule;
use super::set::{Element, Set};
use super::{Family, Table, message};
use crate::error::Result;
use crate::message::Message;
use crate::socket::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, Socket};

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_MSG_DESTROYSETELEM: u16 = 30;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;

/// Elements that go into one message: an attribute, and with it a list, has less than 64 KiB.
const AT_ONCE: usize = 256;

/// Where in a packet's way a chain is asked (`<linux/netfilter.h>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// Before it is decided where it goes.
    Prerouting = 0,
    /// It is for this host.
    Input = 1,
    /// It goes through this host.
    Forward = 2,
    /// It comes from this host.
    Output = 3,
    /// It is about to leave.
    Postrouting = 4,
}

/// What makes a chain one that the kernel asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    kind: &'static str,
    hook: Hook,
    priority: i32,
}

impl Base {
    /// One that lets packets pass or not; the policy is to let them.
    pub fn filter(hook: Hook, priority: i32) -> Self {
        Self { kind: "filter", hook, priority }
    }

    /// One that translates addresses, asked for the first packet of a connection.
    pub fn nat(hook: Hook, priority: i32) -> Self {
        Self { kind: "nat", hook, priority }
    }
}

/// A chain to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Without, it is only jumped to.
    pub base: Option<Base>,
}

/// Changes that are made together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    messages: Vec<Message>,
    /// For people, one for each message.
    what: Vec<String>,
}

impl Batch {
    /// Of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn push(&mut self, message: Message, what: String) {
        self.messages.push(message);
        self.what.push(what);
    }

    /// A table, if it is not there.
    pub fn add_table(&mut self, table: Table<'_>) {
        let mut message = message(NFT_MSG_NEWTABLE, NLM_F_CREATE, table.family);
        message.put_text(NFTA_TABLE_NAME, table.name);
        self.push(message, format!("create the table {}", table.name));
    }

    /// Removes a table, which must be there, with all that is in it.
    pub fn delete_table(&mut self, table: Table<'_>) {
        let mut message = message(NFT_MSG_DELTABLE, 0, table.family);
        message.put_text(NFTA_TABLE_NAME, table.name);
        self.push(message, format!("remove the table {}", table.name));
    }

    /// A chain, if it is not there.
    pub fn add_chain(&mut self, table: Table<'_>, chain: &Chain<'_>) {
        const NF_ACCEPT: u32 = 1;
        let mut message = message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, table.family);
        message.put_text(NFTA_CHAIN_TABLE, table.name);
        message.put_text(NFTA_CHAIN_NAME, chain.name);
        if let Some(base) = chain.base {
            message.nest(NFTA_CHAIN_HOOK, |hook| {
                hook.put_be32(NFTA_HOOK_HOOKNUM, base.hook as u32);
                hook.put_be32(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
            });
            message.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
            message.put_text(NFTA_CHAIN_TYPE, base.kind);
        }
        self.push(message, format!("create the chain {} {}", table.name, chain.name));
    }

    /// A rule, at the chain's end.
    pub fn add_rule(&mut self, table: Table<'_>, chain: &str, rule: Rule) {
        let mut message = message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table.family);
        message.put_text(NFTA_RULE_TABLE, table.name);
        message.put_text(NFTA_RULE_CHAIN, chain);
        rule.put(&mut message);
        self.push(message, format!("add a rule to the chain {} {chain}", table.name));
    }

    /// A set or a map, if it is not there.
    pub fn add_set(&mut self, table: Table<'_>, set: &Set<'_>) {
        let mut message = message(NFT_MSG_NEWSET, NLM_F_CREATE, table.family);
        // Sets are told apart within a transaction by numbers.
        let number = u32::try_from(self.messages.len() + 1).unwrap_or(u32::MAX);
        set.put(&mut message, table.name, number);
        self.push(message, format!("create the set {} {}", table.name, set.name));
    }

    /// Puts elements into a set. One that is there already, with the same value, is no error.
    pub fn add_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, set, elements);
    }

    /// Puts elements into a set, none of which may be there.
    pub fn create_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, table, set, elements);
    }

    /// Takes elements, which must be there, out of a set.
    pub fn delete_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_DELSETELEM, 0, table, set, elements);
    }

    /// Takes elements out of a set, if they are there (Linux 6.3; EINVAL before).
    pub fn destroy_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_DESTROYSETELEM, 0, table, set, elements);
    }

    fn elements(&mut self, number: u16, flags: u16, table: Table<'_>, set: &str, elements: &[Element]) {
        for some in elements.chunks(AT_ONCE) {
            let mut message = message(number, flags, table.family);
            super::set::put_elements(&mut message, table.name, set, some);
            self.push(message, format!("change the elements of the set {} {set}", table.name));
        }
    }

    pub(super) fn send(&self, socket: &mut Socket) -> Result<()> {
        let frame = |kind| Message::new(kind, 0, &[0, 0, 0, 10]);
        let what = |index: usize| {
            self.what.get(index).cloned().unwrap_or_else(|| "change the packet filter".to_owned())
        };
        socket.transact(&frame(NFNL_MSG_BATCH_BEGIN), &self.messages, &frame(NFNL_MSG_BATCH_END), &what)
    }
}

impl Family {
    /// As nft(8) writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Bridge => "bridge",
            Self::Ip6 => "ip6",
        }
    }
}
