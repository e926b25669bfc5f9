//! From the runtime specification's rules to BPF.

use conex_oci::runtime::Seccomp;

use crate::{Program, Result};

/// Compiles the rules for this machine.
pub fn compile(_seccomp: &Seccomp) -> Result<Program> {
    todo!()
}
