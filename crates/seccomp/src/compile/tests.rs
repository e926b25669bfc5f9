//! The compiled program against a naive reading of the profile.

use conex_oci::runtime::{ArgumentRule, Seccomp, SyscallRule};
use proptest::prelude::*;

use super::interpret::{Call, Outcome, run};
use super::*;
use crate::Profile;
use crate::syscalls::Numbers;

fn rule(names: &[&str], action: &str, args: &[(u32, &str, u64, u64)]) -> SyscallRule {
    SyscallRule {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        action: action.to_owned(),
        errno_ret: None,
        args: args
            .iter()
            .map(|&(index, op, value, value_two)| ArgumentRule { index, value, value_two, op: op.to_owned() })
            .collect(),
    }
}

fn allow_list(syscalls: Vec<SyscallRule>) -> Seccomp {
    Seccomp { default_action: "SCMP_ACT_ERRNO".to_owned(), syscalls, ..Seccomp::default() }
}

/// The words of `rules.rs` taken literally, with no ranges, no trees and no bits.
fn naive(
    seccomp: &Seccomp,
    host: Arch,
    arch: Arch,
    numbers: &Numbers,
    number: u32,
    arguments: [u64; 6],
) -> u32 {
    let default = Action::parse(&seccomp.default_action, seccomp.default_errno_ret).unwrap();
    if arch != host && !seccomp.architectures.iter().any(|name| Arch::named(name).unwrap() == Some(arch)) {
        let verdict = if arch == Arch::X32 { Action::Errno(ENOSYS) } else { Action::KillProcess };
        return verdict.verdict();
    }
    let holds = |arg: &ArgumentRule| {
        let argument = arguments[arg.index as usize];
        let cut = |value: u64| {
            let narrow = matches!(arch, Arch::X86 | Arch::Arm);
            if narrow && (value as i64) < 0 && value as i64 >= i64::from(i32::MIN) {
                value as u32 as u64
            } else {
                value
            }
        };
        match arg.op.as_str() {
            "SCMP_CMP_NE" => argument != cut(arg.value),
            "SCMP_CMP_LT" => argument < cut(arg.value),
            "SCMP_CMP_LE" => argument <= cut(arg.value),
            "SCMP_CMP_EQ" => argument == cut(arg.value),
            "SCMP_CMP_GE" => argument >= cut(arg.value),
            "SCMP_CMP_GT" => argument > cut(arg.value),
            "SCMP_CMP_MASKED_EQ" => argument & arg.value == cut(arg.value_two),
            other => panic!("{other}"),
        }
    };
    let mut strictest: Option<Action> = None;
    for rule in &seccomp.syscalls {
        if !rule.names.iter().any(|name| numbers.get(name) == Some(number)) {
            continue;
        }
        let repeated = rule.args.iter().any(|a| rule.args.iter().filter(|b| a.index == b.index).count() > 1);
        let matches = if repeated { rule.args.iter().any(holds) } else { rule.args.iter().all(holds) };
        let action = Action::parse(&rule.action, rule.errno_ret).unwrap();
        let idle = rule.args.is_empty() && action == default;
        if matches && !idle && strictest.is_none_or(|s| action.leniency() < s.leniency()) {
            strictest = Some(action);
        }
    }
    // ARM's private numbers are high, but those that a rule names are known.
    let is_named =
        seccomp.syscalls.iter().flat_map(|rule| &rule.names).any(|name| numbers.get(name) == Some(number));
    let newer = number > numbers.newest() && !is_named && matches!(default, Action::Errno(_));
    strictest.unwrap_or(if newer { Action::Errno(ENOSYS) } else { default }).verdict()
}

fn call(arch: Arch, number: u32, arguments: [u64; 6]) -> Call {
    Call { number, architecture: arch.audit(), arguments }
}

/// Names that no multiplexer of i386 stands for: `naive` does not know those.
const NAMES: [&str; 14] = [
    "read",
    "write",
    "open",
    "openat",
    "close",
    "clone",
    "clone3",
    "personality",
    "ioctl",
    "set_tls",
    "mseal",
    "clock_gettime64",
    "stat",
    "no_such_call",
];
const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];
const ACTIONS: [&str; 7] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_LOG",
];

