//! The memory of a process that will mostly wait.

use std::ffi::c_void;

/// Unmaps for now the pages of the program itself that can be read back from its file: its code and constants, not its data.
/// The next use of one brings it back, with its neighbours; what only the start needed stays away.
///
/// Segments are told apart by the program headers: one that may not be written has never been (a static program's
/// relocated data, read-only by then, belongs to a writable one).
pub fn drop_program_pages() {
    unsafe extern "C" fn each(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        _data: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: the C library passes a valid structure, whose headers live as long as the program is mapped.
        let (base, headers) = unsafe {
            let info = &*info;
            (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()))
        };
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            const PAGE: u64 = 4096;
            const PIECE: usize = 32 << 10;
            let start = (base + header.p_vaddr) & !(PAGE - 1);
            let length = base + header.p_vaddr + header.p_memsz - start;
            // Linux 6.18 would map a whole large folio of the page cache (up to 2 MiB) on the first touch of it, but never
            // beyond a mapping's end: so the mapping is cut to pieces, by a flag that only core dumps look at.
            for piece in (start..start + length).step_by(2 * PIECE) {
                let size = (PIECE as u64).min(start + length - piece);
                // SAFETY: changes nothing but whether a core dump holds these pages.
                unsafe {
                    libc::madvise(piece as *mut c_void, size as usize, libc::MADV_DONTDUMP);
                }
            }
            // SAFETY: a private mapping of a file that was never written to: dropped pages come back as they were.
            // Failure (a page size other than assumed) leaves everything as it is.
            unsafe {
                libc::madvise(start as *mut c_void, length as usize, libc::MADV_DONTNEED);
            }
        }
        // Only the first, the program itself; in a static one there is no other but the kernel's own page.
        1
    }
    // SAFETY: `each` has the signature asked for and needs no data.
    unsafe {
        libc::dl_iterate_phdr(Some(each), std::ptr::null_mut());
    }
}

/// Gives freed memory of the heap back to the kernel, as far as the C library can.
pub fn trim_heap() {
    // SAFETY: touches only free chunks, under the allocator's own lock.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
