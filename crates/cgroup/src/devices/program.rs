//! The device filter as a BPF program (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! The context is `{ u32 access_type; u32 major; u32 minor; }`, access_type being `access << 16 | type`. The program
//! holds the accesses still to be allowed in a register and goes through the rules from the last to the first: a deny
//! rule that covers one of them ends with 0, an allow rule takes its own away, and ends with 1 when none remains.

use conex_sys::bpf::Instruction;

use super::rule::{Kind, Rule};

/// `BPF_DEVCG_DEV_*`
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Registers: r0 the result, r1 the context, then what is taken from it.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const REMAINING: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Operations of `linux/bpf_common.h` and `linux/bpf.h`, 32 bit where there is a choice.
mod op {
    pub(super) const LOAD_WORD: u8 = 0x61;
    pub(super) const MOVE: u8 = 0xb4;
    pub(super) const MOVE_REGISTER: u8 = 0xbc;
    pub(super) const AND: u8 = 0x54;
    pub(super) const SHIFT_RIGHT: u8 = 0x74;
    /// 32-bit jumps (BPF_JMP32) need Linux 5.1; these compare 64 bits, of which a 32-bit operation clears the upper half.
    pub(super) const JUMP_EQUAL: u8 = 0x15;
    pub(super) const JUMP_NOT_EQUAL: u8 = 0x55;
    pub(super) const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
    pub(super) const EXIT: u8 = 0x95;
}

/// Compiles rules; the result fits any kernel for up to about 450 rules (4,096 instructions before Linux 5.2).
pub(crate) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    use op::{AND, EXIT, LOAD_WORD, MOVE, MOVE_REGISTER, SHIFT_RIGHT};
    let mut program = vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, REMAINING, KIND, 0, 0),
        Instruction::new(AND, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, REMAINING, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(block(rule));
        if rule.covers_all() {
            // Whatever remains was decided by this rule: those before it can never be reached, which the verifier forbids.
            return program;
        }
    }
    program.extend([Instruction::new(MOVE, RESULT, 0, 0, 0), Instruction::new(EXIT, 0, 0, 0, 0)]);
    program
}

/// The instructions of one rule; every jump that does not match leads behind them.
fn block(rule: &Rule) -> Vec<Instruction> {
    use op::{AND, EXIT, JUMP_EQUAL, JUMP_NOT_EQUAL, JUMP_NOT_EQUAL_REGISTER, MOVE, MOVE_REGISTER};
    // A jump whose distance is set below, when the block's length is known.
    let unless_equal = |register, value| Instruction::new(JUMP_NOT_EQUAL, register, 0, 0, value);
    let mut block = Vec::with_capacity(9);
    match rule.kind {
        Kind::Any => {}
        Kind::Block => block.push(unless_equal(KIND, BLOCK)),
        Kind::Character => block.push(unless_equal(KIND, CHARACTER)),
    }
    for (register, value) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        match value {
            None => {}
            // An immediate is sign-extended for the comparison: beyond 31 bits the number needs a register.
            Some(value) if value > i32::MAX as u32 => block.extend([
                Instruction::new(MOVE, SCRATCH, 0, 0, value as i32),
                Instruction::new(JUMP_NOT_EQUAL_REGISTER, register, SCRATCH, 0, 0),
            ]),
            Some(value) => block.push(unless_equal(register, value as i32)),
        }
    }
    let access = i32::from(rule.access);
    if rule.covers_all() {
        block.extend([
            Instruction::new(MOVE, RESULT, 0, 0, i32::from(rule.allow)),
            Instruction::new(EXIT, 0, 0, 0, 0),
        ]);
    } else if rule.allow {
        block.extend([
            Instruction::new(AND, REMAINING, 0, 0, !access),
            unless_equal(REMAINING, 0),
            Instruction::new(MOVE, RESULT, 0, 0, 1),
            Instruction::new(EXIT, 0, 0, 0, 0),
        ]);
    } else {
        block.extend([
            Instruction::new(MOVE_REGISTER, SCRATCH, REMAINING, 0, 0),
            Instruction::new(AND, SCRATCH, 0, 0, access),
            Instruction::new(JUMP_EQUAL, SCRATCH, 0, 0, 0),
            Instruction::new(MOVE, RESULT, 0, 0, 0),
            Instruction::new(EXIT, 0, 0, 0, 0),
        ]);
    }
    let length = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        let (code, destination, source, _, immediate) = instruction.parts();
        if matches!(code, JUMP_EQUAL | JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER) {
            // A block is at most 10 instructions long.
            *instruction = Instruction::new(code, destination, source, (length - at - 1) as i16, immediate);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::super::rule::{ALL, any_rule, decide};
    use super::*;
    use proptest::prelude::*;

    /// A machine for the few operations used here, strict about everything else.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let kind = if kind == Kind::Block { BLOCK } else { CHARACTER };
        let context = [u32::from(access) << 16 | kind as u32, major, minor];
        let mut registers = [None::<u64>; 11];
        let mut at = 0;
        for _ in 0..=program.len() {
            let (code, to, from, offset, immediate) = program[at].parts();
            let (to, from) = (to as usize, from as usize);
            let value = |register: usize| registers[register].expect("read before written");
            at += 1;
            let jump = match code {
                op::LOAD_WORD => {
                    assert_eq!(from, usize::from(CONTEXT));
                    registers[to] = Some(u64::from(context[offset as usize / 4]));
                    false
                }
                op::MOVE => {
                    registers[to] = Some(u64::from(immediate as u32));
                    false
                }
                op::MOVE_REGISTER => {
                    registers[to] = Some(u64::from(value(from) as u32));
                    false
                }
                op::AND => {
                    registers[to] = Some(u64::from(value(to) as u32 & immediate as u32));
                    false
                }
                op::SHIFT_RIGHT => {
                    registers[to] = Some(u64::from(value(to) as u32 >> immediate));
                    false
                }
                op::JUMP_EQUAL => value(to) == i64::from(immediate) as u64,
                op::JUMP_NOT_EQUAL => value(to) != i64::from(immediate) as u64,
                op::JUMP_NOT_EQUAL_REGISTER => value(to) != value(from),
                op::EXIT => return value(0) == 1,
                other => panic!("unknown operation {other:#x}"),
            };
            if jump {
                assert!(offset > 0, "jumps only go forward");
                at += offset as usize;
            }
        }
        panic!("no end");
    }

    #[test]
    fn large_numbers_are_compared_whole() {
        let rules = [Rule {
            allow: true,
            kind: Kind::Character,
            major: Some(u32::MAX),
            minor: Some(1 << 31),
            access: ALL,
        }];
        assert!(run(&compile(&rules), Kind::Character, u32::MAX, 1 << 31, ALL));
        assert!(!run(&compile(&rules), Kind::Character, u32::MAX, 0, ALL));
    }

    proptest! {
        #[test]
        fn it_decides_as_the_rules_say(rules in proptest::collection::vec(any_rule(), 0..12)) {
            let program = compile(&rules);
            for kind in [Kind::Block, Kind::Character] {
                for (major, minor) in (0..4).flat_map(|major| (0..4).map(move |minor| (major, minor))) {
                    for access in 1..=ALL {
                        prop_assert_eq!(run(&program, kind, major, minor, access), decide(&rules, kind, major, minor, access));
                    }
                }
            }
        }
    }
}
