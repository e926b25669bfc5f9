//! Devices: made, found, listed, changed, moved to another namespace, removed.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::kind::{Kind, LinkDetails};
use super::{AF_INET6, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, Route};
use crate::attributes::{attributes, text, u32_of};
use crate::error::{Error, Result, unless_gone};
use crate::message::Message;
use crate::socket::{NLM_F_CREATE, NLM_F_EXCL};

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_STATS64: u16 = 23;
const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const HEADER: usize = 16;

/// In which network namespace a device is, or goes to.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// That of the request.
    Here,
    /// That of a process.
    Process(u32),
    /// That which is open.
    Namespace(BorrowedFd<'a>),
}

impl Place<'_> {
    pub(super) fn put(self, message: &mut Message) {
        match self {
            Self::Here => {}
            Self::Process(pid) => message.put_u32(IFLA_NET_NS_PID, pid),
            Self::Namespace(fd) => message.put_u32(IFLA_NET_NS_FD, fd.as_raw_fd().cast_unsigned()),
        }
    }
}

/// A device to be made.
#[derive(Debug, Clone)]
pub struct NewLink<'a> {
    /// At most 15 bytes.
    pub name: &'a str,
    /// Its kind.
    pub kind: Kind<'a>,
    /// Its MAC address; the kernel's choice without.
    pub mac: Option<[u8; 6]>,
    /// Bytes of a frame's content; the kernel's choice without.
    pub mtu: Option<u32>,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// Whether it is set up at once.
    pub up: bool,
    /// A note for people (`ip link show`), at most 255 bytes.
    pub alias: Option<&'a str>,
    /// Where it is made.
    pub place: Place<'a>,
}

impl<'a> NewLink<'a> {
    /// With nothing but a name and a kind.
    pub fn new(name: &'a str, kind: Kind<'a>) -> Self {
        Self { name, kind, mac: None, mtu: None, master: None, up: false, alias: None, place: Place::Here }
    }
}

/// What is to be changed of a device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Up or down.
    pub up: Option<bool>,
    /// Another name; it has to be down before Linux 6.2.
    pub name: Option<&'a str>,
    /// Another MAC address.
    pub mac: Option<[u8; 6]>,
    /// Another MTU.
    pub mtu: Option<u32>,
    /// The bridge that it becomes a port of; `Some(0)`: of none.
    pub master: Option<u32>,
    /// The namespace that it goes to.
    pub place: Option<Place<'a>>,
    /// Whether the kernel is to make it no link-local IPv6 address, when it is next set up: those that it makes do not count
    /// before a second has passed.
    pub bare: bool,
}

/// A device that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub details: LinkDetails,
    /// Its MAC address, where it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Bytes of a frame's content.
    pub mtu: u32,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// The other end of a veth pair, or the device below; a number of the namespace where that is.
    pub parent: Option<u32>,
    /// Whether it is set up.
    pub is_up: bool,
    /// Whether packets pass: it is set up, and has a carrier that the kernel has taken note of.
    pub is_running: bool,
    /// A note for people.
    pub alias: Option<String>,
    /// Packets and bytes received, packets and bytes sent.
    pub traffic: [u64; 4],
}

/// `struct ifinfomsg`
fn header(index: u32, up: Option<bool>) -> [u8; HEADER] {
    let (flags, change) = up.map_or((0, 0), |up| (u32::from(up) * IFF_UP, IFF_UP));
    header_with(index, flags, change)
}

