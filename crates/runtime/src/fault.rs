//! A failure inside the new process: what it was doing, and the kernel's answer. It travels over the channel and becomes an
//! [`Error`] in the parent.

use rustix::io::Errno;

use crate::Error;

/// Which [`Error`] a fault becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Setup = 0,
    NotFound = 1,
    NotFoundInPath = 2,
    NotExecutable = 3,
    Inside = 4,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::NotFound,
            2 => Self::NotFoundInPath,
            3 => Self::NotExecutable,
            4 => Self::Inside,
            _ => Self::Setup,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// "mount tmpfs on /dev"; the program's name for the exec kinds.
    pub(crate) what: String,
    pub(crate) errno: Errno,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, errno: Errno) -> Self {
        Self { kind: Kind::Setup, what: what.into(), errno }
    }

    /// What something of the caller's says that this process has run ([`crate::Inside`]).
    pub(crate) fn inside(error: Error) -> Self {
        Self { kind: Kind::Inside, what: error.to_string(), errno: Errno::CANCELED }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            Kind::Setup => Self::Init { what: fault.what, errno: fault.errno },
            Kind::NotFound => Self::NotFound { program: fault.what, in_path: false },
            Kind::NotFoundInPath => Self::NotFound { program: fault.what, in_path: true },
            Kind::Inside => Self::Inside { message: fault.what },
            Kind::NotExecutable => Self::NotExecutable { program: fault.what, errno: fault.errno },
        }
    }
}

/// Says what was being done when a call failed. The text is made only then.
pub(crate) trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Fault>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|errno| Fault::new(what(), errno))
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(what(), Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }
}
