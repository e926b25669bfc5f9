//! The two text formats: Prometheus's "Text-based format" 0.0.4 and OpenMetrics 1.0.0 (section "Text Format").

use std::fmt::{self, Write as _};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, which everything reads.
    Prometheus,
    /// Its successor.
    OpenMetrics,
}

impl Format {
    /// The media type of an answer.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a client prefers, by its `Accept` header (RFC 9110 section 12.5.1); Prometheus's own when it says nothing.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut plain, mut open) = (None::<f64>, None::<f64>);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let wanted = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => &mut open,
                "text/plain" | "text/*" | "*/*" => &mut plain,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok()).unwrap_or(1.0);
            *wanted = Some(wanted.unwrap_or(0.0).max(quality));
        }
        match (open, plain) {
            (Some(open), plain) if open > 0.0 && open >= plain.unwrap_or(0.0) => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Integer(u64),
    Fraction(f64),
    /// Written as seconds, exactly.
    Nanoseconds(u64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Fraction(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Fraction(value) => write!(f, "{value}"),
            Self::Nanoseconds(value) => write!(f, "{}.{:09}", value / 1_000_000_000, value % 1_000_000_000),
        }
    }
}

/// Samples of one name.
#[derive(Debug)]
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// `{a="b"}` and the number of each.
    samples: Vec<(String, Value)>,
}

impl Family {
    pub(crate) fn add(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        let mut text = String::new();
        for (name, value) in labels {
            text.push(if text.is_empty() { '{' } else { ',' });
            let _ = write!(text, "{name}=\"{}\"", escaped(value));
        }
        if !text.is_empty() {
            text.push('}');
        }
        self.samples.push((text, value.into()));
    }

    fn write(&self, out: &mut String, format: Format) {
        let (mut name, mut kind) = (self.name, if self.kind == Kind::Counter { "counter" } else { "gauge" });
        if format == Format::OpenMetrics && self.kind == Kind::Counter {
            match name.strip_suffix("_total") {
                Some(family) => name = family,
                // An old name that is not a counter's there.
                None => kind = "unknown",
            }
        }
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", self.help);
        for (labels, value) in &self.samples {
            let _ = writeln!(out, "{}{labels} {value}", self.name);
        }
    }
}

/// A label's value between its quotes: the same in both formats.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All families of one look.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Family>,
}

impl Page {
    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, Kind::Counter)
    }

    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, Kind::Gauge)
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: Kind) -> &mut Family {
        let at = match self.families.iter().position(|family| family.name == name) {
            Some(at) => at,
            None => {
                self.families.push(Family { name, help, kind, samples: Vec::new() });
                self.families.len() - 1
            }
        };
        &mut self.families[at]
    }

    /// The page as it is served. Families without a sample are left out.
    pub fn text(&self, format: Format) -> String {
        let mut out = String::new();
        for family in self.families.iter().filter(|family| !family.samples.is_empty()) {
            family.write(&mut out, format);
        }
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.counter("a_seconds_total", "Time.")
            .add(&[("name", "x\"\\\ny")], Value::Nanoseconds(1_500_000_000));
        page.counter("b_failcnt", "Old.").add(&[], 7);
        page.gauge("c_bytes", "Bytes.").add(&[("l", "1"), ("m", "2")], 0.25);
        page.gauge("nothing", "Nothing.");
        page
    }

    #[test]
    fn prometheus() {
        assert_eq!(
            page().text(Format::Prometheus),
            "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total{name=\"x\\\"\\\\\\ny\"} 1.500000000\n# HELP b_failcnt Old.\n# TYPE b_failcnt counter\nb_failcnt 7\n# HELP c_bytes Bytes.\n# TYPE c_bytes gauge\nc_bytes{l=\"1\",m=\"2\"} 0.25\n"
        );
    }

    #[test]
    fn open_metrics() {
        let text = page().text(Format::OpenMetrics);
        assert!(text.contains("# TYPE a_seconds counter\na_seconds_total{"), "{text}");
        assert!(text.contains("# TYPE b_failcnt unknown\nb_failcnt 7\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn who_wants_what() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/html"), Format::Prometheus),
            (Some(prometheus), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (Some("text/plain, application/openmetrics-text; q=0.3"), Format::Prometheus),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_sample_is_one_line(value in ".{0,60}|[\\\\\"\n]{0,9}", accept in ".{0,60}") {
            let mut page = Page::default();
            page.gauge("a", "A.").add(&[("l", &value)], 1);
            // HELP, TYPE and the sample.
            proptest::prop_assert_eq!(page.text(Format::Prometheus).matches('\n').count(), 3);
            let _ = Format::negotiate(Some(&accept));
        }
    }
}
