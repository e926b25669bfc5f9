//! Classic BPF as the kernel runs it for seccomp, to hold the compiler to what it promises.

use super::assemble::Instruction;

/// `struct seccomp_data`, without the instruction pointer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) architecture: u32,
    pub(super) arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&self.number.to_ne_bytes());
        bytes.extend_from_slice(&self.architecture.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for argument in self.arguments {
            bytes.extend_from_slice(&argument.to_ne_bytes());
        }
        assert!(offset.is_multiple_of(4), "the kernel refuses an unaligned load");
        let at = offset as usize;
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: u32,
    pub(super) steps: usize,
    /// Whether the program looked at an argument: the kernel cannot keep such a verdict in its bitmap.
    pub(super) by_argument: bool,
}

/// Runs the program; a jump out of it panics, as the kernel would have refused it.
pub(super) fn run(program: &[Instruction], call: &Call) -> Outcome {
    let (mut at, mut accumulator, mut steps, mut by_argument) = (0usize, 0u32, 0, false);
    loop {
        let Instruction { code, if_true, if_false, constant } = program[at];
        steps += 1;
        at += 1;
        let holds = match code {
            0x20 => {
                by_argument |= constant >= 16;
                accumulator = call.word(constant);
                continue;
            }
            0x54 => {
                accumulator &= constant;
                continue;
            }
            0x05 => {
                at += constant as usize;
                continue;
            }
            0x06 => return Outcome { verdict: constant, steps, by_argument },
            0x15 => accumulator == constant,
            0x25 => accumulator > constant,
            0x35 => accumulator >= constant,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if holds { if_true } else { if_false });
    }
}
