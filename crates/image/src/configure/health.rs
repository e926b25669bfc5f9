//! `HEALTHCHECK NONE` and `HEALTHCHECK [--interval=… --timeout=… --start-period=… --start-interval=… --retries=…] CMD …`.

use conex_oci::image::Healthcheck;

use super::ChangeError;
use super::instruction::{Line, exec_form};

pub(super) fn parse(line: &Line<'_>) -> Result<Healthcheck, ChangeError> {
    let mut check = Healthcheck::default();
    let mut rest = line.text;
    while rest.starts_with("--") {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let duration =
            || duration(value).ok_or_else(|| line.bad(format!("{name} takes a duration as 30s or 1m30s")));
        match name {
            "--interval" => check.interval = Some(duration()?),
            "--timeout" => check.timeout = Some(duration()?),
            "--start-period" => check.start_period = Some(duration()?),
            "--start-interval" => check.start_interval = Some(duration()?),
            "--retries" => {
                let retries = value.parse::<u32>().map_err(|_| line.bad("--retries takes a number"))?;
                check.retries = Some(retries.into());
            }
            _ => return Err(line.bad(format!("it has no flag {name}"))),
        }
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if command.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(line.bad("NONE takes no arguments")),
        "CMD" if command.is_empty() => return Err(line.bad("CMD needs a command")),
        "CMD" => match exec_form(command) {
            Some(words) => ["CMD".to_owned()].into_iter().chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err(line.bad("NONE or CMD is expected")),
    };
    Ok(check)
}

/// Go's durations of whole and broken units (`1m30s`), or `0`; nanoseconds. What is under a millisecond is not for checks;
/// zero stands for the usual.
pub fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded right here")]
    (total == 0.0 || (1e6..=9e18).contains(&total)).then_some(total as i64)
}
