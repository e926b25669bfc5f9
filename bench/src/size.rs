//! How large the release binaries are, and that they are static.

use std::fs;
use std::process::Command;

use crate::Result;
use crate::report::Report;
use crate::scene::{Scene, output};

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn bench(scene: &Scene) -> Result<Report> {
    let mut report = Report::new("size", "release binaries");
    let metadata = fs::metadata(&scene.conex)
        .map_err(|error| format!("cannot look at {}: {error}", scene.conex.display()))?;
    // A length fits a float to the byte.
    #[allow(clippy::cast_precision_loss)]
    let size = metadata.len() as f64 / MIB;
    report.figure("conex", size, "MiB");
    report.budget("conex, MB", 15.0, size * MIB / 1e6);
    match output(Command::new("readelf").arg("--program-headers").arg(&scene.conex)) {
        Ok(headers) if headers.contains("INTERP") => {
            report.left_out("conex is NOT static: it names a dynamic loader");
        }
        Ok(_) => report.figure("dynamic loaders named by conex", 0.0, ""),
        Err(why) => report.left_out(why),
    }
    Ok(report)
}
