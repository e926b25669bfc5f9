//! What containers and the engine use, for Prometheus: the text format 0.0.4 and OpenMetrics 1.0.0.
//!
//! [`collect`] looks at everything once and gives families of samples (`containers`, `machine`); [`Page::text`] writes them in
//! one of the two formats (`exposition`); [`Server`] answers `GET /metrics`, one look after the other. Names and labels of
//! what cAdvisor has too are cAdvisor's, so that boards and alerts made for it go on; ours begin with `conex_`.
//!
//! Nothing is kept between two looks: rates are for whoever collects.

mod containers;
mod exposition;
mod machine;
mod server;

pub use exposition::{Format, Page};
pub use server::{Options, Server};

use std::time::Instant;

use conex_engine::Engine;

/// What can go wrong with the server itself; what cannot be looked at is the engine's to say.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No connection can be accepted any more.
    #[error("cannot accept connections: {0}")]
    Accept(#[source] std::io::Error),
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Looks at every container, the images and the machine.
///
/// # Errors
/// When containers or images cannot be listed; a single container that cannot be looked at is left out and logged.
pub fn collect(engine: &Engine) -> conex_engine::Result<Page> {
    let began = Instant::now();
    let containers = engine.watch_stats(None, true).look()?;
    let images = engine.images().list(&conex_image::Filter::default())?.len();
    let mut page = Page::default();
    containers::describe(&mut page, &containers);
    machine::describe(&mut page, &containers, images);
    page.gauge("conex_scrape_duration_seconds", "How long this look at everything took, in seconds.")
        .add(&[], began.elapsed().as_secs_f64());
    Ok(page)
}
