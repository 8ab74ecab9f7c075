//! A connection to a NATS server, for one time.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, Event, ServerError};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc;

use super::login::{Login, Used};
use super::{NatsOptions, WINDOW};
use crate::config::HostPort;
use crate::upstream::error::LinkError;

/// Connects and logs in. The library does not connect again: what comes of a connection that is
/// lost is not its affair.
///
/// # Errors
/// Why there is no connection.
pub(crate) async fn connect(
    address: &HostPort,
    options: &NatsOptions,
) -> Result<(Client, mpsc::Receiver<Event>), LinkError> {
    let is_tls = options.tls.is_some();
    let tls = match &options.tls {
        Some(tls) => ClientConfig::clone(&*tls.load()?),
        None => trusts_nobody(),
    };
    let (tell, events) = mpsc::channel(EVENTS_MAX);
    let used = Used::default();
    let library = Login::of(options)?
        .options(used.clone())
        .name(&options.name)
        .custom_inbox_prefix(&options.nats.inbox_prefix)
        .require_tls(is_tls)
        .tls_client_config(tls)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .client_capacity(usize::from(WINDOW))
        .no_echo()
        .ignore_discovered_servers()
        // Connecting again comes to its end with the second attempt, for want of a login.
        .max_reconnects(1)
        .event_callback(move |event| {
            let tell = tell.clone();
            // Without a connection nobody wants to know any more.
            async move { drop(tell.send(event).await) }
        });
    let opened = library.connect(address.to_string()).await;
    // Nothing has run in between that could have connected again.
    used.set();
    let client = opened.map_err(|error| failed(&error, address, is_tls))?;
    Ok((client, events))
}

/// TLS that the configuration does not ask for comes to nothing.
fn trusts_nobody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// Why there is no connection.
fn failed(error: &ConnectError, address: &HostPort, is_tls: bool) -> LinkError {
    let cause = error.source();
    let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    let text = || cause.map_or_else(|| error.to_string(), ToString::to_string);
    match (error.kind(), io) {
        (ConnectErrorKind::Dns, _) => LinkError::UnknownHost { host: address.host().to_owned() },
        (ConnectErrorKind::TimedOut, _) => LinkError::Timeout,
        (ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication, _) => {
            refused("Authorization Violation".to_owned())
        }
        (_, Some(io)) => match LinkError::of_tls(io) {
            Some(_) if !is_tls => {
                LinkError::Refused { reason: "it wants TLS".to_owned(), help: HELP_TLS }
            }
            Some(error) => error,
            None if io.kind() == io::ErrorKind::InvalidInput => not_nats(io.to_string()),
            None => LinkError::of_io(copy(io), address.host()),
        },
        (ConnectErrorKind::Tls, None) => LinkError::Tls { reason: text(), help: HELP_TLS_LIBRARY },
        (_, None) => match cause.and_then(|cause| cause.downcast_ref::<ServerError>()) {
            Some(ServerError::Other(text)) => refused(text.clone()),
            Some(error) => refused(error.to_string()),
            None => not_nats(text()),
        },
    }
}

/// The same error; the library keeps the one that it has.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
}

pub(super) fn refused(reason: String) -> LinkError {
    LinkError::Refused { reason, help: HELP_CREDENTIALS }
}

fn not_nats(reason: String) -> LinkError {
    LinkError::Refused { reason: format!("it does not speak NATS: {reason}"), help: HELP_ADDRESS }
}

/// Events that wait to be looked at.
const EVENTS_MAX: usize = 64;
/// After two that were not answered the library gives the connection up.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// Networks at the edge are slow.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const HELP_ADDRESS: &str = "check `address`: clients of NATS have port 4222, unless it was changed";
const HELP_CREDENTIALS: &str = "check `username` and `password_file` or \
                                `creds_file`, `nkey_file` or `token_file` of this server";
const HELP_TLS: &str = "set `tls` for this server";
const HELP_TLS_LIBRARY: &str =
    "use the host name of the certificate in `address`, and check the authorities of this machine";
