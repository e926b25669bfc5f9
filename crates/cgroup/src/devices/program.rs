//! The device filter as a BPF program (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! The context is `{ u32 access_type; u32 major; u32 minor; }`, access_type being `access << 16 | type`. The program
//! holds the accesses still to be allowed in a register and goes through the rules from the last to the first: a deny
//! rule that covers one of them ends with 0, an allow rule takes its own away, and ends with 1 when none remains.
//!
//! Loading it is a part of every container's start, and the verifier's time grows with the branches it must follow. So
//! neighbours with one verdict that cover every access (nearly all rules do) become a [`run`]: one comparison of a
//! 64-bit device number each, jumping to a shared end. Ten rules load in 60 µs this way, in 600 µs one block each.

use conex_sys::bpf::Instruction;

use super::rule::{ALL, Kind, Rule};

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
/// `major << 32 | minor`
const DEVICE: u8 = 7;

/// Operations of `linux/bpf_common.h` and `linux/bpf.h`. Arithmetic is 32 bits wide and clears the upper half, unless
/// the name says otherwise; jumps compare 64 bits (32-bit ones need Linux 5.1).
mod op {
    pub(super) const LOAD_WORD: u8 = 0x61;
    /// Two instructions, with half of the value each.
    pub(super) const LOAD_WIDE: u8 = 0x18;
    pub(super) const MOVE: u8 = 0xb4;
    pub(super) const MOVE_REGISTER: u8 = 0xbc;
    pub(super) const MOVE_REGISTER_WIDE: u8 = 0xbf;
    pub(super) const AND: u8 = 0x54;
    pub(super) const SHIFT_RIGHT: u8 = 0x74;
    pub(super) const SHIFT_LEFT_WIDE: u8 = 0x67;
    pub(super) const OR_REGISTER_WIDE: u8 = 0x4f;
    pub(super) const JUMP: u8 = 0x05;
    pub(super) const JUMP_EQUAL: u8 = 0x15;
    pub(super) const JUMP_EQUAL_REGISTER: u8 = 0x1d;
    pub(super) const JUMP_NOT_EQUAL: u8 = 0x55;
    pub(super) const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
    pub(super) const EXIT: u8 = 0x95;
}

/// The most rules that a program is made of: any jump reaches its target, and any kernel since Linux 5.2 takes it
/// (before, the limit is 4,096 instructions, which the load then reports).
pub(crate) const MAX_RULES: usize = 2000;

/// Compiles at most [`MAX_RULES`] rules.
pub(crate) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    use op::{
        AND, LOAD_WORD, MOVE_REGISTER, MOVE_REGISTER_WIDE, OR_REGISTER_WIDE, SHIFT_LEFT_WIDE, SHIFT_RIGHT,
    };
    let mut program = vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, REMAINING, KIND, 0, 0),
        Instruction::new(AND, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, REMAINING, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        Instruction::new(MOVE_REGISTER_WIDE, DEVICE, MAJOR, 0, 0),
        Instruction::new(SHIFT_LEFT_WIDE, DEVICE, 0, 0, 32),
        Instruction::new(OR_REGISTER_WIDE, DEVICE, MINOR, 0, 0),
    ];
    let mut rest = rules;
    while let Some((last, before)) = rest.split_last() {
        if last.covers_all() {
            // It decides whatever remains: the rules before it can never be reached, which the verifier forbids.
            program.extend(end(last.allow));
            return program;
        }
        let alike = |rule: &&Rule| rule.access == ALL && rule.allow == last.allow && !rule.covers_all();
        let length = rest.iter().rev().take_while(alike).count();
        if length == 0 {
            program.extend(block(last));
            rest = before;
        } else {
            let (before, alike) = rest.split_at(rest.len() - length);
            program.extend(run(alike, last.allow));
            rest = before;
        }
    }
    program.extend(end(false));
    program
}

