//! The registry as something that listens.

use std::net::{SocketAddr, TcpStream};

use conex_content::Content;
use conex_http::{Body, Handler, Head, Response};

use crate::api::{self, Api};
use crate::holds::Holds;
use crate::uploads::Sessions;
use crate::{Error, Result};

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 is one that is free.
    pub listen: SocketAddr,
    /// Whether nothing may be pushed or deleted.
    pub read_only: bool,
    /// The most connections at once; others wait to be accepted.
    pub connections: usize,
}

/// A registry that listens.
#[derive(Debug)]
pub struct Server {
    http: conex_http::Server<Api>,
}

impl Server {
    /// Listens; nothing is answered before [`run`](Self::run).
    pub fn bind(content: Content, options: &Options) -> Result<Self> {
        let (holds, sessions) = (Holds::default(), Sessions::default());
        let api = Api { content, holds, sessions, read_only: options.read_only };
        let http = conex_http::Server::bind(options.listen, options.connections, api)
            .map_err(|source| Error::Listen { address: options.listen, source })?;
        Ok(Self { http })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Answers the requests of one connection that somebody else has accepted, in order, until it ends.
    ///
    /// # Errors
    /// What the connection itself says; whatever is wrong with a request is answered.
    pub fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        self.http.answer(stream)
    }

    /// Answers until it cannot any more.
    pub fn run(&self) -> Result<()> {
        self.http.run().map_err(Error::Accept)
    }
}

impl Handler for Api {
    fn answer(&self, head: &Head, body: &mut Body<'_, '_>) -> Response {
        self.route(head, body)
    }

    fn refuse(&self, status: u16, why: &'static str) -> Response {
        api::error(status, "UNSUPPORTED", why)
    }
}
