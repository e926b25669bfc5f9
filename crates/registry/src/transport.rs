//! Connections: one HTTP agent a kind of trust, made when it is first needed. No redirect is followed here and no
//! status is an error here: both are decisions about security, made in `request`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::http::{Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, SendBody};

use crate::certificates::{self, HostCertificates};
use crate::endpoint::{Trust, is_loopback};
use crate::names::Names;
use crate::redirect::{Reach, shown};
use crate::{Options, roots};

/// How a connection is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    https: bool,
    trust: Trust,
    /// Never through a proxy: the peer is this machine.
    direct: bool,
    reach: Reach,
    /// A host that has certificates of its own.
    host: Option<String>,
}

/// The agents.
#[derive(Debug)]
pub(crate) struct Transport {
    patience: Duration,
    /// Directories of certificates by host.
    places: Vec<PathBuf>,
    /// What is there, by host; nothing for most.
    certificates: Mutex<HashMap<String, Option<Arc<HostCertificates>>>>,
    agents: Mutex<HashMap<Kind, Agent>>,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Self {
        let (patience, places) = (options.patience, options.certificates.clone());
        Self { patience, places, certificates: Mutex::default(), agents: Mutex::default() }
    }

    /// Sends one request and gives back its answer, whatever its status. `whole` bounds the time for the body.
    pub(crate) fn send(
        &self,
        request: Request<SendBody<'_>>,
        trust: Trust,
        reach: Reach,
        whole: Option<Duration>,
    ) -> Result<Response<Body>, ureq::Error> {
        let agent = self.agent(request.uri(), trust, reach)?;
        log::debug!("{} {}", request.method(), shown(request.uri()));
        let request = agent.configure_request(request).timeout_recv_body(whole).build();
        agent.run(request)
    }

    fn agent(&self, uri: &Uri, trust: Trust, reach: Reach) -> Result<Agent, ureq::Error> {
        let https = uri.scheme_str() == Some("https");
        let host = uri.authority().filter(|_| https).map(ToString::to_string).unwrap_or_default();
        let own = if https { self.certificates_of(&host)? } else { None };
        let direct = uri.host().is_some_and(is_loopback);
        let kind = Kind { https, trust, direct, reach, host: own.is_some().then_some(host) };
        let mut agents = unpoisoned(&self.agents);
        Ok(agents.entry(kind.clone()).or_insert_with(|| self.connect(&kind, own.as_deref())).clone())
    }

    fn certificates_of(&self, host: &str) -> io::Result<Option<Arc<HostCertificates>>> {
        if self.places.is_empty() {
            return Ok(None);
        }
        let mut known = unpoisoned(&self.certificates);
        if let Some(found) = known.get(host) {
            return Ok(found.clone());
        }
        let found = certificates::find(&self.places, host)?.map(Arc::new);
        known.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    fn connect(&self, kind: &Kind, own: Option<&HostCertificates>) -> Agent {
        // Reading the machine's certificates takes milliseconds: only for who has to show one.
        let tls = match (kind.https, kind.trust) {
            (true, Trust::Certificate) => {
                let more = own.map_or(&[][..], |own| &own.authorities);
                TlsConfig::builder().root_certs(roots::system_and(more))
            }
            _ => TlsConfig::builder().disable_verification(kind.https && kind.trust == Trust::Anything),
        };
        let tls = tls.client_cert(own.and_then(|own| own.client.clone()));
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

/// The maps are whole whoever panicked beside them: each change is one insertion.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
