//! Descriptors from 3 on that the process gets: those of socket activation (sd_listen_fds(3)), then `--preserve-fds`.

use std::os::fd::RawFd;

use conex_oci::runtime::Process;

use crate::error::Error;

/// How many the process inherits; its environment tells of those that were activated.
pub(crate) fn preserved(asked: u32, process: &mut Process) -> Result<u32, Error> {
    let activated = activated();
    if activated > 0 {
        process.env.push(format!("LISTEN_FDS={activated}"));
        // In the container's own pid namespace.
        process.env.push("LISTEN_PID=1".to_owned());
    }
    check(activated, asked)?;
    Ok(activated + asked)
}

/// Those that are passed on to an exec, which are not activated.
pub(crate) fn check(first: u32, asked: u32) -> Result<(), Error> {
    for index in 0..asked {
        let number = first.saturating_add(index).saturating_add(3);
        let failed = |source: std::io::Error| {
            Error::Refused(format!("unable to stat preserved-fd {index} (of {asked}): {source}"))
        };
        let number = RawFd::try_from(number)
            .map_err(|_| failed(std::io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error())))?;
        is_open(number).map_err(failed)?;
    }
    Ok(())
}

fn activated() -> u32 {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let count = number("LISTEN_FDS").filter(|_| number("LISTEN_PID") == Some(std::process::id()));
    count.unwrap_or(0).min(1024)
}

fn is_open(number: RawFd) -> std::io::Result<()> {
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).map(|_| ())
}
