//! How its health is checked: `--health-cmd` and its like, `--no-healthcheck`, `--health-on-failure`.

use clap::Arg;
use conex_engine::options::{HealthOptions, parse_health_cmd, parse_health_retries, parse_health_time};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, value};
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Health",
        vec![
            value("health-cmd", "string").help("Command to run to check health"),
            value("health-interval", "duration").help("Time between running the check (default 30s)"),
            value("health-timeout", "duration").help("Maximum time to allow one check to run (default 30s)"),
            value("health-retries", "int").help("Consecutive failures needed to report unhealthy (default 3)"),
            value("health-start-period", "duration")
                .help("Start period for the container to initialize before failures count (default 0s)"),
            value("health-start-interval", "duration")
                .help("Time between running the check during the start period (default 5s)"),
            value("health-on-failure", "string").help(
                "Action to take once the container turns unhealthy (none, restart, stop, kill) (default \"none\")",
            ),
            flag("no-healthcheck").help("Disable any container-specified HEALTHCHECK"),
        ],
    )
}

pub(super) fn read(given: &Given<'_>) -> Result<HealthOptions, Error> {
    let time = |name: &str, flag| given.parsed(name, |text| parse_health_time(flag, text));
    Ok(HealthOptions {
        test: given.filled("health-cmd").map(parse_health_cmd),
        interval: time("health-interval", "--health-interval")?,
        timeout: time("health-timeout", "--health-timeout")?,
        start_period: time("health-start-period", "--health-start-period")?,
        start_interval: time("health-start-interval", "--health-start-interval")?,
        retries: given.parsed("health-retries", parse_health_retries)?,
        disabled: given.on("no-healthcheck"),
        on_failure: given.parsed("health-on-failure", str::parse)?.unwrap_or_default(),
    })
}
