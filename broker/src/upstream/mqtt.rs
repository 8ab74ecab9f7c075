//! One connection to an MQTT broker; the only place that knows the client library.
//!
//! The library reconnects by itself, forgets what is under way when the far end has lost the
//! session, and gives packet identifiers anew; so a connection that has failed is dropped, and the
//! outbox sends again what was not acknowledged. The event loop runs in a task of its own because
//! it must not be cancelled: a packet it is about to write would be lost. Requests are written in
//! the order in which they were given.

mod v4;
mod v5;

use rumqttc::{TlsConfiguration, TlsError as RumqttcTlsError, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::LinkError;
use super::forwarder::Full;
use super::link_event::LinkEvent;
use super::outgoing::Outgoing;
use crate::config::{HostPort, MqttVersion, Route, TlsClientConfig};
use weir_mqtt::QoS;

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct MqttOptions {
    pub(crate) client_id: String,
    pub(crate) version: MqttVersion,
    pub(crate) keep_alive_s: u16,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
    /// Where its will is.
    pub(crate) will_topic: Option<String>,
    /// Whether the far end keeps a session, with messages for this client.
    pub(crate) keeps_session: bool,
    /// The longest packet that is taken.
    pub(crate) packet_bytes_max: usize,
}

/// The requests of a connection.
#[derive(Debug)]
pub(super) enum Client {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

impl Client {
    /// Begins to connect; what happens goes to `events`, from a task. Needs a tokio runtime with IO
    /// and time.
    ///
    /// # Errors
    /// The files of TLS, which are read each time, cannot be used.
    pub(super) fn open(
        address: &HostPort,
        options: &MqttOptions,
        events: mpsc::Sender<LinkEvent>,
    ) -> Result<(Self, JoinHandle<()>), LinkError> {
        let transport = match &options.tls {
            Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.load()?)),
            None => Transport::Tcp,
        };
        Ok(match options.version {
            MqttVersion::V311 => {
                let (client, event_loop) = v4::open(address, options, transport);
                let run = v4::run(event_loop, options.packet_bytes_max, events);
                (Self::V4(client), tokio::spawn(run))
            }
            MqttVersion::V50 => {
                let (client, event_loop) = v5::open(address, options, transport);
                let run = v5::run(event_loop, options.packet_bytes_max, events);
                (Self::V5(client), tokio::spawn(run))
            }
        })
    }

    pub(super) fn publish(&self, outgoing: Outgoing) -> Result<(), Full> {
        match self {
            Self::V4(client) => v4::publish(client, outgoing),
            Self::V5(client) => v5::publish(client, outgoing),
        }
    }

    pub(super) fn subscribe(&self, routes: &[Route]) -> Result<(), Full> {
        match self {
            Self::V4(client) => v4::subscribe(client, routes),
            Self::V5(client) => v5::subscribe(client, routes),
        }
    }

    pub(super) fn acknowledge(&self, packet_id: u16, qos: QoS) -> Result<(), Full> {
        match self {
            Self::V4(client) => v4::acknowledge(client, packet_id, qos),
            Self::V5(client) => v5::acknowledge(client, packet_id, qos),
        }
    }

    /// Says goodbye; false if it cannot be said.
    pub(super) fn disconnect(&self) -> bool {
        match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

/// The window of the library: larger than what is ever under way, so that it never waits for
/// packet identifiers and acknowledgements are never behind messages.
const INFLIGHT_MAX: u16 = 256;
/// Requests that wait to be written: one window, as many acknowledgements, QoS 0 messages.
const REQUESTS_MAX: usize = 1024;
/// QoS 1 and 2 messages that the far end may send before they are acknowledged.
const RECEIVE_MAX: u16 = 100;
/// To connect, and for each write. Networks at the edge are slow.
const CONNECT_TIMEOUT_S: u64 = 15;

/// The host as the library wants it, which puts the port behind a colon.
fn host(address: &HostPort) -> String {
    match address.host().contains(':') {
        true => format!("[{}]", address.host()),
        false => address.host().to_owned(),
    }
}

fn qos_of(qos: QoS) -> rumqttc::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
    }
}

/// What an error of the library's TLS means here.
fn tls_error(error: RumqttcTlsError, address: &str) -> LinkError {
    match error {
        RumqttcTlsError::Io(error) => LinkError::of_io(error, address),
        other => LinkError::Tls {
            reason: other.to_string(),
            help: "`address` needs a host name or an IPv4 address for TLS",
        },
    }
}

/// What the will says.
pub(super) const AWAY: &str = "0";

const HELP_CREDENTIALS: &str = "check `username` and `password_file` of this upstream";
const HELP_CLIENT_ID: &str = "set another `remote_clientid` for this upstream";
const HELP_VERSION: &str = "the upstream speaks neither MQTT 5 nor 3.1.1: check `address`";
const HELP_OTHER: &str = "look into the log of the upstream";
