//! How it is watched: `--restart --stop-signal --stop-timeout --log-driver --log-opt --detach-keys --sdnotify`.

use std::time::Duration;

use clap::Arg;
use conex_engine::options::{LogOptions, SupervisionOptions, parse_signal};

use super::under;
use crate::cli::Given;
use crate::cli::args::{list, value};
use crate::config::Config;
use crate::errors::Error;
use crate::terminal::DetachKeys;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Supervision",
        vec![
            value("restart", "string").help(
                "Restart policy to apply when a container exits (no, on-failure[:max], always, unless-stopped)",
            ),
            value("stop-signal", "string").help("Signal to stop the container"),
            value("stop-timeout", "int").help("Timeout (in seconds) to stop a container, -1 for none (default 10)"),
            value("log-driver", "string").help("Logging driver (json-file, none, journald, journald-if-present)"),
            list("log-opt", "list").help("Log driver options (max-size, max-file, compress, labels, env, tag, mode)"),
            value("detach-keys", "string").help("Override the key sequence for detaching a container"),
            value("sdnotify", "string").help(
                "Who tells the service manager that it is ready (container, conmon, healthy, ignore) (default \"container\")",
            ),
        ],
    )
}

pub(super) fn read(given: &Given<'_>, config: &Config) -> Result<SupervisionOptions, Error> {
    let driver = given.parsed("log-driver", str::parse)?;
    let mut log =
        LogOptions { driver: driver.or(config.log.driver).unwrap_or_default(), ..LogOptions::default() };
    // Those of the configuration are for its driver.
    let usual =
        config.log.options.as_ref().filter(|_| driver.is_none_or(|driver| Some(driver) == config.log.driver));
    let usual = usual.into_iter().flat_map(|options| options.0.iter().map(String::as_str));
    for text in usual.chain(given.texts("log-opt")) {
        log.set(text)?;
    }
    // Read here too, so that a fault shows before the container is made.
    given.parsed("detach-keys", str::parse::<DetachKeys>)?;
    Ok(SupervisionOptions {
        restart: given.parsed("restart", str::parse)?.unwrap_or_default(),
        stop_signal: given.parsed("stop-signal", parse_signal)?,
        stop_timeout: given
            .parsed("stop-timeout", |text| seconds("stop-timeout", text))?
            .or(config.run.stop_timeout.map(|timeout| timeout.0)),
        log,
        detach_keys: given.filled("detach-keys").map(str::to_owned),
        health: super::health::read(given)?,
        notify: given.parsed("sdnotify", str::parse)?,
    })
}

/// Whole seconds; -1 is without end.
pub(crate) fn seconds(flag: &str, text: &str) -> Result<Duration, Error> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(Duration::MAX),
        Ok(seconds) if seconds >= 0 => Ok(Duration::from_secs(seconds.unsigned_abs())),
        _ => Err(Error::usage(format!(
            "invalid argument {text:?} for \"--{flag}\" flag: expected seconds, or -1 to wait without end"
        ))),
    }
}
