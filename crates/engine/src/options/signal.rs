//! Signals by name or number, as `kill`, `stop` and `--stop-signal` take them.

use super::OptionError;

/// The standard signals of every Linux architecture but MIPS, Alpha and SPARC, by number from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The C library's first and last real-time signals: the kernel's first two are its own.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`, `RTMAX-1`; gives 1 to 64.
pub fn parse_signal(text: &str) -> Result<i32, OptionError> {
    let wrong = || OptionError::unknown("signal", text, NAMES);
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let in_range = |number: &i32| (1..=RTMAX).contains(number);
        return text.parse().ok().filter(in_range).ok_or_else(|| {
            OptionError::syntax("signal", text, "expected a number from 1 to 64 or a name as TERM")
        });
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        "UNUSED" => "SYS",
        name => name,
    };
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Ok(index as i32 + 1);
    }
    let offset = |digits: &str| {
        digits.parse::<u8>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).map(i32::from)
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        if rest.is_empty() {
            Some(RTMIN)
        } else {
            rest.strip_prefix('+').and_then(offset).map(|more| RTMIN + more)
        }
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        if rest.is_empty() {
            Some(RTMAX)
        } else {
            rest.strip_prefix('-').and_then(offset).map(|less| RTMAX - less)
        }
    } else {
        None
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(wrong)
}

/// `SIGTERM`; `SIGRTMIN+3`. `None` when there is no such signal for a program to send.
pub fn signal_name(number: i32) -> Option<String> {
    match number {
        1..=31 => Some(format!("SIG{}", NAMES[number as usize - 1])),
        RTMIN => Some("SIGRTMIN".to_owned()),
        RTMAX => Some("SIGRTMAX".to_owned()),
        _ if (RTMIN..RTMAX).contains(&number) => Some(format!("SIGRTMIN+{}", number - RTMIN)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("9", 9),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMAX", 64),
            ("IOT", 6),
            ("SIGPOLL", 29),
            ("64", 64),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for bad in [
            "",
            "0",
            "65",
            "-9",
            "+9",
            "SIG",
            "FOO",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN++1",
            "RTMIN+999",
            "99999999999",
        ] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
        assert!(parse_signal("TRM").unwrap_err().to_string().contains("TERM"));
    }

    #[test]
    fn names_read_back() {
        for number in 1..=64 {
            if let Some(name) = signal_name(number) {
                assert_eq!(parse_signal(&name).unwrap(), number);
            }
        }
        assert_eq!(signal_name(0), None);
        assert_eq!(signal_name(32), None);
        assert_eq!(signal_name(28).unwrap(), "SIGWINCH");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(SIG)?(RTMIN|RTMAX)?.{0,20}") {
            if let Ok(number) = parse_signal(&text) {
                proptest::prop_assert!((1..=64).contains(&number));
            }
        }
    }
}
