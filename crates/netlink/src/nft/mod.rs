//! nftables: tables, chains, sets, maps and rules, written in transactions that the kernel does wholly or not at all.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use conex_netlink::nft::{Base, Batch, Chain, Family, Field, Hook, Nft, Rule, Table};
//! let table = Table { family: Family::Inet, name: "conex" };
//! let mut batch = Batch::new();
//! batch.add_table(table);
//! batch.add_chain(table, &Chain { name: "forward", base: Some(Base::filter(Hook::Forward, 0)) });
//! batch.add_rule(table, "forward", Rule::new().is(Field::InputName, b"eth0").counter().drop());
//! Nft::open()?.run(&batch)?;
//! # Ok(()) }
//! ```

mod batch;
mod field;
mod look;
mod rule;
mod set;

use std::os::fd::BorrowedFd;

use rustix::net::netlink;

pub use self::batch::{Base, Batch, Chain, Hook};
pub use self::field::Field;
pub use self::look::{RuleCount, Table as ThereIs};
pub use self::rule::{Rule, Verdict};
pub use self::set::{Element, Set, Value};
use crate::error::Result;
use crate::message::Message;
use crate::socket::Socket;

/// `(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_…`
const SUBSYSTEM: u16 = 10 << 8;
const NFTA_LIST_ELEM: u16 = 1;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// Frames on bridges.
    Bridge = 7,
    /// IPv6.
    Ip6 = 10,
}

/// A table by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table<'a> {
    /// Which packets it sees.
    pub family: Family,
    /// What it is called.
    pub name: &'a str,
}

/// A way to the tables of one network namespace.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
}

impl Nft {
    /// To the namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Open`](crate::Error::Open).
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Some(netlink::NETFILTER))? })
    }

    /// To another one, which the calling thread enters for a moment.
    ///
    /// # Errors
    /// [`Error::Open`](crate::Error::Open).
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { socket: Socket::open_in(namespace, Some(netlink::NETFILTER))? })
    }

    /// Does all that is in the batch, or nothing.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused), with what of the batch.
    pub fn run(&mut self, batch: &Batch) -> Result<()> {
        batch.send(&mut self.socket)
    }
}

/// A message about something in a table: `struct nfgenmsg` in front.
fn message(number: u16, flags: u16, family: Family) -> Message {
    Message::new(SUBSYSTEM | number, flags, &[family as u8, 0, 0, 0])
}
