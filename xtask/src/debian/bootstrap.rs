//! A root filesystem of Debian packages, installed by apt and dpkg as on a machine, without any container tool.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Sources;
use crate::command::{installed, output, program};

/// As in Debian's own slim images: what nobody reads in a container is not there in the first place.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"];

/// What a change of makes another root of the same packages.
pub(crate) fn recipe(sources: &Sources, epoch: &str) -> String {
    format!("{}{epoch} {LEFT_OUT:?}\n", sources.line(&sources.suite))
}

/// Writes `tar`: the essential packages, `packages` and what they depend on, without files that match a pattern of
/// `left_out`, none younger than `epoch` (seconds). It works in memory, as dpkg syncs every file to the disk.
pub(crate) fn bootstrap(
    tar: &Path,
    sources: &Sources,
    epoch: &str,
    packages: &[&str],
    left_out: &[&str],
) -> Result<()> {
    ensure!(output(program("id").arg("-u"))?.trim() == "0", "not root");
    let missing = ["mmdebstrap", "unshare"].into_iter().find(|name| !installed(name));
    ensure!(missing.is_none(), "{} is not installed", missing.unwrap_or_default());
    let scratch = tar.with_extension("mmdebstrap");
    fs::create_dir(&scratch)?;
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-c", r#"mount -t tmpfs none "$TMPDIR" && exec "$@""#, "sh"]);
    command.args(["mmdebstrap", "--quiet", "--variant=minbase"]);
    // Without these it would merge /usr by a program in Perl, which stays.
    command.arg("--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr");
    command.arg(format!("--include={}", [&["usr-is-merged"], packages].concat().join(",")));
    command.args(LEFT_OUT.iter().chain(left_out).map(|pattern| format!("--dpkgopt=path-exclude={pattern}")));
    command.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    command.arg(&sources.suite).arg(tar).arg(sources.line(&sources.suite).trim());
    command.env("TMPDIR", &scratch).env("SOURCE_DATE_EPOCH", epoch);
    // It talks much, and only its last words tell what is wrong.
    let said = command.output().context("cannot start unshare")?;
    let words = String::from_utf8_lossy(&said.stderr);
    ensure!(
        said.status.success(),
        "mmdebstrap: {}: {}",
        said.status,
        words.lines().last().unwrap_or_default()
    );
    fs::remove_dir(&scratch)?;
    Ok(())
}
