//! Architectures: the names that profiles use, and which of them this machine's kernel can run.

use crate::error::quoted;
use crate::{Error, Result};

/// An instruction set with a numbering of system calls that we hold a table of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arch {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
    Riscv64,
}

/// All names that a profile may hold; those that the kernel of no supported machine runs have no [`Arch`].
pub(crate) const NAMES: &[(&str, Option<Arch>)] = &[
    ("SCMP_ARCH_X86_64", Some(Arch::X86_64)),
    ("SCMP_ARCH_X86", Some(Arch::X86)),
    ("SCMP_ARCH_X32", Some(Arch::X32)),
    ("SCMP_ARCH_AARCH64", Some(Arch::Aarch64)),
    ("SCMP_ARCH_ARM", Some(Arch::Arm)),
    ("SCMP_ARCH_RISCV64", Some(Arch::Riscv64)),
    ("SCMP_ARCH_LOONGARCH64", None),
    ("SCMP_ARCH_M68K", None),
    ("SCMP_ARCH_MIPS", None),
    ("SCMP_ARCH_MIPS64", None),
    ("SCMP_ARCH_MIPS64N32", None),
    ("SCMP_ARCH_MIPSEL", None),
    ("SCMP_ARCH_MIPSEL64", None),
    ("SCMP_ARCH_MIPSEL64N32", None),
    ("SCMP_ARCH_PARISC", None),
    ("SCMP_ARCH_PARISC64", None),
    ("SCMP_ARCH_PPC", None),
    ("SCMP_ARCH_PPC64", None),
    ("SCMP_ARCH_PPC64LE", None),
    ("SCMP_ARCH_S390", None),
    ("SCMP_ARCH_S390X", None),
    ("SCMP_ARCH_SH", None),
    ("SCMP_ARCH_SHEB", None),
];

impl Arch {
    /// The one this program was built for.
    pub(crate) fn host() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            "riscv64" => Ok(Self::Riscv64),
            other => Err(Error::Host(other)),
        }
    }

    /// What a kernel of this (64-bit) architecture can run, itself first.
    pub(crate) fn family(self) -> &'static [Self] {
        match self {
            Self::X86_64 | Self::X86 | Self::X32 => &[Self::X86_64, Self::X86, Self::X32],
            Self::Aarch64 | Self::Arm => &[Self::Aarch64, Self::Arm],
            Self::Riscv64 => &[Self::Riscv64],
        }
    }

    /// From the specification's name; `None` for one that the kernels of supported machines do not run, and whose
    /// calls can therefore not occur.
    pub(crate) fn named(name: &str) -> Result<Option<Self>> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, arch)| *arch)
            .ok_or_else(|| Error::Architecture(quoted(name)))
    }

    /// The specification's name.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, arch)| *arch == Some(self)).map_or("", |(name, _)| name)
    }

    /// What Docker's profiles call it under `includes.arches`: Go's name.
    pub(crate) fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
        }
    }

    /// `AUDIT_ARCH_…` of `struct seccomp_data`. x32 shares x86_64's and is told apart by [`X32_BIT`].
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
            Self::Riscv64 => 0xc000_00f3,
        }
    }

    /// Whether the kernel sees arguments of 64 bits. (x32 passes them in 64-bit registers.)
    pub(crate) fn is_wide(self) -> bool {
        !matches!(self, Self::X86 | Self::Arm)
    }

    /// The column in `data/syscalls.txt`.
    pub(crate) fn column(self) -> usize {
        match self {
            Self::X86_64 => 1,
            Self::X86 => 2,
            Self::X32 => 3,
            Self::Aarch64 => 4,
            Self::Arm => 5,
            Self::Riscv64 => 6,
        }
    }

    /// Set in every number of this numbering.
    pub(crate) fn number_bit(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }
}

/// `__X32_SYSCALL_BIT`
pub(crate) const X32_BIT: u32 = 0x4000_0000;