/// Numbers near the borders where words are cut.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        Just(0x7e02_0000),
        (0..3u64).prop_map(|n| 0xffff_ffff - 1 + n),
        (0..3u64).prop_map(|n| (1 << 63) - 1 + n),
        (0..3u64).prop_map(|n| u64::MAX - n),
        Just(0xffff_ffff_8000_0000),
        any::<u64>(),
    ]
}

fn argument_rule() -> impl Strategy<Value = ArgumentRule> {
    (0..3u32, number(), number(), prop::sample::select(&OPERATORS[..]))
        .prop_map(|(index, value, value_two, op)| ArgumentRule { index, value, value_two, op: op.to_owned() })
}

fn syscall_rule() -> impl Strategy<Value = SyscallRule> {
    let names = prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4);
    let args = prop::collection::vec(argument_rule(), 0..3);
    (names, prop::sample::select(&ACTIONS[..]), prop::option::of(0..4096u32), args).prop_map(
        |(names, action, errno_ret, args)| SyscallRule {
            names: names.into_iter().map(str::to_owned).collect(),
            action: action.to_owned(),
            errno_ret,
            args,
        },
    )
}

fn profile() -> impl Strategy<Value = Seccomp> {
    let arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"];
    let arches = prop::collection::vec(prop::sample::select(arches.to_vec()), 0..4);
    let rules = prop::collection::vec(syscall_rule(), 0..12);
    (prop::sample::select(&ACTIONS[..]), arches, rules).prop_map(|(default, arches, syscalls)| Seccomp {
        default_action: default.to_owned(),
        architectures: arches.into_iter().map(str::to_owned).collect(),
        syscalls,
        ..Seccomp::default()
    })
}

/// The arguments a rule compares with, and their neighbours.
fn interesting(seccomp: &Seccomp) -> Vec<u64> {
    let values =
        seccomp.syscalls.iter().flat_map(|rule| &rule.args).flat_map(|arg| [arg.value, arg.value_two]);
    let mut values: Vec<u64> =
        values.flat_map(|v| [v, v.wrapping_sub(1), v.wrapping_add(1), v & 0xffff_ffff]).chain([0]).collect();
    values.sort_unstable();
    values.dedup();
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_program_says_what_the_profile_says(
        seccomp in profile(),
        host in prop::sample::select(vec![Arch::X86_64, Arch::Aarch64, Arch::Riscv64]),
        extra in prop::array::uniform6(any::<u64>()),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 18),
        odd in any::<u32>(),
    ) {
        let program = instructions(&seccomp, host).unwrap();
        let values = interesting(&seccomp);
        for arch in host.family() {
            let numbers = Numbers::of(*arch);
            let named = NAMES.iter().filter_map(|name| numbers.get(name));
            let bit = arch.number_bit();
            let mask = if *arch == Arch::X86_64 { X32_BIT - 1 } else { u32::MAX };
            for number in named.chain([bit, bit + 2, numbers.newest(), numbers.newest() + 1, (odd & mask) | bit]) {
                for pick in picks.chunks(3) {
                    let mut arguments = extra;
                    for (argument, pick) in arguments.iter_mut().zip(pick) {
                        *argument = values[pick.index(values.len())];
                    }
                    if !arch.is_wide() {
                        arguments = arguments.map(|argument| argument & 0xffff_ffff);
                    }
                    let verdict = run(&program, &call(*arch, number, arguments)).verdict;
                    prop_assert_eq!(verdict, naive(&seccomp, host, *arch, &numbers, number, arguments), "{:?} {}", arch, number);
                }
            }
        }
        let foreign = Call { number: 0, architecture: 0x8000_0016, arguments: extra };
        prop_assert_eq!(run(&program, &foreign).verdict, Action::KillProcess.verdict());
    }
}

