//! What a group has used.

/// Numbers of one moment; a part is absent where its controller has no group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processes.
    pub pids: Option<PidsStats>,
    /// Block devices.
    pub io: Vec<IoStats>,
}

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use, page cache included.
    pub usage: u64,
    /// The most that ever was in use; absent before Linux 5.19 on v2.
    pub peak: Option<u64>,
    /// Absent when unlimited.
    pub limit: Option<u64>,
    /// Page cache that can be dropped first; Docker's `MEM USAGE` is `usage - inactive_file`.
    pub inactive_file: u64,
    /// Swap in use; absent without swap accounting.
    pub swap: Option<u64>,
}

/// Microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// User and system.
    pub usage: u64,
    /// User.
    pub user: u64,
    /// System.
    pub system: u64,
    /// Enforcement periods that have passed.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Time spent throttled.
    pub throttled: u64,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Processes and threads.
    pub current: u64,
    /// Absent when unlimited.
    pub limit: Option<u64>,
}

/// One block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}
