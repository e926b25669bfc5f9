//! The C library's functions that Rust's standard library calls, as bare system calls: what `conex-runtime` starts on.
//!
//! A static glibc asks the processor 68 questions before `main`, each a trip to the hypervisor on a virtual machine, reads
//! tunables, finds its own path, chooses implementations and touches some thirty pages: 0.2 ms, a fifth of an `exec` in a
//! container (docs/adr/0017-a-runtime-without-a-c-library.md). A program of one thread that makes system calls and ends
//! needs none of it. A program links these functions with `extern crate conex_nolibc as _;` and gives the linker an empty
//! archive in place of the C library's (`bin/conex-runtime/build.rs`): what is missing is an error then, and not a function of
//! glibc that nobody has set up. It takes optimization over the whole program, which leaves away the rest of std first.
//!
//! What holds for a program on it: one thread; no locale, no user database, no resolver, no buffered C streams; nothing that
//! may panic in here (what a panic calls is out of reach when all the rest is linked as one).
//!
//! Signatures and errors are those of the Linux man-pages; variadic functions take as many arguments as they can have, which
//! both ABIs (x86-64 System V, AAPCS64) pass in the same places.

#![no_std]
#![no_builtins]
#![cfg_attr(test, allow(dead_code, reason = "without their names nobody calls them"))]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("conex-nolibc knows x86_64 and aarch64");

mod call;
mod directory;
mod environment;
mod error;
mod file;
mod heap;
mod memory;
mod process;
mod signal;
mod socket;
mod start;
mod time;
mod unwind;