fn header_with(index: u32, flags: u32, change: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

impl Route {
    /// Makes a device; its number.
    ///
    /// # Errors
    /// [`Error::Refused`]: EEXIST, EOPNOTSUPP for a kind that the kernel does not have, EPERM, EINVAL.
    pub fn add_link(&mut self, link: &NewLink<'_>) -> Result<u32> {
        self.create_link(link)?;
        // Made somewhere else it has a number there.
        match link.place {
            Place::Here => {
                let made = self.link(link.name)?;
                made.map(|made| made.index).ok_or_else(|| Error::Malformed { what: creating(link) })
            }
            Place::Process(_) | Place::Namespace(_) => Ok(0),
        }
    }

    /// Makes a device whose number nobody needs.
    ///
    /// # Errors
    /// As [`Route::add_link`].
    pub fn create_link(&mut self, link: &NewLink<'_>) -> Result<()> {
        let fixed = header(0, link.up.then_some(true));
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        message.put_text(IFLA_IFNAME, link.name);
        if let Some(mac) = link.mac {
            message.put(IFLA_ADDRESS, &mac);
        }
        for (kind, value) in
            [(IFLA_MTU, link.mtu), (IFLA_MASTER, link.master), (IFLA_LINK, link.kind.parent())]
        {
            if let Some(value) = value {
                message.put_u32(kind, value);
            }
        }
        link.place.put(&mut message);
        message.nest(IFLA_LINKINFO, |info| link.kind.describe(info, link.mtu));
        self.socket.request(&message, &|| creating(link))?;
        match link.alias {
            // Not taken into account when a device is made (`rtnl_newlink`).
            Some(alias) => self.describe(link.name, alias),
            None => Ok(()),
        }
    }

    /// Whether the kernel has this kind of device, which is asked for in a way that it refuses for every kind that it has: with a MAC
    /// address of three bytes, and no device below.
    ///
    /// # Errors
    /// [`Error::Refused`]: EPERM.
    pub fn has_kind(&mut self, kind: &str) -> Result<bool> {
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header(0, None));
        message.put(IFLA_ADDRESS, &[0; 3]);
        message.nest(IFLA_LINKINFO, |info| info.put(super::kind::IFLA_INFO_KIND, kind.as_bytes()));
        match self.socket.request(&message, &|| format!("ask for devices of the kind {kind}")) {
            Err(error) if error.is_unsupported() => Ok(false),
            Err(error) if error.errno() == Some(rustix::io::Errno::PERM.raw_os_error()) => Err(error),
            _ => Ok(true),
        }
    }

    fn describe(&mut self, name: &str, alias: &str) -> Result<()> {
        let mut message = Message::new(RTM_NEWLINK, 0, &header(0, None));
        message.put_text(IFLA_IFNAME, name);
        message.put(IFLA_IFALIAS, alias.as_bytes());
        self.socket.request(&message, &|| format!("describe the device {name}"))
    }

    /// The device of that name.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut message = Message::new(RTM_GETLINK, 0, &header(0, None));
        message.put_text(IFLA_IFNAME, name);
        let found = self.socket.get(&message, &|| format!("look for the device {name}"))?;
        Ok(found.and_then(|(_, payload)| Link::read(&payload)))
    }

    /// All devices.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let message = Message::new(RTM_GETLINK, 0, &header(0, None));
        let all = self.socket.dump(&message, &|| "list the network devices".to_owned())?;
        Ok(all
            .iter()
            .filter(|(kind, _)| *kind == RTM_NEWLINK)
            .filter_map(|(_, payload)| Link::read(payload))
            .collect())
    }

    /// Changes the device of that number.
    ///
    /// # Errors
    /// [`Error::Refused`]: ENODEV, EEXIST for a name, EBUSY.
    pub fn change_link(&mut self, index: u32, change: &Change<'_>) -> Result<()> {
        let mut message = Message::new(RTM_NEWLINK, 0, &header(index, change.up));
        if let Some(name) = change.name {
            message.put_text(IFLA_IFNAME, name);
        }
        if let Some(mac) = change.mac {
            message.put(IFLA_ADDRESS, &mac);
        }
        for (kind, value) in [(IFLA_MTU, change.mtu), (IFLA_MASTER, change.master)] {
            if let Some(value) = value {
                message.put_u32(kind, value);
            }
        }
        if let Some(place) = change.place {
            place.put(&mut message);
        }
        if change.bare {
            bare(&mut message);
        }
        self.socket.request(&message, &|| format!("change the network device number {index}"))
    }

    /// Sets the device up.
    ///
    /// # Errors
    /// As [`Route::change_link`].
    pub fn set_up(&mut self, index: u32) -> Result<()> {
        self.change_link(index, &Change { up: Some(true), ..Change::default() })
    }

    /// Sets the device up, one that asks nobody for the MAC addresses of neighbours.
    ///
    /// # Errors
    /// As [`Route::change_link`].
    pub fn set_up_without_arp(&mut self, index: u32) -> Result<()> {
        let flags = IFF_UP | IFF_NOARP;
        let message = Message::new(RTM_NEWLINK, 0, &header_with(index, flags, flags));
        self.socket.request(&message, &|| format!("set up the network device number {index}"))
    }

    /// Removes the device of that name, if there is one. As [`Route::delete_link`] it waits.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn delete_named(&mut self, name: &str) -> Result<()> {
        match self.link(name)? {
            Some(link) => unless_gone(self.delete_link(link.index)),
            None => Ok(()),
        }
    }

    /// Removes the device of that number; of a veth pair, both ends. The kernel waits until nobody is using it, which takes some
    /// ten milliseconds.
    ///
    /// # Errors
    /// [`Error::Refused`]: ENODEV, EOPNOTSUPP for hardware.
    pub fn delete_link(&mut self, index: u32) -> Result<()> {
        let message = Message::new(RTM_DELLINK, 0, &header(index, None));
        self.socket.request(&message, &|| format!("remove the network device number {index}"))
    }
}

/// No addresses of the kernel's own making (IN6_ADDR_GEN_MODE_NONE).
fn bare(message: &mut Message) {
    const IFLA_AF_SPEC: u16 = 26;
    const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
    const NONE: u8 = 1;
    message.nest(IFLA_AF_SPEC, |families| {
        families.nest(AF_INET6.into(), |inet6| inet6.put_u8(IFLA_INET6_ADDR_GEN_MODE, NONE));
    });
}

fn creating(link: &NewLink<'_>) -> String {
    format!("create the {} device {}", link.kind.name(), link.name)
}

impl Link {
    fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.get(HEADER..)?;
        let mut link = Self {
            index: u32_of(&payload[4..]),
            name: String::new(),
            details: LinkDetails::Other(String::new()),
            mac: None,
            mtu: 0,
            master: None,
            parent: None,
            is_up: u32_of(&payload[8..]) & IFF_UP != 0,
            is_running: u32_of(&payload[8..]) & IFF_RUNNING != 0,
            alias: None,
            traffic: [0; 4],
        };
        for (kind, value) in attributes(rest) {
            match kind {
                IFLA_IFNAME => link.name = text(value),
                IFLA_ADDRESS => link.mac = value.try_into().ok(),
                IFLA_MTU => link.mtu = u32_of(value),
                IFLA_MASTER => link.master = Some(u32_of(value)),
                IFLA_LINK => link.parent = Some(u32_of(value)).filter(|parent| *parent != 0),
                IFLA_LINKINFO => link.details = LinkDetails::read(value),
                IFLA_IFALIAS => link.alias = Some(text(value)),
                // `struct rtnl_link_stats64`: received and sent packets, received and sent bytes.
                IFLA_STATS64 => {
                    let number = |at: usize| {
                        value
                            .get(at * 8..)
                            .and_then(<[u8]>::first_chunk)
                            .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
                    };
                    link.traffic = [number(0), number(2), number(1), number(3)];
                }
                _ => {}
            }
        }
        Some(link)
    }
}
