//! Seccomp profiles compiled to BPF, with a cache on disk.
