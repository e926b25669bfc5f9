//! `ps`: a container's processes, by their ids on the host, as ps(1) shows them.

use std::path::Path;

use conex_runtime::program::{find, output};
use rustix::io::Errno;

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;
use crate::groups;

arguments! {
    pub(super) struct Arguments {
        /// table or json
        format: String = "-f --format FORMAT (table)";
    }
}

impl Act for Arguments {
    const FIRST_WORD_ENDS_FLAGS: bool = true;

    fn act(self, context: &Context) -> Result<i32, Error> {
        let (id, options) =
            self.words.split_first().ok_or_else(|| Error::refused("container id cannot be empty"))?;
        let container = context.container(id)?;
        let pids = match container.record().map(groups::open).transpose()?.flatten() {
            Some(cgroup) => cgroup.procs()?,
            None => container.init().map(|(init, _)| init.pid).into_iter().collect(),
        };
        let text = match self.format.as_str() {
            "json" => {
                let text = serde_json::to_string(&pids);
                format!("{}\n", text.map_err(|error| Error::io("print", "the processes", error))?)
            }
            "table" => table(&pids, options)?,
            _ => return Err(Error::refused("invalid format option")),
        };
        crate::print(&text);
        Ok(0)
    }
}

/// ps(1)'s own lines, those of other processes left out. The pids are sorted.
fn table(pids: &[u32], options: &[String]) -> Result<String, Error> {
    let all = ["-ef".to_owned()];
    let options = if options.is_empty() { &all } else { options };
    let failed = |source| Error::io("run", "ps", source);
    let ps = find(Path::new("ps")).ok_or_else(|| failed(Errno::NOENT.into()))?;
    let output = output(&ps, options).map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.is_success() {
        let said = format!("{}{text}", String::from_utf8_lossy(&output.stderr));
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        return Err(Error::Refused(format!("ps ended with {}: {first}", output.ended())));
    }
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let column = title.split_ascii_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| Error::refused("couldn't find PID field in ps output"))?;
    let mut shown = format!("{title}\n");
    for line in lines {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid: u32| pids.binary_search(&pid).is_ok()) {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    Ok(shown)
}
