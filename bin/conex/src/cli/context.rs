//! What every verb needs: where the stores are, and handles on them when it asks.

use std::path::PathBuf;

use conex_engine::network::FirewallSettings;
use conex_engine::{Engine, Paths};
use conex_image::Store;
use conex_registry::{Client, Options};

use super::Given;
use crate::errors::Error;

/// The settings of this call.
pub(crate) struct Context {
    paths: Paths,
}

impl Context {
    /// From global flags and the environment; turns the log on when it is asked for.
    ///
    /// # Errors
    /// A path that is empty, a log level that does not exist.
    pub(crate) fn new(given: &Given<'_>) -> Result<Self, Error> {
        log(given)?;
        let root = directory(given, "root", "CONEX_ROOT", "XDG_DATA_HOME", "/var/lib/conex")?;
        let run = directory(given, "run-root", "CONEX_RUN_ROOT", "XDG_RUNTIME_DIR", "/run/conex")?;
        Ok(Self { paths: Paths { root, run } })
    }

    /// The engine on these directories.
    ///
    /// # Errors
    /// When they cannot be made, or the configuration is wrong.
    pub(crate) fn engine(&self) -> Result<Engine, Error> {
        let ports = crate::config::Config::read()?.ports;
        let engine = Engine::open(self.paths.clone())?.with_init(crate::builtin::INIT);
        let firewall = FirewallSettings {
            block_metadata: ports.block_metadata.unwrap_or(false),
            ask_input: ports.ask_input.unwrap_or(false),
        };
        Ok(engine.with_ports(ports.address, firewall))
    }

    /// What is gone after a reboot.
    pub(crate) fn run_directory(&self) -> &std::path::Path {
        &self.paths.run
    }

    /// A client for registries, with the user's credentials.
    pub(crate) fn registries(&self) -> Client {
        Client::new(Options::from_env())
    }

    /// The images alone, cleared of what dead commands had not finished.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub(crate) fn images(&self) -> Result<Store, Error> {
        let store = Store::open_to_run(&self.paths.root, &self.paths.run)?;
        // Whoever may only read the store is not kept from it.
        if let Err(error) = store.content().clear_temporary() {
            log::warn!("{error}");
        }
        Ok(store)
    }
}

/// A flag, else the environment, else the place that the user's kind has.
fn directory(
    given: &Given<'_>,
    flag: &str,
    variable: &str,
    private: &str,
    shared: &str,
) -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = match given.text(flag) {
        Some(path) => PathBuf::from(path),
        None => match set(variable) {
            Some(path) => PathBuf::from(path),
            None if rustix::process::geteuid().is_root() => return Ok(PathBuf::from(shared)),
            None => match (set(private), set("HOME")) {
                (Some(path), _) => PathBuf::from(path).join("conex"),
                (None, Some(home)) => PathBuf::from(home).join(".local/share/conex"),
                (None, None) => PathBuf::from(shared),
            },
        },
    };
    std::path::absolute(&path)
        .map_err(|_| Error::usage(format!("--{flag} must name a directory (the path is empty)")))
}

fn log(given: &Given<'_>) -> Result<(), Error> {
    let level = match given.text("log-level") {
        Some(level) => Some(level.to_owned()),
        None if given.on("debug") => Some("debug".to_owned()),
        None => std::env::var("CONEX_LOG").ok().filter(|level| !level.is_empty()),
    };
    let Some(level) = level else { return Ok(()) };
    // `conex_engine=trace,info` is for developers: env_logger's own language.
    if !level.contains(['=', ',']) {
        level.replace("fatal", "error").parse::<log::LevelFilter>().map_err(|_| {
            Error::usage(format!(
                "log level {level:?} is unknown; use off, error, warn, info, debug or trace"
            ))
        })?;
    }
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&level);
    if env_logger::Builder::new().parse_filters(&level).build().filter() == log::LevelFilter::Trace {
        // At this level they write out what goes over the wire: passwords and tokens.
        for module in ["ureq", "ureq_proto", "ureq_proto::util", "ureq::util", "rustls"] {
            builder.filter_module(module, log::LevelFilter::Debug);
        }
    }
    let _ = builder.try_init();
    log::debug!("conex {} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    Ok(())
}
