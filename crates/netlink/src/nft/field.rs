//! What rules look at, and keys are made of: how it is loaded into a register, how long it is, and what nft(8) calls its type.

use crate::message::Message;

const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_PAYLOAD_SREG: u16 = 5;
const NFTA_PAYLOAD_CSUM_TYPE: u16 = 6;
const NFTA_PAYLOAD_CSUM_OFFSET: u16 = 7;
const NFTA_CT_DREG: u16 = 1;
const NFTA_CT_KEY: u16 = 2;
const NFTA_CT_DIRECTION: u16 = 3;
const NFTA_RT_DREG: u16 = 1;
const NFTA_RT_KEY: u16 = 2;
const NFTA_FIB_DREG: u16 = 1;
const NFTA_FIB_RESULT: u16 = 2;
const NFTA_FIB_FLAGS: u16 = 3;

/// Something of a packet or its connection. Numbers are in the network's order but where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The name of the device that it came in by, 16 bytes, NULs at the end.
    InputName,
    /// The name of the device that it goes out by.
    OutputName,
    /// 2: IPv4, 10: IPv6; a byte.
    Protocol,
    /// 6: TCP, 17: UDP, 132: SCTP; a byte.
    Transport,
    /// IPv4 source address.
    Source4,
    /// IPv4 destination address.
    Destination4,
    /// IPv6 source address.
    Source6,
    /// IPv6 destination address.
    Destination6,
    /// TCP, UDP or SCTP source port.
    SourcePort,
    /// TCP, UDP or SCTP destination port.
    DestinationPort,
    /// The frame's source MAC address.
    EtherSource,
    /// The frame's type (0x0800, 0x0806, 0x86dd).
    EtherType,
    /// The IPv4 address that the sender of an ARP message says is its own.
    ArpSource4,
    /// The IPv4 address that an ARP message asks for, or answers.
    ArpTarget4,
    /// The MAC address that the sender of an ARP message says is its own.
    ArpSourceMac,
    /// The type of an ICMP message; a byte.
    IcmpType,
    /// The address that an IPv6 neighbour message is about.
    NeighbourTarget6,
    /// The number of a VXLAN's network, in the upper three bytes of four (RFC 7348, section 5), behind the UDP header.
    VxlanNetwork,
    /// What kind of address the destination is: [`Field::LOCAL`]; four bytes in the machine's order.
    DestinationKind,
    /// The connection's state, one bit each, in the machine's order: 2 established, 4 related, 8 new.
    ConnectionState,
    /// What was done to the connection, one bit each, in the machine's order: 0x20 the destination was translated.
    ConnectionStatus,
    /// The port that the connection was made to, before translation.
    OriginalPort,
    /// The packet's mark, in the machine's order.
    Mark,
    /// 1: it came by IPsec (`meta ipsec`, in a kernel with CONFIG_XFRM); a byte.
    CameByIpsec,
    /// 1: it goes by IPsec (`rt ipsec`, likewise); a byte.
    GoesByIpsec,
    /// Whom the frame was for: [`Field::FOR_ALL`]; a byte.
    FrameKind,
}

enum Load {
    Meta(u32),
    Payload(u32, u32),
    Connection(u32, Option<u8>),
    Route(u32),
    Fib,
}

impl Field {
    /// [`Field::DestinationKind`] of this host's own addresses (RTN_LOCAL).
    pub const LOCAL: [u8; 4] = 2_u32.to_ne_bytes();
    /// [`Field::FrameKind`] of broadcasts (PACKET_BROADCAST).
    pub const FOR_ALL: [u8; 1] = [1];

    /// Bytes.
    pub(super) fn length(self) -> usize {
        match self {
            Self::InputName
            | Self::OutputName
            | Self::Source6
            | Self::Destination6
            | Self::NeighbourTarget6 => 16,
            Self::Protocol
            | Self::Transport
            | Self::IcmpType
            | Self::FrameKind
            | Self::CameByIpsec
            | Self::GoesByIpsec => 1,
            Self::SourcePort | Self::DestinationPort | Self::EtherType | Self::OriginalPort => 2,
            Self::EtherSource | Self::ArpSourceMac => 6,
            Self::Source4
            | Self::Destination4
            | Self::ArpSource4
            | Self::ArpTarget4
            | Self::VxlanNetwork
            | Self::DestinationKind
            | Self::ConnectionState
            | Self::ConnectionStatus
            | Self::Mark => 4,
        }
    }

    /// Whether it is in the machine's order.
    pub(super) fn is_native(self) -> bool {
        matches!(
            self,
            Self::InputName
                | Self::OutputName
                | Self::DestinationKind
                | Self::ConnectionState
                | Self::ConnectionStatus
                | Self::Mark
        )
    }

    /// Registers have four bytes each, and a field has its own ones.
    pub(super) fn registers(self) -> u32 {
        self.length().div_ceil(4) as u32
    }

