//! Tables in a container's own namespace.
//!
//! Ports translated: a server that is asked at one port listens at another, so that a program of the
//! container's can have that port of all addresses.
//!
//! What goes to the port is changed behind everything else, and what comes from the server before everything else, so that whatever filters
//! or follows connections there sees the port that was asked. No connection is followed for it: containers that do not need that
//! keep their namespaces without.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use conex_netlink::nft::{Base, Batch, Chain, Family, Field, Hook, Nft, Rule, Table};

use super::elements::{METADATA_4, METADATA_6};
use super::failed;
use super::rules::{IPV4, IPV6};
use crate::Result;

const TABLE: Table<'_> = Table { family: Family::Ip, name: "conex" };
const METADATA: Table<'_> = Table { family: Family::Inet, name: "conex-metadata" };
const FIRST: i32 = -400;
const LAST: i32 = 400;

/// In that namespace, who asks at the address and port is answered by the servers there at other ports, for each transport (6: TCP, 17:
/// UDP). In place of what was so before.
///
/// # Errors
/// [`Error::Filter`](crate::Error::Filter).
pub fn translate_port(
    namespace: BorrowedFd<'_>,
    (address, port): (Ipv4Addr, u16),
    servers: [(u8, u16); 2],
) -> Result<()> {
    let mut batch = anew(TABLE);
    for (name, priority) in [("answers", FIRST), ("questions", LAST)] {
        batch.add_chain(TABLE, &Chain { name, base: Some(Base::filter(Hook::Output, priority)) });
    }
    let own = address.octets();
    for (transport, server) in servers {
        let answer = Rule::new().is(Field::Source4, &own).is(Field::Transport, &[transport]);
        let answer = answer.is(Field::SourcePort, &server.to_be_bytes());
        batch.add_rule(TABLE, "answers", answer.change_port(transport, Field::SourcePort, port));
        let question = Rule::new().is(Field::Destination4, &own).is(Field::Transport, &[transport]);
        let question = question.is(Field::DestinationPort, &port.to_be_bytes());
        batch.add_rule(TABLE, "questions", question.change_port(transport, Field::DestinationPort, server));
    }
    Nft::open_in(namespace).map_err(failed)?.run(&batch).map_err(failed)
}

/// In that namespace the metadata addresses of clouds are not reached: for who has a way out that no packet filter of the host's sees. Who has
/// CAP_NET_ADMIN there can undo it.
///
/// # Errors
/// [`Error::Filter`](crate::Error::Filter).
pub fn refuse_metadata(namespace: BorrowedFd<'_>) -> Result<()> {
    let mut batch = anew(METADATA);
    batch.add_chain(METADATA, &Chain { name: "output", base: Some(Base::filter(Hook::Output, LAST)) });
    let refused = || Rule::new().comment("metadata is not for containers");
    let v4 = refused().is(Field::Protocol, IPV4).is(Field::Destination4, &METADATA_4.octets());
    let v6 = refused().is(Field::Protocol, IPV6).is(Field::Destination6, &METADATA_6.octets());
    for rule in [v4, v6] {
        batch.add_rule(METADATA, "output", rule.counter().drop());
    }
    Nft::open_in(namespace).map_err(failed)?.run(&batch).map_err(failed)
}

/// A table in place of what was there of it.
fn anew(table: Table<'_>) -> Batch {
    let mut batch = Batch::new();
    // To be removed it has to be there.
    batch.add_table(table);
    batch.delete_table(table);
    batch.add_table(table);
    batch
}
