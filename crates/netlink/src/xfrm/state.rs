//! Security associations: one direction between two hosts, with its keys.

use std::fmt;
use std::net::IpAddr;

use rustix::io::Errno;

use super::selector::{LENGTH, Selector};
use super::{ESP, TRANSPORT_MODE, Xfrm, family, for_ever, place};
use crate::attributes::{address, u16_of, u32_of};
use crate::error::Result;
use crate::message::Message;

const XFRM_MSG_NEWSA: u16 = 0x10;
const XFRM_MSG_DELSA: u16 = 0x11;
const XFRM_MSG_GETSA: u16 = 0x12;
const XFRM_MSG_UPDSA: u16 = 0x1a;
const XFRMA_ALG_CRYPT: u16 = 2;
const XFRMA_SRCADDR: u16 = 13;
const XFRMA_ALG_AUTH_TRUNC: u16 = 20;
const XFRMA_SA_EXTRA_FLAGS: u16 = 24;
const XFRMA_PROTO: u16 = 25;
const XFRM_SA_XFLAG_OSEQ_MAY_WRAP: u32 = 2;
/// Bytes of `struct xfrm_usersa_info`, `struct xfrm_usersa_id`.
const INFO: usize = 224;
const ID: usize = 24;
/// Of a tag, of the 256 that the hash has (RFC 4868, section 2.1).
const TAG_BITS: u32 = 128;

/// AES-256's and HMAC-SHA-256's.
#[derive(Clone)]
pub struct Keys {
    /// Of AES-256-CBC.
    pub encryption: [u8; 32],
    /// Of HMAC-SHA-256.
    pub authentication: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// An association: what it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Who sends.
    pub source: IpAddr,
    /// Who receives.
    pub destination: IpAddr,
    /// What packets have it by, with the destination; from 256 on (RFC 4303, section 2.1).
    pub spi: u32,
    /// Which policies it is for.
    pub reqid: u32,
}

/// An association in the making, for packets of one selector.
#[derive(Debug, Clone)]
pub struct NewState {
    /// What it will be known by.
    pub state: State,
    /// What passes by it.
    pub selector: Selector,
    /// With which keys.
    pub keys: Keys,
}

impl Xfrm {
    /// Adds an association for good.
    ///
    /// The kernel counts the packets that it sends, and makes initialisation vectors of that number and a random one of the association's
    /// (`echainiv`). It does not look whether a packet comes twice: with keys that both have had before, the other end cannot know how
    /// far the count was. For the same reason the count may start over after 2³² packets (RFC 4303, section 3.3.3); kernels that do
    /// not know the flag (XFRM_SA_XFLAG_OSEQ_MAY_WRAP) send no more then.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EEXIST, EPROTONOSUPPORT without ESP, ENOSYS or ENOENT without one of the algorithms.
    pub fn add_state(&mut self, new: &NewState) -> Result<()> {
        let state = &new.state;
        self.socket.request(&message(XFRM_MSG_NEWSA, new), &|| {
            format!("add the security association {:#010x} to {}", state.spi, state.destination)
        })
    }

    /// Whether the kernel has ESP and the algorithms, for that family. Nothing is left of the question: it changes an association that
    /// is not there, which the kernel makes whole before it looks for the one to be changed.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EPERM.
    pub fn has_esp(&mut self, is_v4: bool) -> Result<bool> {
        let nobody: IpAddr =
            if is_v4 { [192, 0, 2, 0].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0].into() };
        // Reserved, never on the wire (RFC 4303, section 2.1).
        let state = State { source: nobody, destination: nobody, spi: 0x100, reqid: 0 };
        let keys = Keys { encryption: [1; 32], authentication: [1; 32] };
        let new = NewState { state, selector: Selector { is_v4, port: 1 }, keys };
        match self.socket.request(&message(XFRM_MSG_UPDSA, &new), &|| "ask for ESP".to_owned()) {
            Ok(()) => Ok(true),
            Err(error) => match error.errno().map(Errno::from_raw_os_error) {
                Some(Errno::SRCH) => Ok(true),
                // No such protocol, cipher or hash, or no such family.
                Some(Errno::PROTONOSUPPORT | Errno::NOSYS | Errno::NOENT | Errno::AFNOSUPPORT) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Removes an association.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): ESRCH.
    pub fn delete_state(&mut self, state: &State) -> Result<()> {
        let mut id = [0; ID];
        id[..16].copy_from_slice(&place(state.destination));
        id[16..20].copy_from_slice(&state.spi.to_be_bytes());
        id[20..22].copy_from_slice(&family(state.destination.is_ipv4()).to_ne_bytes());
        id[22] = ESP;
        let mut message = Message::new(XFRM_MSG_DELSA, 0, &id);
        message.put(XFRMA_SRCADDR, &place(state.source));
        self.socket.request(&message, &|| {
            format!("remove the security association {:#010x} to {}", state.spi, state.destination)
        })
    }

    /// All associations of ESP, everybody's. Those without an SPI are questions to a key daemon, and left out.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused).
    pub fn states(&mut self) -> Result<Vec<State>> {
        let mut message = Message::new(XFRM_MSG_GETSA, 0, &[0; ID]);
        message.put_u8(XFRMA_PROTO, ESP);
        let all = self.socket.dump(&message, &|| "list the security associations".to_owned())?;
        Ok(all
            .iter()
            .filter(|(kind, _)| *kind == XFRM_MSG_NEWSA)
            .filter_map(|(_, payload)| read(payload))
            .filter(|state| state.spi != 0)
            .collect())
    }
}

/// `struct xfrm_usersa_info`, and the algorithms.
fn message(kind: u16, new: &NewState) -> Message {
    let NewState { state, selector, keys } = new;
    // Of what is zero: no replay window, no time, no flags.
    let mut info = [0; INFO];
    info[..LENGTH].copy_from_slice(&selector.bytes());
    info[56..72].copy_from_slice(&place(state.destination));
    info[72..76].copy_from_slice(&state.spi.to_be_bytes());
    info[76] = ESP;
    info[80..96].copy_from_slice(&place(state.source));
    info[96..160].copy_from_slice(&for_ever());
    info[208..212].copy_from_slice(&state.reqid.to_ne_bytes());
    info[212..214].copy_from_slice(&family(state.destination.is_ipv4()).to_ne_bytes());
    info[214] = TRANSPORT_MODE;
    let mut message = Message::new(kind, 0, &info);
    message.put(XFRMA_ALG_AUTH_TRUNC, &algorithm("hmac(sha256)", Some(TAG_BITS), &keys.authentication));
    message.put(XFRMA_ALG_CRYPT, &algorithm("cbc(aes)", None, &keys.encryption));
    message.put_u32(XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_OSEQ_MAY_WRAP);
    message
}

/// `struct xfrm_algo` or `struct xfrm_algo_auth`: a name, bits of the key, bits of a tag, the key.
fn algorithm(name: &str, tag: Option<u32>, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(64, 0);
    bytes.extend_from_slice(&(8 * key.len() as u32).to_ne_bytes());
    bytes.extend(tag.into_iter().flat_map(u32::to_ne_bytes));
    bytes.extend_from_slice(key);
    bytes
}

fn read(payload: &[u8]) -> Option<State> {
    let info = payload.get(..INFO)?;
    let length = if u16_of(&info[212..]) == family(true) { 4 } else { 16 };
    Some(State {
        source: address(&info[80..80 + length])?,
        destination: address(&info[56..56 + length])?,
        spi: u32::from_be_bytes(*info[72..].first_chunk()?),
        reqid: u32_of(&info[208..]),
    })
}
