//! `GET /metrics`: each answer is a look at everything, one at a time, so that many who ask do not cost more than one.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use conex_engine::Engine;
use conex_http::{Body, Handler, Head, Response};

use crate::{Error, Format, Result};

const TEXT: &str = "text/plain; charset=utf-8";

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 is one that is free.
    pub listen: SocketAddr,
    /// The most connections at once; others wait to be accepted.
    pub connections: usize,
}

/// Metrics that are listened for.
pub struct Server {
    http: conex_http::Server<Pages>,
}

impl Server {
    /// Listens; nothing is answered before [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn bind(engine: Engine, options: &Options) -> Result<Self> {
        let pages = Pages { engine: Mutex::new(engine) };
        let http = conex_http::Server::bind(options.listen, options.connections, pages)
            .map_err(|source| Error::Listen { address: options.listen, source })?;
        Ok(Self { http })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Answers until it cannot any more.
    ///
    /// # Errors
    /// [`Error::Accept`].
    pub fn run(&self) -> Result<()> {
        self.http.run().map_err(Error::Accept)
    }
}

struct Pages {
    engine: Mutex<Engine>,
}

impl Handler for Pages {
    fn answer(&self, head: &Head, _: &mut Body<'_, '_>) -> Response {
        if head.path != "/metrics" {
            return Response::new(404).bytes(TEXT, b"metrics are at /metrics\n".to_vec());
        }
        if !matches!(head.method.as_str(), "GET" | "HEAD") {
            return Response::new(405).with("Allow", "GET, HEAD").bytes(TEXT, b"only GET\n".to_vec());
        }
        let page = crate::collect(&self.engine.lock().unwrap_or_else(PoisonError::into_inner));
        match page {
            Ok(page) => {
                let format = Format::negotiate(head.header("accept"));
                let response = Response::new(200).bytes(format.media_type(), page.text(format).into_bytes());
                response.with("Vary", "Accept")
            }
            Err(error) => {
                log::error!("{error}");
                Response::new(500)
                    .bytes(TEXT, b"the containers cannot be looked at; the log says why\n".to_vec())
            }
        }
    }

    fn refuse(&self, status: u16, why: &'static str) -> Response {
        Response::new(status).bytes(TEXT, format!("{why}\n").into_bytes())
    }
}
