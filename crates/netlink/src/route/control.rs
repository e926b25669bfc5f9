//! Traffic control (tc(8)): a BPF program that is asked for every packet that a device is about to send.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::Route;
use crate::error::Result;
use crate::message::Message;
use crate::socket::{NLM_F_CREATE, NLM_F_EXCL};

const RTM_NEWQDISC: u16 = 36;
const RTM_NEWTFILTER: u16 = 44;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
/// The program says itself what becomes of the packet.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const TC_H_CLSACT: u32 = 0xffff_fff1;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)`
const EGRESS: u32 = 0xffff_fff3;
const PRIORITY: u32 = 1;
const ETH_P_ALL: u16 = 3;

/// `struct tcmsg`
fn header(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, index, handle, parent, info].into_iter().flat_map(u32::to_ne_bytes).collect()
}

impl Route {
    /// Has the program (`BPF_PROG_TYPE_SCHED_CLS`) asked for all that the device sends, which must have none yet.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): EEXIST, ENOENT for a kernel without `clsact` or `cls_bpf`, EPERM.
    pub fn ask_on_egress(&mut self, index: u32, program: BorrowedFd<'_>, name: &str) -> Result<()> {
        let fixed = header(index, TC_H_CLSACT & 0xffff_0000, TC_H_CLSACT, 0);
        let mut queue = Message::new(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        queue.put_text(TCA_KIND, "clsact");
        self.socket.request(&queue, &|| "add the qdisc clsact".to_owned())?;
        let fixed = header(index, 0, EGRESS, PRIORITY << 16 | u32::from(ETH_P_ALL.to_be()));
        let mut filter = Message::new(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &fixed);
        filter.put_text(TCA_KIND, "bpf");
        filter.nest(TCA_OPTIONS, |options| {
            options.put_u32(TCA_BPF_FD, program.as_raw_fd().cast_unsigned());
            options.put_text(TCA_BPF_NAME, name);
            options.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
        });
        self.socket.request(&filter, &|| format!("add the filter {name}"))
    }
}