#[test]
fn rules_of_one_call_are_alternatives_and_the_strictest_wins() {
    let seccomp = allow_list(vec![
        rule(&["socket"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_LT", 38, 0)]),
        rule(&["socket"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_GT", 40, 0), (1, "SCMP_CMP_EQ", 2, 0)]),
        rule(&["socket"], "SCMP_ACT_KILL_PROCESS", &[(0, "SCMP_CMP_EQ", 17, 0)]),
    ]);
    let program = instructions(&seccomp, Arch::X86_64).unwrap();
    let socket = |family, kind| run(&program, &call(Arch::X86_64, 41, [family, kind, 0, 0, 0, 0])).verdict;
    assert_eq!(socket(2, 1), Action::Allow.verdict());
    assert_eq!(socket(38, 2), Action::Errno(1).verdict());
    assert_eq!(socket(41, 1), Action::Errno(1).verdict());
    assert_eq!(socket(41, 2), Action::Allow.verdict());
    assert_eq!(socket(17, 1), Action::KillProcess.verdict());
    assert_eq!(socket((1 << 32) | 2, 1), Action::Errno(1).verdict(), "the high word counts");
}

#[test]
fn a_rule_that_repeats_the_default_changes_nothing() {
    let mut seccomp = allow_list(vec![
        rule(&["socket"], "SCMP_ACT_ERRNO", &[]),
        rule(&["socket"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_EQ", 2, 0)]),
    ]);
    let socket = |seccomp: &Seccomp, family| {
        let program = instructions(seccomp, Arch::X86_64).unwrap();
        run(&program, &call(Arch::X86_64, 41, [family, 0, 0, 0, 0, 0])).verdict
    };
    assert_eq!(socket(&seccomp, 2), Action::Allow.verdict());
    assert_eq!(socket(&seccomp, 3), Action::Errno(1).verdict());
    // With another number it says something.
    seccomp.syscalls[0].errno_ret = Some(38);
    assert_eq!(socket(&seccomp, 2), Action::Errno(38).verdict());
}

#[test]
fn names_and_conditions_do_not_multiply_without_end() {
    let many = SyscallRule {
        names: vec!["read".to_owned(); 100_000],
        ..rule(&[], "SCMP_ACT_ALLOW", &vec![(0, "SCMP_CMP_EQ", 1, 0); 100_000])
    };
    assert!(compile(&allow_list(vec![many])).unwrap_err().to_string().contains("too many rules"));
}

#[test]
fn the_second_ways_in_on_i386_are_held_to_the_same_rules() {
    let mut seccomp = allow_list(vec![
        rule(&["connect", "shmget"], "SCMP_ACT_ALLOW", &[]),
        rule(&["socket"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_NE", 40, 0)]),
    ]);
    seccomp.architectures = vec!["SCMP_ARCH_X86".to_owned()];
    let verdict = |seccomp: &Seccomp, number, first| {
        let program = instructions(seccomp, Arch::X86_64).unwrap();
        run(&program, &call(Arch::X86, number, [first, 0, 0, 0, 0, 0])).verdict
    };
    let (allow, eperm) = (Action::Allow.verdict(), Action::Errno(1).verdict());
    assert_eq!(verdict(&seccomp, 102, 3), allow, "connect");
    assert_eq!(verdict(&seccomp, 102, 1), eperm, "socket, whose family is out of sight");
    assert_eq!(verdict(&seccomp, 102, 5), eperm, "accept");
    assert_eq!(verdict(&seccomp, 117, 23), allow, "shmget");
    assert_eq!(verdict(&seccomp, 117, (1 << 16) | 23), allow, "shmget, with a version");
    assert_eq!(verdict(&seccomp, 117, 24), eperm, "shmctl");

    // A list of what is forbidden closes both doors.
    seccomp.default_action = "SCMP_ACT_ALLOW".to_owned();
    seccomp.syscalls = vec![rule(&["socket"], "SCMP_ACT_ERRNO", &[(0, "SCMP_CMP_EQ", 40, 0)])];
    assert_eq!(verdict(&seccomp, 102, 1), eperm);
    assert_eq!(verdict(&seccomp, 102, 3), allow);
}

#[test]
fn jumps_reach_over_any_distance() {
    let args = |n: u64| [(0, "SCMP_CMP_EQ", n << 31, 0), (1, "SCMP_CMP_GT", n << 33, 0)];
    let rules = (0..120).map(|n| rule(&["read", "ioctl"], "SCMP_ACT_ALLOW", &args(n))).collect();
    let seccomp = allow_list(rules);
    let program = instructions(&seccomp, Arch::X86_64).unwrap();
    let numbers = Numbers::of(Arch::X86_64);
    assert!(program.len() > 700, "{}", program.len());
    for n in [0, 1, 60, 119, 120] {
        for arguments in [[n << 31, (n << 33) + 1, 0, 0, 0, 0], [n << 31, n << 33, 0, 0, 0, 0]] {
            let verdict = run(&program, &call(Arch::X86_64, 16, arguments)).verdict;
            assert_eq!(verdict, naive(&seccomp, Arch::X86_64, Arch::X86_64, &numbers, 16, arguments), "{n}");
        }
    }
}

#[test]
fn what_the_kernel_would_refuse_is_refused_here() {
    let error = |seccomp: &Seccomp| compile(seccomp).unwrap_err().to_string();
    let with = |change: &dyn Fn(&mut Seccomp)| {
        let mut seccomp = allow_list(vec![rule(&["read"], "SCMP_ACT_ALLOW", &[])]);
        change(&mut seccomp);
        error(&seccomp)
    };
    let args = |n: u64| [(0, "SCMP_CMP_EQ", n, 0), (1, "SCMP_CMP_EQ", n, 0), (2, "SCMP_CMP_EQ", n, 0)];
    let long = (0..2000).map(|n| rule(&["read"], "SCMP_ACT_ALLOW", &args(n))).collect();
    assert!(error(&allow_list(long)).contains("the kernel takes 4096"));
    assert!(with(&|s| s.default_action = "ALLOW".to_owned()).contains("\"ALLOW\""));
    assert!(with(&|s| s.default_action = String::new()).contains("action \"\""));
    assert!(with(&|s| s.default_action = "SCMP_ACT_NOTIFY".to_owned()).contains("the default"));
    assert!(with(&|s| s.syscalls[0].action = "SCMP_ACT_X".to_owned()).contains("SCMP_ACT_X"));
    assert!(with(&|s| s.architectures = vec!["amd64".to_owned()]).contains("amd64"));
    assert!(with(&|s| s.flags = Some(vec!["LOG".to_owned()])).contains("\"LOG\""));
    assert!(with(&|s| s.default_errno_ret = Some(4096)).contains("4096"));
    assert!(
        with(&|s| s.syscalls[0].args = vec![ArgumentRule { index: 6, ..ArgumentRule::default() }])
            .contains("6")
    );
    assert!(with(&|s| s.syscalls[0].args = vec![ArgumentRule::default()]).contains("operator"));
    assert!(
        with(&|s| s.syscalls = vec![rule(&["write"], "SCMP_ACT_NOTIFY", &[])]).contains("applied to write")
    );
}

#[test]
fn flags_are_the_kernels() {
    let mut seccomp = allow_list(vec![]);
    assert_eq!(flags(&seccomp).unwrap(), Flags::SPEC_ALLOW, "as runc and crun have it");
    seccomp.flags = Some(vec![]);
    assert_eq!(flags(&seccomp).unwrap(), Flags::NONE);
    seccomp.flags = Some(vec![
        "SECCOMP_FILTER_FLAG_LOG".to_owned(),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".to_owned(),
        "SECCOMP_FILTER_FLAG_TSYNC".to_owned(),
    ]);
    assert_eq!(flags(&seccomp).unwrap(), Flags::LOG | Flags::TSYNC);
    seccomp.syscalls = vec![rule(&["mount"], "SCMP_ACT_NOTIFY", &[])];
    let all =
        Flags::LOG | Flags::TSYNC | Flags::WAIT_KILLABLE_RECV | Flags::NEW_LISTENER | Flags::TSYNC_ESRCH;
    assert_eq!(flags(&seccomp).unwrap(), all);
}

/// Installing runs the program for each number of each architecture, so its depth is a cost of every start.
#[test]
fn the_default_filter_is_short_and_shallow() {
    for host in [Arch::X86_64, Arch::Aarch64, Arch::Riscv64] {
        let seccomp = Profile::builtin().resolve_for(&[], host, (6, 12));
        let program = instructions(&seccomp, host).unwrap();
        let outcomes: Vec<Outcome> =
            (0..470).map(|number| run(&program, &call(host, number, [0; 6]))).collect();
        let plain: Vec<_> = outcomes.iter().filter(|outcome| !outcome.by_argument).collect();
        let steps = plain.iter().map(|outcome| outcome.steps).sum::<usize>();
        println!("{host:?}: {} instructions, {} steps for {} numbers", program.len(), steps, plain.len());
        assert!(program.len() < 350, "{}", program.len());
        assert!(steps / plain.len() <= 12);
        assert!(
            outcomes.len() - plain.len() <= 6,
            "only clone, personality, socket and the like look further"
        );
    }
}
