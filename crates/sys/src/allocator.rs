//! Memory for a program that lives for milliseconds: taken from one end of a piece of memory, and hardly ever given back.
//!
//! A process that parses a document, makes another process and ends spends a quarter of its instructions on keeping books of
//! free memory that nobody asks for again; and after a fork each of those entries is a page to be copied. Here an allocation
//! moves a pointer, and freeing one does nothing, unless it was the last. From [`OneShot::THRIFT`] bytes on, freed blocks are
//! kept in lists by size and used again, so that a program which stays for longer than expected does not grow without bound;
//! large blocks are mappings of their own.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first piece, part of the program's zeroed memory: no system call, no page before it is touched.
const FIRST: usize = 512 << 10;
/// What is mapped when a piece is used up.
const PIECE: usize = 1 << 20;
/// From here on a block is a mapping of its own.
const LARGE: usize = 128 << 10;
/// Each block's alignment and the smallest step between sizes: what a list's link needs, and no less than `malloc` gives.
const UNIT: usize = 16;
/// Sizes are a quarter of a power of two apart, and each has its list: what was freed fits again, whole.
const LISTS: usize = list_of(LARGE) + 1;

/// The allocator: `#[global_allocator] static MEMORY: OneShot = OneShot::new();`, in a static, as it is as large as its
/// first piece.
#[derive(Debug)]
pub struct OneShot {
    busy: AtomicBool,
    state: UnsafeCell<State>,
    first: UnsafeCell<Piece>,
}

#[derive(Debug)]
#[repr(C, align(4096))]
struct Piece([u8; FIRST]);

#[derive(Debug)]
struct State {
    /// Where the next block begins, and where its piece ends; both null before the first.
    next: *mut u8,
    end: *mut u8,
    /// Bytes handed out that were never handed out before.
    used: usize,
    /// By size; a free block begins with the address of the next.
    free: [*mut u8; LISTS],
}

// SAFETY: `state` and `first` are touched only between `OneShot::locked`'s two ends, by one thread at a time.
unsafe impl Sync for OneShot {}
// SAFETY: as above; nothing belongs to a thread.
unsafe impl Send for OneShot {}

impl OneShot {
    /// Bytes handed out before freed memory is used again.
    pub const THRIFT: usize = 1 << 20;

    /// Holds nothing yet.
    #[expect(clippy::new_without_default, reason = "made once, in a static")]
    pub const fn new() -> Self {
        let state = State { next: null_mut(), end: null_mut(), used: 0, free: [null_mut(); LISTS] };
        let first = UnsafeCell::new(Piece([0; FIRST]));
        Self { busy: AtomicBool::new(false), state: UnsafeCell::new(state), first }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: whoever has set `busy` is alone here until it is cleared, and `act` calls nothing that allocates.
        let result = act(unsafe { &mut *self.state.get() });
        self.busy.store(false, Ordering::Release);
        result
    }

    fn take(&self, size: usize, align: usize) -> *mut u8 {
        self.locked(|state| {
            if state.next.is_null() {
                state.next = self.first.get().cast();
                state.end = state.next.wrapping_add(FIRST);
            }
            if let Some(block) = state.used_again(size, align) {
                return block;
            }
            if let Some(block) = state.cut(size, align) {
                return block;
            }
            let Some(piece) = map(PIECE) else { return null_mut() };
            // What is left of the piece before is lost: less than a large block.
            state.next = piece.as_ptr();
            state.end = state.next.wrapping_add(PIECE);
            state.cut(size, align).unwrap_or(null_mut())
        })
    }
}

impl State {
    /// A new block from the current piece.
    fn cut(&mut self, size: usize, align: usize) -> Option<*mut u8> {
        let padding = self.next.align_offset(align);
        let taken = padding.checked_add(size)?;
        if taken > self.end.addr() - self.next.addr() {
            return None;
        }
        let block = self.next.wrapping_add(padding);
        self.next = block.wrapping_add(size);
        self.used += taken;
        Some(block)
    }

    /// A freed block of this size.
    fn used_again(&mut self, size: usize, align: usize) -> Option<*mut u8> {
        let list = &mut self.free[list_of(size)];
        let block = NonNull::new(*list).filter(|block| block.addr().get().is_multiple_of(align))?;
        // SAFETY: a block in a list was freed, and holds the link that `keep` wrote into it.
        *list = unsafe { block.cast::<*mut u8>().read() };
        Some(block.as_ptr())
    }

    /// Takes a freed block back.
    fn keep(&mut self, block: *mut u8, size: usize) {
        if block.wrapping_add(size) == self.next {
            self.next = block;
            self.used -= size;
        } else if self.used >= OneShot::THRIFT {
            let list = &mut self.free[list_of(size)];
            // SAFETY: nobody uses the block any more, and it is aligned and large enough for a pointer.
            unsafe { block.cast::<*mut u8>().write(*list) };
            *list = block;
        }
    }
}

/// A block's size for what is asked: whole units, and in large blocks whole quarters.
const fn rounded(size: usize) -> usize {
    let step = if size <= 4 * UNIT { UNIT } else { 1 << (size.ilog2() - 2) };
    (size + step - 1) & !(step - 1)
}

/// For a rounded size.
const fn list_of(size: usize) -> usize {
    let power = size.ilog2() as usize;
    power * 4 + (size >> (power - 2) & 3)
}

const fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE || layout.align() >= LARGE
}

/// Zeroed memory from the kernel.
fn map(size: usize) -> Option<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(null_mut(), size, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED { None } else { NonNull::new(address.cast()) }
}

