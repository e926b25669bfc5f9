//! What every verb needs: where the stores are, and handles on them when it asks.

use std::cell::OnceCell;
use std::path::PathBuf;

use conex_engine::events::{Event, note};
use conex_engine::rootless::{self, Member};
use conex_engine::{Engine, Paths};
use conex_image::Store;
use conex_registry::{Client, Options};

use super::Given;
use crate::config::{Config, Ids};
use crate::errors::Error;

/// The settings of this call.
pub(crate) struct Context {
    paths: Paths,
    /// An ordinary user's place in his namespaces, taken when a store is first opened.
    member: OnceCell<Option<Member>>,
    /// What the configuration says, read when it is first asked for.
    config: OnceCell<Config>,
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
        crate::errors::know_root(&root);
        Ok(Self { paths: Paths { root, run }, member: OnceCell::new(), config: OnceCell::new() })
    }

    /// The engine on these directories.
    ///
    /// # Errors
    /// When they cannot be made, or the configuration is wrong.
    pub(crate) fn engine(&self) -> Result<Engine, Error> {
        self.enter()?;
        let config = self.config()?;
        let engine = Engine::open(self.paths.clone())?.with_init(crate::builtin::INIT);
        Ok(engine
            .with_cni(config.cni.settings())
            .with_cdi(config.cdi.directories())
            .with_host_ids(config.run.userns == Some(Ids::Host))
            .with_pools(config.network.pools.clone())
            .with_ports(config.ports.address, config.ports.firewall()))
    }

    /// What the configuration says.
    ///
    /// # Errors
    /// A file that is wrong.
    pub(crate) fn config(&self) -> Result<&Config, Error> {
        if self.config.get().is_none() {
            let _ = self.config.set(Config::read()?);
        }
        Ok(self.config.get().unwrap_or_else(|| unreachable!("just set")))
    }

    /// Makes an ordinary user root of his namespaces: from here on his files of other owners can be written. Before any thread.
    ///
    /// # Errors
    /// Where the host has none for him.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        if self.member.get().is_none() {
            let _ = self.member.set(rootless::enter(&self.paths)?);
        }
        Ok(())
    }

    /// Whether all that is mounted in an ordinary user's namespaces goes when this command ends: nobody else is in them.
    ///
    /// # Errors
    /// As [`Context::enter`].
    pub(crate) fn is_alone(&self) -> Result<bool, Error> {
        self.enter()?;
        Ok(match self.member.get() {
            Some(Some(member)) => member.is_alone()?,
            _ => false,
        })
    }

    /// Where everything is.
    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// What is gone after a reboot.
    pub(crate) fn run_directory(&self) -> &std::path::Path {
        &self.paths.run
    }

    /// A client for registries, with the user's credentials.
    pub(crate) fn registries(&self) -> Client {
        Client::new(Options::from_env())
    }

    /// Notes what has happened to an image: `name` is what it is called, or its id again.
    pub(crate) fn image_event(&self, action: &str, id: impl ToString, name: impl ToString) {
        let event = Event::new("image", action, id.to_string()).with("name", name.to_string());
        note(&self.paths.root, &event);
    }

    /// The images alone, cleared of what dead commands had not finished.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub(crate) fn images(&self) -> Result<Store, Error> {
        self.enter()?;
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
    let uid = rustix::process::geteuid();
    let path = match given.text(flag) {
        Some(path) => PathBuf::from(path),
        None => match set(variable) {
            Some(path) => PathBuf::from(path),
            None if uid.is_root() => return Ok(PathBuf::from(shared)),
            None => match (set(private), set("HOME")) {
                (Some(path), _) => PathBuf::from(path).join("conex"),
                // Without a login session there may be none.
                (None, _) if private == "XDG_RUNTIME_DIR" => rootless::run_directory(uid.as_raw())?,
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