fn end(allow: bool) -> [Instruction; 2] {
    [Instruction::new(op::MOVE, RESULT, 0, 0, i32::from(allow)), Instruction::new(op::EXIT, 0, 0, 0, 0)]
}

/// Rules of one verdict that cover every access, in any order: since something always remains to be decided, the first
/// that matches ends the program. Those for both kinds of device come first, then each kind behind one test.
fn run(rules: &[Rule], allow: bool) -> Vec<Instruction> {
    let mut run = Vec::with_capacity(rules.len() * 3 + 5);
    for kind in [Kind::Any, Kind::Character, Kind::Block] {
        let mut tests = Vec::new();
        for rule in rules.iter().filter(|rule| rule.kind == kind) {
            tests.extend(test(rule));
            if rule.major.is_none() && rule.minor.is_none() {
                // Every device of this kind: the rest says nothing more, and would be out of reach.
                break;
            }
        }
        let value = if kind == Kind::Block { BLOCK } else { CHARACTER };
        if kind != Kind::Any && !tests.is_empty() {
            run.push(Instruction::new(op::JUMP_NOT_EQUAL, KIND, 0, distance(tests.len()), value));
        }
        run.extend(tests);
    }
    // Nothing matched: over the end. What the tests jump to is the end.
    run.push(Instruction::new(op::JUMP, 0, 0, 2, 0));
    let length = run.len();
    for (at, instruction) in run.iter_mut().enumerate() {
        let (code, destination, source, offset, immediate) = instruction.parts();
        if is_jump(code) && offset == TO_THE_END {
            *instruction = Instruction::new(code, destination, source, distance(length - at - 1), immediate);
        }
    }
    run.extend(end(allow));
    run
}

/// A jump whose distance is not known yet.
const TO_THE_END: i16 = i16::MIN;

/// Jumps to the end of the run when the device's numbers match.
fn test(rule: &Rule) -> Vec<Instruction> {
    let equal = |register, value: u32| match i32::try_from(value) {
        Ok(value) => vec![Instruction::new(op::JUMP_EQUAL, register, 0, TO_THE_END, value)],
        // An immediate is sign-extended for the comparison: beyond 31 bits the number needs a register.
        Err(_) => vec![
            Instruction::new(op::MOVE, SCRATCH, 0, 0, value.cast_signed()),
            Instruction::new(op::JUMP_EQUAL_REGISTER, register, SCRATCH, TO_THE_END, 0),
        ],
    };
    match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => vec![
            Instruction::new(op::LOAD_WIDE, SCRATCH, 0, 0, minor.cast_signed()),
            Instruction::new(0, 0, 0, 0, major.cast_signed()),
            Instruction::new(op::JUMP_EQUAL_REGISTER, DEVICE, SCRATCH, TO_THE_END, 0),
        ],
        (Some(major), None) => equal(MAJOR, major),
        (None, Some(minor)) => equal(MINOR, minor),
        (None, None) => vec![Instruction::new(op::JUMP, 0, 0, TO_THE_END, 0)],
    }
}

fn is_jump(code: u8) -> bool {
    use op::{JUMP, JUMP_EQUAL, JUMP_EQUAL_REGISTER, JUMP_NOT_EQUAL, JUMP_NOT_EQUAL_REGISTER};
    matches!(code, JUMP | JUMP_EQUAL | JUMP_EQUAL_REGISTER | JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER)
}

/// At most 3 instructions for each of [`MAX_RULES`] rules and a few more.
fn distance(instructions: usize) -> i16 {
    i16::try_from(instructions).unwrap_or(i16::MAX)
}

const _: () = assert!(MAX_RULES * 3 + 8 < i16::MAX as usize);

