//! Sockets.

use core::ptr::null_mut;

use libc::{
    SYS_connect, SYS_recvfrom, SYS_sendto, SYS_setsockopt, SYS_socket, c_int, c_void, sockaddr, socklen_t,
};

use crate::call::call;

/// socket(2)
#[unsafe(no_mangle)]
pub extern "C" fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    call!(SYS_socket, family, kind, protocol) as c_int
}

/// connect(2)
#[unsafe(no_mangle)]
pub extern "C" fn connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    call!(SYS_connect, socket, address, length) as c_int
}

/// send(2)
#[unsafe(no_mangle)]
pub extern "C" fn send(socket: c_int, buffer: *const c_void, count: usize, flags: c_int) -> isize {
    call!(SYS_sendto, socket, buffer, count, flags, null_mut::<u8>(), 0)
}

/// recv(2)
#[unsafe(no_mangle)]
pub extern "C" fn recv(socket: c_int, buffer: *mut c_void, count: usize, flags: c_int) -> isize {
    call!(SYS_recvfrom, socket, buffer, count, flags, null_mut::<u8>(), null_mut::<u8>())
}

/// setsockopt(2)
#[unsafe(no_mangle)]
pub extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    call!(SYS_setsockopt, socket, level, name, value, length) as c_int
}
