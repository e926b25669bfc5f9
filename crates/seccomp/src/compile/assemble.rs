//! A program written from its end to its beginning.
//!
//! Every jump of classic BPF goes forward, so when the code is written backwards each target is known when its jump is
//! written, and a target out of a jump's 255 instructions gets a stepping stone on the spot.

use std::collections::BTreeMap;

/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`
const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`
const JUMP: u16 = 0x05;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;

/// `struct sock_filter`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) constant: u32,
}

/// How the accumulator is compared with a constant: `BPF_JMP | BPF_… | BPF_K`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal = 0x15,
    Greater = 0x25,
    AtLeast = 0x35,
}

/// An instruction that can be jumped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// The part of a program that is written: its end.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Last instruction first.
    reversed: Vec<Instruction>,
    /// The latest, hence nearest, copy of each return.
    returns: BTreeMap<u32, Label>,
}

/// Two stepping stones may come to lie between a jump and its targets.
const REACH: usize = 255 - 2;

impl Assembler {
    /// How many instructions there are.
    pub(crate) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// The program in its order.
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    fn write(&mut self, code: u16, if_true: u8, if_false: u8, constant: u32) -> Label {
        self.reversed.push(Instruction { code, if_true, if_false, constant });
        Label(self.reversed.len() - 1)
    }

    /// How far the next instruction written would have to jump.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0 - 1
    }

    /// Ends the program with a verdict.
    pub(crate) fn ret(&mut self, verdict: u32) -> Label {
        match self.returns.get(&verdict) {
            Some(label) if self.distance(*label) <= REACH => *label,
            _ => {
                let label = self.write(RETURN, 0, 0, verdict);
                self.returns.insert(verdict, label);
                label
            }
        }
    }

    /// A label that a conditional jump written soon can reach, with the same effect.
    fn near(&mut self, label: Label) -> Label {
        if self.distance(label) <= REACH {
            return label;
        }
        let target = self.reversed[label.0];
        if target.code == RETURN {
            return self.ret(target.constant);
        }
        let distance = self.distance(label) as u32;
        self.write(JUMP, 0, 0, distance)
    }

    /// Goes one of two ways by a comparison of the accumulator.
    pub(crate) fn branch(&mut self, compare: Compare, constant: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes);
        let no = self.near(no);
        let (if_true, if_false) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.write(compare as u16, if_true, if_false, constant)
    }

    /// Puts a word of `struct seccomp_data` in the accumulator, keeps the bits of `mask`, and goes on at `then`.
    pub(crate) fn load(&mut self, offset: u32, mask: u32, then: Label) -> Label {
        let distance = self.distance(then) as u32;
        if distance != 0 {
            self.write(JUMP, 0, 0, distance);
        }
        if mask != u32::MAX {
            self.write(AND, 0, 0, mask);
        }
        self.write(LOAD, 0, 0, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_return_is_copied_and_far_code_is_stepped_to() {
        let mut code = Assembler::default();
        let allow = code.ret(7);
        let deny = code.ret(0);
        let block = code.branch(Compare::Equal, 1, allow, deny);
        let mut next = deny;
        for number in 0..400 {
            next = code.branch(Compare::Equal, number, block, next);
        }
        code.load(0, u32::MAX, next);
        let program = code.finish();
        // Every jump lands on an instruction.
        for (at, instruction) in program.iter().enumerate() {
            let lengths = match instruction.code {
                JUMP => vec![instruction.constant as usize],
                0x15 => vec![usize::from(instruction.if_true), usize::from(instruction.if_false)],
                _ => vec![],
            };
            assert!(lengths.iter().all(|n| at + n + 1 < program.len()));
        }
        assert!(program.iter().any(|i| i.code == JUMP));
        assert!(program.len() < 600);
    }
}
