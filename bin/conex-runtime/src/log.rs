//! The log: what runc's callers read. A line of text or JSON each, to standard error or the file of `--log`; the last error
//! of a failed command goes to standard error in any case.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use log::{Level, LevelFilter, Metadata, Record};

use crate::arguments::Global;
use crate::error::Error;
use crate::time;

struct Sink {
    /// Standard error without one.
    file: Option<File>,
    json: bool,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Opens the log that the flags ask for.
pub(crate) fn set_up(global: &Global) -> Result<(), Error> {
    let json = match global.log_format.as_str() {
        "" | "text" => false,
        "json" => true,
        other => return Err(Error::Refused(format!("invalid log-format: {other}"))),
    };
    let file = match &global.log {
        Some(path) if !path.as_os_str().is_empty() => Some(open(path)?),
        _ => None,
    };
    let sink = SINK.get_or_init(|| Sink { file, json });
    log::set_max_level(if global.debug { LevelFilter::Debug } else { LevelFilter::Warn });
    // Refused only the second time.
    let _ = log::set_logger(sink);
    Ok(())
}

fn open(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o644).open(path);
    opened.map_err(|source| Error::io("open the log", PathBuf::from(path), source))
}

/// The reason why the command fails.
pub(crate) fn complain(message: &str) {
    let standard = Sink { file: None, json: false };
    let sink = SINK.get().unwrap_or(&standard);
    sink.write(Level::Error, message);
    if sink.file.is_some() {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}

impl Sink {
    fn write(&self, level: Level, message: &str) {
        let name = match level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let now = SystemTime::now();
        let line = if self.json {
            // The order of the keys is logrus's.
            format!(
                "{{\"level\":\"{name}\",\"msg\":{},\"time\":\"{}\"}}\n",
                quoted(message),
                time::seconds(now)
            )
        } else if self.file.is_none() && std::io::stderr().is_terminal() {
            format!("{:.4}[0000] {message}\n", name.to_ascii_uppercase())
        } else {
            format!("time=\"{}\" level={name} msg={}\n", time::seconds(now), quoted(message))
        };
        // In one piece: others may write to the same file. A log that cannot be written has nowhere to complain.
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// In double quotes, escaped as JSON does, which is near enough to what Go does for text.
fn quoted(message: &str) -> String {
    serde_json::Value::from(message).to_string()
}

impl log::Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.write(record.level(), &record.args().to_string());
    }

    fn flush(&self) {}
}