// SAFETY: a block is cut from a piece that nobody else has, or a mapping of its own; it is handed out again only after it was
// freed, and is at least as large and aligned as asked for. Nothing here panics.
unsafe impl GlobalAlloc for OneShot {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            // No type asks for more than a page's alignment.
            return match layout.align() <= 4096 {
                true => map(layout.size()).map_or(null_mut(), NonNull::as_ptr),
                false => null_mut(),
            };
        }
        self.take(rounded(layout.size()), layout.align().max(UNIT))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: `alloc` has mapped it, with this size.
            unsafe {
                libc::munmap(block.cast(), layout.size());
            }
            return;
        }
        self.locked(|state| state.keep(block, rounded(layout.size())));
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout, and as many bytes as it says.
        unsafe {
            let block = self.alloc(layout);
            // A mapping is zeroed by the kernel, page by page when they are touched.
            if !block.is_null() && !is_large(layout) {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, wanted: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(wanted, layout.align()) else { return null_mut() };
        if !is_large(layout) && !is_large(new) {
            let (old, size) = (rounded(layout.size()), rounded(wanted));
            let grown = self.locked(|state| {
                let is_last = block.wrapping_add(old) == state.next;
                let fits = is_last && block.addr() + size <= state.end.addr();
                if fits {
                    state.next = block.wrapping_add(size);
                    state.used = state.used + size - old;
                }
                // One that becomes smaller moves, or its rest would be lost when it is freed.
                fits || size == old
            });
            if grown {
                return block;
            }
        }
        // SAFETY: the new block is another one, both have at least the bytes that are copied, and the old one was the caller's.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(wanted));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block, and the byte it is filled with.
    struct Block {
        address: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        fn check(&self) {
            // SAFETY: the block is in use and was filled in whole.
            let bytes = unsafe { std::slice::from_raw_parts(self.address, self.layout.size()) };
            assert!(
                bytes.iter().all(|byte| *byte == self.mark),
                "{:?} was written to by another",
                self.layout
            );
            assert!(self.address.addr().is_multiple_of(self.layout.align()), "{:?}", self.layout);
        }
    }

    /// Blocks of all sizes come and go, far beyond what is handed out without thrift; none touches another.
    #[test]
    fn blocks_keep_to_themselves() {
        static MEMORY: OneShot = OneShot::new();
        let mut blocks: Vec<Block> = Vec::new();
        let mut random = 1_u64;
        let mut next = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % bound
        };
        for round in 0..60_000 {
            let chosen = next(blocks.len().max(1));
            let mark = round as u8;
            match next(5) {
                0 | 1 if blocks.len() < 300 => {
                    let kind = next(5);
                    let size = 1 + next([8, 64, 700, 5000, 150_000][kind]);
                    let layout = Layout::from_size_align(size, 1 << next(8)).unwrap();
                    // SAFETY: the size is not zero; the block is filled to its end and no further.
                    let address = unsafe {
                        let address =
                            if next(2) == 0 { MEMORY.alloc(layout) } else { MEMORY.alloc_zeroed(layout) };
                        assert!(!address.is_null());
                        address.write_bytes(mark, size);
                        address
                    };
                    blocks.push(Block { address, layout, mark });
                }
                2 if !blocks.is_empty() => {
                    let block = &mut blocks[chosen];
                    block.check();
                    let (old, size) = (block.layout.size(), 1 + next(6000));
                    // SAFETY: the block is in use with this layout; what is new of it is filled.
                    unsafe {
                        block.address = MEMORY.realloc(block.address, block.layout, size);
                        assert!(!block.address.is_null());
                        block.address.add(old.min(size)).write_bytes(block.mark, size.saturating_sub(old));
                    }
                    block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                    block.check();
                }
                _ if !blocks.is_empty() => {
                    let block = blocks.swap_remove(chosen);
                    block.check();
                    // SAFETY: in use, with this layout, and not touched after.
                    unsafe { MEMORY.dealloc(block.address, block.layout) };
                }
                _ => {}
            }
        }
        blocks.iter().for_each(Block::check);
    }

    /// What a command does again and again takes no more memory the thousandth time.
    #[test]
    fn a_program_that_stays_does_not_grow() {
        static MEMORY: OneShot = OneShot::new();
        let layout = |size: usize| Layout::from_size_align(size, 8).unwrap();
        let round = || {
            let sizes = (0..400_usize).map(|number| 1 + number * 37 % 3000 + number % 7);
            // SAFETY: sizes are not zero; each block is given back as it was taken or changed.
            unsafe {
                let blocks: Vec<_> = sizes.map(|size| (MEMORY.alloc(layout(size)), size)).collect();
                for (block, size) in blocks {
                    let grown = MEMORY.realloc(block, layout(size), size * 2);
                    MEMORY.dealloc(grown, layout(size * 2));
                }
            }
            MEMORY.locked(|state| state.used)
        };
        let rounds = |count| (0..count).fold(0, |_, _| round());
        let settled = rounds(20);
        assert!(settled < 8 << 20, "{settled} bytes for one megabyte in use");
        assert_eq!(rounds(1000), settled);
    }

    #[test]
    fn what_is_zeroed_is_zero_also_where_memory_was_used_before() {
        static MEMORY: OneShot = OneShot::new();
        let layout = Layout::from_size_align(4000, 8).unwrap();
        // SAFETY: the blocks are given back as they were taken and read within their size.
        unsafe {
            let first = MEMORY.alloc(layout);
            first.write_bytes(7, 4000);
            MEMORY.dealloc(first, layout);
            let second = MEMORY.alloc_zeroed(layout);
            assert_eq!(second, first, "the last block's place is free again");
            assert!(std::slice::from_raw_parts(second, 4000).iter().all(|byte| *byte == 0));
        }
    }
}