    /// nft's number of the type (`include/datatype.h`), for those who list the set.
    pub(super) fn data_type(self) -> u32 {
        match self {
            Self::InputName | Self::OutputName => 41,
            Self::Protocol => 2,
            Self::Transport => 12,
            Self::IcmpType => 29,
            Self::Source4 | Self::Destination4 | Self::ArpSource4 | Self::ArpTarget4 => 7,
            Self::Source6 | Self::Destination6 | Self::NeighbourTarget6 => 8,
            Self::SourcePort | Self::DestinationPort | Self::OriginalPort => 13,
            Self::EtherSource | Self::ArpSourceMac => 9,
            Self::EtherType => 10,
            Self::DestinationKind => 24,
            Self::ConnectionState => 26,
            Self::ConnectionStatus => 28,
            Self::CameByIpsec | Self::GoesByIpsec => 39,
            Self::FrameKind => 31,
            // A number of four bytes has no other name.
            Self::Mark | Self::VxlanNetwork => 19,
        }
    }

    fn load(self) -> Load {
        const LINK: u32 = 0;
        const NETWORK: u32 = 1;
        const TRANSPORT: u32 = 2;
        match self {
            Self::EtherType => Load::Meta(1),
            Self::Mark => Load::Meta(3),
            Self::InputName => Load::Meta(6),
            Self::OutputName => Load::Meta(7),
            Self::Protocol => Load::Meta(15),
            Self::Transport => Load::Meta(16),
            Self::FrameKind => Load::Meta(19),
            Self::Source4 => Load::Payload(NETWORK, 12),
            Self::Destination4 => Load::Payload(NETWORK, 16),
            Self::Source6 => Load::Payload(NETWORK, 8),
            Self::Destination6 => Load::Payload(NETWORK, 24),
            Self::SourcePort => Load::Payload(TRANSPORT, 0),
            Self::DestinationPort => Load::Payload(TRANSPORT, 2),
            Self::EtherSource => Load::Payload(LINK, 6),
            Self::ArpSourceMac => Load::Payload(NETWORK, 8),
            Self::ArpSource4 => Load::Payload(NETWORK, 14),
            Self::ArpTarget4 => Load::Payload(NETWORK, 24),
            Self::IcmpType => Load::Payload(TRANSPORT, 0),
            Self::VxlanNetwork => Load::Payload(TRANSPORT, 12),
            // Behind type, code, checksum and four bytes of flags (RFC 4861, section 4.4).
            Self::NeighbourTarget6 => Load::Payload(TRANSPORT, 8),
            Self::ConnectionState => Load::Connection(0, None),
            Self::ConnectionStatus => Load::Connection(2, None),
            Self::OriginalPort => Load::Connection(12, Some(0)),
            Self::DestinationKind => Load::Fib,
            Self::CameByIpsec => Load::Meta(25),
            Self::GoesByIpsec => Load::Route(4),
        }
    }

    /// The expression that writes `register` into the packet, and mends the transport's checksum, which is `checksum` bytes into its header.
    pub(super) fn put_back(self, register: u32, checksum: u32) -> Option<Message> {
        const NFT_PAYLOAD_CSUM_INET: u32 = 1;
        let Load::Payload(base, offset) = self.load() else { return None };
        let mut data = Message::new(0, 0, &[]);
        data.put_be32(NFTA_PAYLOAD_SREG, register);
        data.put_be32(NFTA_PAYLOAD_BASE, base);
        data.put_be32(NFTA_PAYLOAD_OFFSET, offset);
        data.put_be32(NFTA_PAYLOAD_LEN, self.length() as u32);
        data.put_be32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
        data.put_be32(NFTA_PAYLOAD_CSUM_OFFSET, checksum);
        Some(data)
    }

    /// The expression that loads it into `register`: its name and its data.
    pub(super) fn put(self, register: u32) -> (&'static str, Message) {
        let mut data = Message::new(0, 0, &[]);
        let name = match self.load() {
            Load::Meta(key) => {
                data.put_be32(NFTA_META_KEY, key);
                data.put_be32(NFTA_META_DREG, register);
                "meta"
            }
            Load::Payload(base, offset) => {
                data.put_be32(NFTA_PAYLOAD_DREG, register);
                data.put_be32(NFTA_PAYLOAD_BASE, base);
                data.put_be32(NFTA_PAYLOAD_OFFSET, offset);
                data.put_be32(NFTA_PAYLOAD_LEN, self.length() as u32);
                "payload"
            }
            Load::Connection(key, direction) => {
                data.put_be32(NFTA_CT_KEY, key);
                data.put_be32(NFTA_CT_DREG, register);
                if let Some(direction) = direction {
                    data.put_u8(NFTA_CT_DIRECTION, direction);
                }
                "ct"
            }
            Load::Route(key) => {
                data.put_be32(NFTA_RT_KEY, key);
                data.put_be32(NFTA_RT_DREG, register);
                "rt"
            }
            Load::Fib => {
                const ADDRTYPE: u32 = 3;
                const DADDR: u32 = 2;
                data.put_be32(NFTA_FIB_RESULT, ADDRTYPE);
                data.put_be32(NFTA_FIB_FLAGS, DADDR);
                data.put_be32(NFTA_FIB_DREG, register);
                "fib"
            }
        };
        (name, data)
    }
}
