//! Supervisors: a connection each, a container registered for as long as it is open.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketFlags, accept_with,
    recvmsg,
};

use super::{Server, Source};
use crate::registration::Registration;

/// A supervisor, and what belongs to its container.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) connection: OwnedFd,
    /// The container's sockets, by their numbers.
    sockets: Vec<u64>,
    /// Questions of the container's that other servers are asked.
    pub(super) flights: usize,
    /// Resolvers of the container's that are connected.
    pub(super) streams: usize,
}

impl Server {
    /// Lets in who waits.
    pub(super) fn admit(&mut self, front: u64) {
        loop {
            let Some(Source::Listener(listener)) = self.sources.get(&front) else { return };
            match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) => {
                    let door = Door { connection, sockets: Vec::new(), flights: 0, streams: 0 };
                    if self.watch(Source::Door(door), EventFlags::IN).is_ok() {
                        self.doors += 1;
                        self.alone_since = None;
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes a registration, or the end.
    pub(super) fn listen_at(&mut self, number: u64) {
        let Some(Source::Door(door)) = self.sources.get(&number) else { return };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut self.buffer)];
        let received =
            recvmsg(&door.connection, parts, &mut control, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC);
        let (count, flags) = match received {
            Ok(received) => (received.bytes, received.flags),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => return self.shut(number),
        };
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        let is_whole = !flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        let registration = match serde_json::from_slice::<Registration>(&self.buffer[..count]) {
            Ok(registration) if is_whole => registration,
            // The end, or somebody else.
            _ => return self.shut(number),
        };
        log::debug!("{} is {:?}", registration.id, registration.names);
        if let Ok([udp, tcp]) = <[OwnedFd; 2]>::try_from(fds) {
            let datagrams = Source::Datagrams { socket: udp, door: number };
            for source in [datagrams, Source::Connections { socket: tcp, door: number }] {
                let Ok(socket) = self.watch(source, EventFlags::IN) else { return self.shut(number) };
                if let Some(Source::Door(door)) = self.sources.get_mut(&number) {
                    door.sockets.push(socket);
                }
            }
        }
        self.directory.set(number, registration);
        if let Some(Source::Door(door)) = self.sources.get(&number) {
            let _ = rustix::net::send(&door.connection, b"+", SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

    /// A container has ended: nothing of it is known any more.
    fn shut(&mut self, number: u64) {
        self.directory.remove(number);
        let Some(Source::Door(door)) = self.unwatch(number) else { return };
        for socket in door.sockets {
            self.unwatch(socket);
        }
        let of_it = |source: &Source| matches!(source, Source::Stream(stream) if stream.door == number);
        let streams: Vec<u64> =
            self.sources.iter().filter(|(_, source)| of_it(source)).map(|(stream, _)| *stream).collect();
        streams.into_iter().for_each(|stream| self.close_stream(stream));
        let flights: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.door == number)
            .map(|(flight, _)| *flight)
            .collect();
        flights.into_iter().for_each(|flight| drop(self.land(flight)));
        self.doors -= 1;
        if self.doors == 0 {
            self.alone_since = Some(Instant::now());
            // What many containers needed is not what the next will.
            self.sources.shrink_to_fit();
            self.flights.shrink_to_fit();
        }
    }
}
