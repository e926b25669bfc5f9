//! `--gpus all|N|device=…,driver=…,capabilities=…`, and `--device-cgroup-rule`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;
use super::error::conflict;

/// `--gpus`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuRequest {
    /// How many; `None` with devices by name.
    pub count: Option<GpuCount>,
    /// By index or name, as the vendor's specification has them.
    pub devices: Vec<String>,
    /// Whose: `nvidia`, `amd`; whichever is there when absent.
    pub driver: Option<String>,
    /// What they are used for.
    pub capabilities: Vec<String>,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuCount {
    /// `all`
    All,
    /// That many, from the first.
    Number(u32),
}

const WHAT: &str = "--gpus";
/// Those of NVIDIA's container runtime, the only one that has any.
const CAPABILITIES: [&str; 8] =
    ["gpu", "compute", "compat32", "graphics", "utility", "video", "display", "nvidia"];
const DRIVERS: [&str; 3] = ["nvidia", "amd", "cdi"];

impl FromStr for GpuRequest {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let wrong = |expected: String| OptionError::syntax(WHAT, text, expected);
        let mut request = Self::default();
        for field in fields(text).map_err(|why| wrong(why.to_owned()))? {
            let (key, value) = field.split_once('=').unwrap_or(("count", &field));
            let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            match key {
                "count" if value == "all" || value == "-1" => request.count = Some(GpuCount::All),
                "count" => match value.parse() {
                    Ok(number) if number > 0 => request.count = Some(GpuCount::Number(number)),
                    _ => return Err(wrong("the count is a number above 0, or all".to_owned())),
                },
                "device" => request.devices = list(),
                "capabilities" => request.capabilities = list(),
                "driver" if DRIVERS.contains(&value) => request.driver = Some(value.to_owned()),
                "driver" => return Err(OptionError::unknown("driver of --gpus", value, DRIVERS)),
                "options" => {
                    return Err(wrong("options are a driver's own, and no driver here has any".to_owned()));
                }
                other => {
                    let known = ["count", "device", "driver", "capabilities"];
                    return Err(OptionError::unknown("field of --gpus", other, known));
                }
            }
        }
        if request.devices.iter().any(String::is_empty) {
            return Err(wrong("a device has an empty name".to_owned()));
        }
        if !request.devices.is_empty() && request.count.is_some() {
            return conflict("--gpus takes either count or device");
        }
        if request.driver.as_deref() == Some("cdi") && request.devices.is_empty() {
            return Err(wrong("with driver=cdi, device=vendor.com/class=name says which".to_owned()));
        }
        if request.devices.is_empty() && request.count.is_none() {
            request.count = Some(GpuCount::Number(1));
        }
        for name in &request.capabilities {
            if !CAPABILITIES.contains(&name.as_str()) {
                return Err(OptionError::unknown("capability of --gpus", name, CAPABILITIES));
            }
        }
        Ok(request)
    }
}

/// Comma-separated; a field with commas of its own stands in double quotes (RFC 4180). Quotes around the whole, which a shell left, are
/// one field with all of its commas: `"device=0,1"`.
fn fields(text: &str) -> Result<Vec<String>, &'static str> {
    let mut list: Vec<String> = Vec::new();
    let mut rest = text;
    loop {
        let field;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
            field = inside.to_owned();
            rest = after;
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("a comma is expected after a quoted field");
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field = rest[..end].to_owned();
            rest = &rest[end..];
        }
        // `device=0,1` without quotes: what follows has no key.
        match list.last_mut() {
            Some(last) if !field.contains('=') && is_list(last) => *last = format!("{last},{field}"),
            _ => list.push(field),
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(list),
        }
    }
}

fn is_list(field: &str) -> bool {
    field.starts_with("device=") || field.starts_with("capabilities=")
}

