//! Connections: one HTTP agent a kind of trust, made when it is first needed. No redirect is followed here and no
//! status is an error here: both are decisions about security, made in `request`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use ureq::http::{Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, SendBody};

use crate::endpoint::{Trust, is_loopback};
use crate::names::Names;
use crate::redirect::{Reach, shown};
use crate::{Options, roots};

/// How a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    https: bool,
    trust: Trust,
    /// Never through a proxy: the peer is this machine.
    direct: bool,
    reach: Reach,
}

/// The agents.
#[derive(Debug)]
pub(crate) struct Transport {
    patience: Duration,
    agents: Mutex<HashMap<Kind, Agent>>,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Self {
        Self { patience: options.patience, agents: Mutex::default() }
    }

    /// Sends one request and gives back its answer, whatever its status. `whole` bounds the time for the body.
    pub(crate) fn send(
        &self,
        request: Request<SendBody<'_>>,
        trust: Trust,
        reach: Reach,
        whole: Option<Duration>,
    ) -> Result<Response<Body>, ureq::Error> {
        let agent = self.agent(request.uri(), trust, reach);
        log::debug!("{} {}", request.method(), shown(request.uri()));
        let request = agent.configure_request(request).timeout_recv_body(whole).build();
        agent.run(request)
    }

    fn agent(&self, uri: &Uri, trust: Trust, reach: Reach) -> Agent {
        let https = uri.scheme_str() == Some("https");
        let kind = Kind { https, trust, direct: uri.host().is_some_and(is_loopback), reach };
        let mut agents = match self.agents.lock() {
            Ok(agents) => agents,
            // A map of agents is whole whoever panicked beside it.
            Err(poisoned) => poisoned.into_inner(),
        };
        agents.entry(kind).or_insert_with(|| self.connect(kind)).clone()
    }

    fn connect(&self, kind: Kind) -> Agent {
        // Reading the machine's certificates takes milliseconds: only for who has to show one.
        let tls = match (kind.https, kind.trust) {
            (true, Trust::Certificate) => TlsConfig::builder().root_certs(roots::system()),
            _ => TlsConfig::builder().disable_verification(kind.https && kind.trust == Trust::Anything),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(if kind.direct { None } else { proxy(kind.https) })
            .tls_config(tls.build())
            .user_agent(concat!("conex/", env!("CARGO_PKG_VERSION")))
            // A digest is over the bytes as stored.
            .accept_encoding("identity")
            .timeout_connect(Some(self.patience))
            .timeout_send_request(Some(self.patience))
            .timeout_recv_response(Some(self.patience))
            .timeout_per_read(Some(self.patience))
            .timeout_per_write(Some(self.patience))
            .input_buffer_size(128 << 10)
            .build();
        Agent::with_parts(config, DefaultConnector::default(), Names(kind.reach))
    }
}

/// The proxy that the environment names for this scheme, `NO_PROXY` included. In a CGI program `HTTP_PROXY` is a header
/// that a stranger has sent (CVE-2016-5385); `REQUEST_METHOD` tells such programs.
fn proxy(https: bool) -> Option<Proxy> {
    let names: &[&str] = match https {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false if std::env::var_os("REQUEST_METHOD").is_some() => &["http_proxy"],
        false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let named = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    match with_exceptions(&named) {
        Ok(proxy) => Some(proxy),
        Err(error) => {
            log::warn!("ignoring a malformed proxy address in the environment: {error}");
            None
        }
    }
}

fn with_exceptions(named: &str) -> Result<Proxy, ureq::Error> {
    let plain = Proxy::new(named)?;
    let mut builder = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(username) = plain.username() {
        builder = builder.username(username);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    let exceptions = ["no_proxy", "NO_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    for exception in exceptions.iter().flat_map(|list| list.split(',')).map(str::trim) {
        if !exception.is_empty() {
            // As for curl and Go, a domain stands for what is below it too.
            builder = builder
                .no_proxy(exception)
                .no_proxy(&format!(".{}", exception.trim_start_matches(['*', '.'])));
        }
    }
    builder.build()
}