/// One rule that does not cover every access; every jump that does not match leads behind it.
fn block(rule: &Rule) -> Vec<Instruction> {
    use op::{AND, JUMP_EQUAL, JUMP_NOT_EQUAL, JUMP_NOT_EQUAL_REGISTER, MOVE, MOVE_REGISTER};
    let unless_equal = |register, value| Instruction::new(JUMP_NOT_EQUAL, register, 0, TO_THE_END, value);
    let mut block = Vec::with_capacity(10);
    match rule.kind {
        Kind::Any => {}
        Kind::Block => block.push(unless_equal(KIND, BLOCK)),
        Kind::Character => block.push(unless_equal(KIND, CHARACTER)),
    }
    for (register, value) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        match value.map(|value| (value, i32::try_from(value))) {
            None => {}
            Some((_, Ok(value))) => block.push(unless_equal(register, value)),
            Some((value, Err(_))) => block.extend([
                Instruction::new(MOVE, SCRATCH, 0, 0, value.cast_signed()),
                Instruction::new(JUMP_NOT_EQUAL_REGISTER, register, SCRATCH, TO_THE_END, 0),
            ]),
        }
    }
    let access = i32::from(rule.access);
    if rule.allow {
        block.extend([Instruction::new(AND, REMAINING, 0, 0, !access), unless_equal(REMAINING, 0)]);
    } else {
        block.extend([
            Instruction::new(MOVE_REGISTER, SCRATCH, REMAINING, 0, 0),
            Instruction::new(AND, SCRATCH, 0, 0, access),
            Instruction::new(JUMP_EQUAL, SCRATCH, 0, TO_THE_END, 0),
        ]);
    }
    block.extend(end(rule.allow));
    let length = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        let (code, destination, source, _, immediate) = instruction.parts();
        if is_jump(code) {
            *instruction = Instruction::new(code, destination, source, distance(length - at - 1), immediate);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::super::rule::{any_rule, decide};
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
                op::LOAD_WIDE => {
                    let (code, _, _, _, upper) = program[at].parts();
                    assert_eq!(code, 0, "the second half");
                    at += 1;
                    registers[to] = Some(u64::from(immediate as u32) | u64::from(upper as u32) << 32);
                    false
                }
                op::MOVE_REGISTER_WIDE => {
                    registers[to] = Some(value(from));
                    false
                }
                op::SHIFT_LEFT_WIDE => {
                    registers[to] = Some(value(to) << immediate);
                    false
                }
                op::OR_REGISTER_WIDE => {
                    registers[to] = Some(value(to) | value(from));
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
                op::JUMP => true,
                op::JUMP_EQUAL_REGISTER => value(to) == value(from),
                op::JUMP_EQUAL => value(to) == i64::from(immediate) as u64,
                op::JUMP_NOT_EQUAL => value(to) != i64::from(immediate) as u64,
                op::JUMP_NOT_EQUAL_REGISTER => value(to) != value(from),
                op::EXIT => return value(0) == 1,
                other => panic!("unknown operation {other:#x}"),
            };
            if jump {
                assert!(offset >= 0, "jumps only go forward");
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

    /// Nothing of the program may be out of reach, read before it is written, or jump too far.
    #[test]
    fn the_kernels_verifier_takes_it() {
        let load =
            |rules: &[Rule]| conex_sys::bpf::load_device_program(&compile(rules), b"conex_test").map(drop);
        if load(&[]) == Err(rustix::io::Errno::PERM) {
            println!("skipped: loading BPF programs needs root");
            return;
        }
        let mut runner = proptest::test_runner::TestRunner::default();
        let rules = proptest::collection::vec(any_rule(), 0..20);
        let result = runner.run(&rules, |rules| {
            prop_assert_eq!(load(&rules), Ok(()));
            Ok(())
        });
        assert_eq!(result, Ok(()));
        let rule = |minor| Rule {
            allow: true,
            kind: Kind::Character,
            major: Some(1),
            minor: Some(minor),
            access: ALL,
        };
        let many: Vec<Rule> = (0..MAX_RULES as u32).map(rule).collect();
        assert_eq!(load(&many), Ok(()));
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
