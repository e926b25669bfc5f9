//! The functions of `nolibc` that copy, set and compare bytes, against the standard library's.

#[path = "../nolibc/src/memory.rs"]
#[allow(unreachable_pub, reason = "public by its names where it belongs")]
mod memory;

use std::ffi::c_void;

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next(256) as u8).collect()
    }
}

const ROOM: usize = 400;

/// All small lengths, and larger ones, at any alignment.
fn cases(mut act: impl FnMut(&mut Numbers, usize)) {
    let mut numbers = Numbers(7);
    for round in 0..3000 {
        let count = if round < 200 { round } else { numbers.next(ROOM / 2) };
        act(&mut numbers, count.min(ROOM / 2));
    }
}

#[test]
fn copies_are_copies_wherever_they_overlap() {
    cases(|numbers, count| {
        let (from, to) = (numbers.next(ROOM - count), numbers.next(ROOM - count));
        let mut bytes = numbers.bytes(ROOM);
        let mut wanted = bytes.clone();
        wanted.copy_within(from..from + count, to);
        // SAFETY: both ends lie within the bytes.
        unsafe {
            let base = bytes.as_mut_ptr();
            let end = memory::memmove(base.add(to).cast(), base.add(from).cast::<c_void>(), count);
            assert_eq!(end, base.add(to).cast());
        }
        assert_eq!(bytes, wanted, "{count} bytes from {from} to {to}");

        let source = numbers.bytes(ROOM);
        wanted[to..to + count].copy_from_slice(&source[from..from + count]);
        // SAFETY: as above, and they are two.
        unsafe { memory::memcpy(bytes.as_mut_ptr().add(to).cast(), source.as_ptr().add(from).cast(), count) };
        assert_eq!(bytes, wanted, "{count} bytes from {from} to {to}");
    });
}

#[test]
fn bytes_are_set_and_no_others() {
    cases(|numbers, count| {
        let (at, byte) = (numbers.next(ROOM - count), numbers.next(256));
        let mut bytes = numbers.bytes(ROOM);
        let mut wanted = bytes.clone();
        wanted[at..at + count].fill(byte as u8);
        // SAFETY: within the bytes. What is above the lowest eight bits does not count.
        unsafe { memory::memset(bytes.as_mut_ptr().add(at).cast(), byte as i32 | 0x300, count) };
        assert_eq!(bytes, wanted, "{count} bytes at {at}");
    });
}

#[test]
fn the_first_difference_decides() {
    cases(|numbers, count| {
        let one = numbers.bytes(count);
        let mut other = one.clone();
        for _ in 0..numbers.next(3).min(count) {
            let place = numbers.next(count);
            other[place] = numbers.next(256) as u8;
        }
        // SAFETY: both have that many.
        let (order, equal) = unsafe {
            let (a, b) = (one.as_ptr().cast(), other.as_ptr().cast());
            (memory::memcmp(a, b, count), memory::bcmp(a, b, count) == 0)
        };
        assert_eq!((order.cmp(&0), equal), (one.cmp(&other), one == other), "{one:?} {other:?}");
    });
}

#[test]
fn strings_end_at_their_first_zero() {
    for length in [0, 1, 7, 8, 9, 300] {
        let text = [vec![b'x'; length], vec![0, b'y', 0]].concat();
        // SAFETY: there is a zero.
        assert_eq!(unsafe { memory::strlen(text.as_ptr().cast()) }, length);
    }
}
