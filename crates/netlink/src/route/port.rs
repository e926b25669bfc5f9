//! What a bridge does with one of its ports (`<linux/if_link.h>`, IFLA_BRPORT_*).

use super::link::IFLA_LINKINFO;
use super::{RTM_NEWLINK, Route};
use crate::error::Result;
use crate::message::Message;

const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BRPORT_LOCKED: u16 = 39;

/// Options of a port; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// Frames may go back out where they came in.
    pub hairpin: Option<bool>,
    /// Where MAC addresses are is learnt from what comes in here.
    pub learning: Option<bool>,
    /// Frames for unknown MAC addresses go out here.
    pub flood: Option<bool>,
    /// Nothing goes to other isolated ports (Linux 4.18).
    pub isolated: Option<bool>,
    /// Frames come in only from MAC addresses that the bridge knows to be here (Linux 5.16).
    pub locked: Option<bool>,
}

impl Route {
    /// Sets options of a device that is a port of a bridge.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EOPNOTSUPP, EINVAL for one that is no port.
    pub fn set_bridge_port(&mut self, index: u32, port: &BridgePort) -> Result<()> {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut message = Message::new(RTM_NEWLINK, 0, &fixed);
        message.nest(IFLA_LINKINFO, |info| {
            info.put(IFLA_INFO_SLAVE_KIND, b"bridge");
            info.nest(IFLA_INFO_SLAVE_DATA, |data| {
                for (kind, value) in [
                    (IFLA_BRPORT_MODE, port.hairpin),
                    (IFLA_BRPORT_LEARNING, port.learning),
                    (IFLA_BRPORT_UNICAST_FLOOD, port.flood),
                    (IFLA_BRPORT_ISOLATED, port.isolated),
                    (IFLA_BRPORT_LOCKED, port.locked),
                ] {
                    if let Some(value) = value {
                        data.put_u8(kind, value.into());
                    }
                }
            });
        });
        self.socket.request(&message, &|| format!("set options of the bridge's port number {index}"))
    }
}
