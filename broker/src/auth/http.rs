//! Asks a service over HTTP/1.1, plain or over TLS, and reads its whole answer.
//!
//! Connections are used again while the service keeps them. Nothing here knows what is asked.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use weir_config::Diagnostic;

use super::line::code;
use crate::http_connection::{self, OpenError, Requests, read_body};

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceAddress {
    pub(crate) is_secure: bool,
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// From the `/` on.
    pub(crate) path: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HttpError {
    /// Nobody listens there, or the certificate is not believed.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// What came is not HTTP, or stopped in the middle.
    #[error("{address} does not speak HTTP: {source}")]
    Exchange { address: String, source: hyper::Error },
    /// The answer is longer than it may be, or stopped in the middle.
    #[error("the answer of {address} is cut off, or longer than 64 KB")]
    Length { address: String },
    /// The service has failed itself.
    #[error("{address} answers with status {status}")]
    Status { address: String, status: StatusCode },
    /// It takes too long.
    #[error("{address} does not answer in time")]
    Time { address: String },
}

/// Asks at one of several addresses.
pub(crate) struct HttpClient {
    addresses: Vec<ServiceAddress>,
    tls: Option<TlsConnector>,
    /// The whole time for one question, at all addresses together.
    timeout: Duration,
    /// The address that has answered last.
    preferred: AtomicUsize,
    idle: Mutex<Vec<(usize, Requests)>>,
}

impl HttpClient {
    /// A client that has not connected yet.
    pub(crate) fn new(
        addresses: Vec<ServiceAddress>,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, Box<Diagnostic>> {
        let tls = ca_file.map(connector).transpose()?;
        let (preferred, idle) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        Ok(Self { addresses, tls, timeout, preferred, idle })
    }

    /// Posts JSON to the address that has answered last, and to the others when it fails. Any
    /// status below 500 is an answer.
    pub(crate) async fn post(&self, body: Bytes) -> Result<(StatusCode, Bytes), HttpError> {
        let count = self.addresses.len();
        let share = self.timeout / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut failed = None;
        for index in (0..count).map(|turn| (preferred + turn) % count) {
            let answer = timeout(share, self.post_to(index, &body)).await;
            match answer.unwrap_or_else(|_| Err(HttpError::Time { address: self.name(index) })) {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.expect("the configuration names at least one address"))
    }

    async fn post_to(&self, index: usize, body: &Bytes) -> Result<(StatusCode, Bytes), HttpError> {
        if let Some(kept) = self.take_idle(index)
            && let Ok(answer) = self.exchange(index, kept, body).await
        {
            // Otherwise the service has ended it since.
            return Ok(answer);
        }
        let connection = self.connect(index).await?;
        self.exchange(index, connection, body).await
    }

    async fn exchange(
        &self,
        index: usize,
        mut sender: Requests,
        body: &Bytes,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let (at, address) = (&self.addresses[index], || self.name(index));
        let request = Request::post(&at.path)
            .header(HOST, authority(at))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .expect("the configuration was read by its rules");
        let broken = |source| HttpError::Exchange { address: address(), source };
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = read_body(answer.into_body(), BODY_BYTES_MAX).await;
        let body = body.map_err(|_| HttpError::Length { address: address() })?;
        if status.is_server_error() {
            return Err(HttpError::Status { address: address(), status });
        }
        self.keep_idle(index, sender);
        Ok((status, body))
    }

    async fn connect(&self, index: usize) -> Result<Requests, HttpError> {
        let at = &self.addresses[index];
        let tls = || self.tls.as_ref().expect("checked with the configuration");
        let tls = at.is_secure.then(tls);
        let address = || self.name(index);
        http_connection::open(&at.host, at.port, tls).await.map_err(|error| match error {
            OpenError::Io(source) => HttpError::Connect { address: address(), source },
            OpenError::Http(source) => HttpError::Exchange { address: address(), source },
        })
    }

    fn take_idle(&self, index: usize) -> Option<Requests> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, sender)| !sender.is_closed());
        let at = idle.iter().rposition(|(of, sender)| *of == index && sender.is_ready())?;
        Some(idle.remove(at).1)
    }

    fn keep_idle(&self, index: usize, sender: Requests) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push((index, sender));
        }
    }

    fn name(&self, index: usize) -> String {
        authority(&self.addresses[index])
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

fn authority(at: &ServiceAddress) -> String {
    match at.host.contains(':') {
        true => format!("[{}]:{}", at.host, at.port),
        false => format!("{}:{}", at.host, at.port),
    }
}

/// Believes the certificates that those in a file have signed, and no others.
fn connector(ca_file: &Path) -> Result<TlsConnector, Box<Diagnostic>> {
    let problem = |reason: &dyn fmt::Display| {
        let message = format!("cannot use the certificates in `{}`: {reason}", ca_file.display());
        let help = "it must be a file of certificates in PEM form";
        Box::new(Diagnostic::error(code::KEY, message).help(help))
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_file).map_err(|error| problem(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| problem(&error))?;
        roots.add(certificate).map_err(|error| problem(&error))?;
    }
    if roots.is_empty() {
        return Err(problem(&"there are none"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| problem(&error))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Longest answer that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Connections that are kept for the next question.
const IDLE_MAX: usize = 16;
