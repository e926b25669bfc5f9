//! `list`: all containers of a root.

use conex_oci::runtime::Status;

use super::Act;
use super::state::Report;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;

arguments! {
    pub(super) struct Arguments {
        /// table or json
        format: String = "-f --format FORMAT (table)";
        /// Names only
        quiet: bool = "-q --quiet";
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        if context.root_is_named && !context.root.path().exists() {
            let missing = std::io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
            return Err(Error::io("read", context.root.path(), missing));
        }
        let mut reports = Vec::new();
        for id in context.root.ids()? {
            let report = context
                .container(&id)
                .and_then(|container| Report::of(&container).map(|report| report.with_owner(&container)));
            match report {
                Ok(report) => reports.push(report),
                // Half made, or removed while we look.
                Err(error) => eprintln!("load container {id}: {error}"),
            }
        }
        let text = match self.format.as_str() {
            _ if self.quiet => reports.iter().map(|report| format!("{}\n", report.id)).collect(),
            "table" => table(&reports),
            "json" if reports.is_empty() => "null\n".to_owned(),
            "json" => {
                let text = serde_json::to_string(&reports);
                format!("{}\n", text.map_err(|error| Error::io("print", "the list", error))?)
            }
            _ => return Err(Error::refused("invalid format option")),
        };
        crate::print(&text);
        Ok(0)
    }
}

/// Columns as wide as their widest cell, and three blanks; at least 12 wide.
fn table(reports: &[Report]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(reports.iter().map(|report| {
        let pid = if report.status == Status::Stopped { 0 } else { report.pid };
        [
            report.id.clone(),
            pid.to_string(),
            report.status.name().to_owned(),
            report.bundle.display().to_string(),
            report.created.clone(),
            report.owner.clone(),
        ]
    }));
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let width = if column == 5 { 0 } else { (widest + 3).max(12) };
            text.push_str(&format!("{cell:<width$}"));
        }
        text.push('\n');
    }
    text
}
