//! One instruction: its name, its arguments, what it changes.

use conex_oci::image::ImageConfig;
use serde_json::json;

use super::words::{self, Expansion};
use super::{ChangeError, health};

/// What the instructions before have set.
#[derive(Debug, Default)]
pub(super) struct Applied {
    command: bool,
}

/// An instruction with its arguments, for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    pub(super) instruction: &'static str,
    pub(super) text: &'t str,
}

impl Line<'_> {
    pub(super) fn bad(&self, why: impl Into<String>) -> ChangeError {
        // A line of anybody's length does not belong in an error.
        let text = self.text.chars().take(120).collect();
        ChangeError::Arguments { instruction: self.instruction, text, why: why.into() }
    }
}

const INSTRUCTIONS: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

pub(super) fn apply(config: &mut ImageConfig, line: &str, applied: &mut Applied) -> Result<(), ChangeError> {
    let line = line.trim();
    let (word, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let instruction = INSTRUCTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(word));
    let Some(instruction) = instruction else {
        return Err(ChangeError::Instruction { word: word.chars().take(40).collect() });
    };
    let line = Line { instruction, text: text.trim() };
    match instruction {
        "CMD" => {
            config.cmd = Some(command(config, line.text));
            applied.command = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, line.text));
            if !applied.command {
                config.cmd = None;
            }
        }
        "ENV" => {
            for (name, value) in pairs(&line, &config.env)? {
                set_variable(&mut config.env, &name, &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(&line, &config.env)?),
        "EXPOSE" => {
            for word in arguments(&line, &config.env)? {
                for port in ports(&line, &word)? {
                    config.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "HEALTHCHECK" => config.healthcheck = Some(health::parse(&line)?),
        "ONBUILD" => config.on_build.get_or_insert_default().push(trigger(&line)?),
        "STOPSIGNAL" => config.stop_signal = Some(signal(&line, one(&line, &config.env)?)?),
        "USER" => config.user = one(&line, &config.env)?,
        "VOLUME" => {
            let places = match exec_form(line.text) {
                Some(places) => places,
                None => arguments(&line, &config.env)?,
            };
            for place in places {
                if place.trim().is_empty() {
                    return Err(line.bad("a volume's place is empty; expected a path"));
                }
                config.volumes.insert(place, json!({}));
            }
        }
        _ => {
            let path = one(&line, &config.env)?;
            config.working_dir = join(&config.working_dir, &path);
        }
    }
    Ok(())
}

/// `["a", "b"]`, else a line for the shell.
pub(super) fn command(config: &ImageConfig, text: &str) -> Vec<String> {
    exec_form(text).unwrap_or_else(|| {
        let shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        shell.into_iter().chain([text.to_owned()]).collect()
    })
}

pub(super) fn exec_form(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// `NAME=value …`, or `NAME value with spaces`.
fn pairs(line: &Line<'_>, env: &[String]) -> Result<Vec<(String, String)>, ChangeError> {
    let expansion = Expansion { env };
    let words = words::split(line.text).map_err(|why| line.bad(why))?;
    let expected = "expected NAME=value";
    let Some(first) = words.first() else {
        return Err(line.bad(format!("at least one argument is needed; {expected}")));
    };
    let expand = |word: &str| expansion.expand(word).map_err(|why| line.bad(why));
    if !words::has_equals(first) {
        let (name, value) = line.text.split_once(char::is_whitespace).ok_or_else(|| line.bad(expected))?;
        return Ok(vec![(expand(name)?, expand(value.trim())?)]);
    }
    let mut pairs = Vec::new();
    for word in &words {
        let (name, value) = words::split_equals(word).ok_or_else(|| line.bad(expected))?;
        let name = expand(name)?;
        if name.is_empty() {
            return Err(line.bad(expected));
        }
        pairs.push((name, expand(value)?));
    }
    Ok(pairs)
}

/// All words, expanded.
fn arguments(line: &Line<'_>, env: &[String]) -> Result<Vec<String>, ChangeError> {
    let expansion = Expansion { env };
    let words = words::split(line.text).map_err(|why| line.bad(why))?;
    if words.is_empty() {
        return Err(line.bad("at least one argument is needed"));
    }
    words.iter().map(|word| expansion.expand(word).map_err(|why| line.bad(why))).collect()
}

fn one(line: &Line<'_>, env: &[String]) -> Result<String, ChangeError> {
    match arguments(line, env).unwrap_or_default().as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        _ => {
            arguments(line, env).map_err(|_| line.bad("it takes exactly one argument"))?;
            Err(line.bad("it takes exactly one argument"))
        }
    }
}

fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|known| known.split('=').next() == Some(name)) {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

/// `80`, `53/udp`, `8000-8010/tcp`
fn ports(line: &Line<'_>, word: &str) -> Result<Vec<String>, ChangeError> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(line.bad("a protocol is tcp, udp or sctp"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first > 0 && first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(line.bad("a port is a number from 1 to 65535, or a range as 8000-8010")),
    }
}

fn trigger(line: &Line<'_>) -> Result<String, ChangeError> {
    let first = line.text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "" => Err(line.bad("an instruction is needed")),
        "ONBUILD" | "FROM" | "MAINTAINER" => {
            Err(line.bad(format!("{first} is not allowed as an ONBUILD trigger")))
        }
        _ => Ok(line.text.to_owned()),
    }
}

/// As Docker's: a name with or without SIG, or a number.
fn signal(line: &Line<'_>, text: String) -> Result<String, ChangeError> {
    const NAMES: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP \
        SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX";
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |name: &str| {
        let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
        offset.is_some_and(|offset| offset.parse::<u8>().is_ok_and(|offset| offset <= 30))
    };
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if number || NAMES.split_ascii_whitespace().any(|known| known == name) || real_time(name) {
        return Ok(text);
    }
    Err(line.bad("it is no signal; expected a name as SIGTERM or a number from 1 to 64"))
}

/// An absolute path without `.`, `..` and doubled slashes.
fn join(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