/// `--device-cgroup-rule "c 1:3 rwm"`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceCgroupRule {
    /// `c`, `b`, or `a` for both.
    pub kind: char,
    /// Any when absent.
    pub major: Option<u32>,
    /// Any when absent.
    pub minor: Option<u32>,
    /// Of `r`, `w`, `m`.
    pub access: String,
}

impl FromStr for DeviceCgroupRule {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let wrong = |expected: &str| OptionError::syntax("--device-cgroup-rule", text, expected.to_owned());
        let parts: Vec<&str> = text.split(' ').collect();
        let (kind, numbers, access) = match parts[..] {
            [kind @ ("a" | "b" | "c"), numbers, access] => (kind, numbers, access),
            _ => {
                return Err(wrong(
                    "expected TYPE MAJOR:MINOR ACCESS, as \"c 189:* rwm\", with a type of a, b, c",
                ));
            }
        };
        let number = |text: &str, limit: u32| match text {
            "*" => Ok(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number = digits.parse().ok().filter(|number| *number < limit);
                number.map(Some).ok_or_else(|| wrong("a number is out of range"))
            }
            _ => Err(wrong("major and minor are numbers, or *")),
        };
        let Some((major, minor)) = numbers.split_once(':') else {
            return Err(wrong("major and minor stand with a colon between them"));
        };
        if !super::device::is_access(access) {
            return Err(wrong("the access is of r, w and m, each once"));
        }
        let kind = kind.chars().next().unwrap_or('a');
        // Linux has 12 bits for the one and 20 for the other.
        Ok(Self {
            kind,
            major: number(major, 1 << 12)?,
            minor: number(minor, 1 << 20)?,
            access: access.to_owned(),
        })
    }
}

impl fmt::Display for DeviceCgroupRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        write!(f, "{} {}:{} {}", self.kind, number(self.major), number(self.minor), self.access)
    }
}

impl From<DeviceCgroupRule> for String {
    fn from(rule: DeviceCgroupRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for DeviceCgroupRule {
    type Error = OptionError;
    fn try_from(text: String) -> Result<Self, OptionError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let read = |text: &str| text.parse::<GpuRequest>().unwrap();
        assert_eq!(read("all").count, Some(GpuCount::All));
        assert_eq!(read("count=-1").count, Some(GpuCount::All));
        assert_eq!(read("2").count, Some(GpuCount::Number(2)));
        assert_eq!(read("driver=nvidia").count, Some(GpuCount::Number(1)));
        for text in ["device=0,1", "\"device=0,1\""] {
            assert_eq!(
                read(text),
                GpuRequest { devices: vec!["0".into(), "1".into()], ..Default::default() }
            );
        }
        let whole = read("\"device=0,GPU-1\",\"capabilities=compute,utility\",driver=nvidia");
        assert_eq!((whole.devices.len(), whole.capabilities.len(), whole.count), (2, 2, None));
        for bad in [
            "",
            "0",
            "some",
            "-2",
            "count=x",
            "all,device=0",
            "device=",
            "\"device=0",
            "\"device=0\"x",
            "driver=intel",
            "driver=cdi",
            "capabilities=fly",
            "options=x=y",
            "gpu=1",
        ] {
            let error = bad.parse::<GpuRequest>().unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{bad}: {error}");
        }
    }

    #[test]
    fn rules() {
        for good in ["c 1:3 rwm", "b *:* m", "a *:* rwm", "c 189:* r"] {
            assert_eq!(good.parse::<DeviceCgroupRule>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "c",
            "c 1:3",
            "d 1:3 r",
            "c 1 r",
            "c 1:3 x",
            "c 1:3 rr",
            "c -1:3 r",
            "c 1:3 r ",
            "c 4096:0 r",
            "c : r",
            "cc 1:1 r",
        ] {
            assert!(bad.parse::<DeviceCgroupRule>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9=,\"*: ä]{0,30}") {
            let _ = text.parse::<GpuRequest>();
            let _ = text.parse::<DeviceCgroupRule>();
        }
    }
}
