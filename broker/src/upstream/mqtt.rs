//! One connection to an MQTT broker; the only place that knows the client library.
//!
//! A [`Link`] lives for one connection. The library reconnects by itself, forgets what is under
//! way when the far end has lost the session, and gives packet identifiers anew; so a link that
//! has failed is dropped, and the outbox sends again what was not acknowledged. The event loop
//! runs in a task of its own because it must not be cancelled: a packet it is about to write
//! would be lost. Requests are written in the order in which they were given.

mod v4;
mod v5;

use std::io;
use std::time::Duration;

use rumqttc::{TlsConfiguration, TlsError as RumqttcTlsError, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::LinkError;
use super::forwarder::Full;
use super::incoming::Received;
use super::outgoing::{Outgoing, Peer};
use crate::config::{HostPort, MqttVersion, Route, TlsClientConfig};
use weir_mqtt::QoS;

/// A connection, open or about to be.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    events: mpsc::Receiver<LinkEvent>,
    task: JoinHandle<()>,
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct LinkOptions {
    pub(crate) client_id: String,
    pub(crate) version: MqttVersion,
    pub(crate) keep_alive_s: u16,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
    /// Whether the far end keeps a session, with messages for this client.
    pub(crate) keeps_session: bool,
    /// The longest packet that is taken.
    pub(crate) packet_bytes_max: usize,
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The far end has taken the message with this packet identifier.
    Acknowledged {
        packet_id: u16,
        /// The client library does not free a place of its window for it.
        leaks: bool,
    },
    /// It is open.
    Connected {
        peer: Peer,
        session_present: bool,
    },
    /// It is over; nothing comes after this.
    Failed(LinkError),
    Received(Received),
    /// The far end has not taken the message with this packet identifier.
    Refused {
        packet_id: u16,
        reason: String,
        for_good: bool,
        leaks: bool,
    },
    /// The far end will not send the QoS 2 message with this packet identifier again.
    Released {
        packet_id: u16,
    },
    /// A message was written; without packet identifier at QoS 0.
    Sent {
        packet_id: Option<u16>,
    },
    /// The answer to a subscription: what was refused, by its place, and why.
    Subscribed {
        refused: Vec<(usize, String)>,
    },
}

#[derive(Debug)]
enum Client {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

impl Link {
    /// Begins to connect. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    /// The files of TLS, which are read each time, cannot be used.
    pub(crate) fn open(address: &HostPort, options: &LinkOptions) -> Result<Self, LinkError> {
        let transport = match &options.tls {
            Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.load()?)),
            None => Transport::Tcp,
        };
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (client, task) = match options.version {
            MqttVersion::V311 => {
                let (client, event_loop) = v4::open(address, options, transport);
                let run = v4::run(event_loop, options.packet_bytes_max, sender);
                (Client::V4(client), tokio::spawn(run))
            }
            MqttVersion::V50 => {
                let (client, event_loop) = v5::open(address, options, transport);
                let run = v5::run(event_loop, options.packet_bytes_max, sender);
                (Client::V5(client), tokio::spawn(run))
            }
        };
        Ok(Self { client, events, task })
    }

    /// What happens next. Can be dropped at any time without losing an event.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        let ended = || LinkEvent::Failed(LinkError::Lost("the client has ended".to_owned()));
        self.events.recv().await.unwrap_or_else(ended)
    }

    /// What has happened already.
    pub(crate) fn try_next(&mut self) -> Option<LinkEvent> {
        self.events.try_recv().ok()
    }

    /// Sends a message; [`LinkEvent::Sent`] follows in the order of the calls.
    pub(crate) fn publish(&self, outgoing: Outgoing) -> Result<(), Full> {
        match &self.client {
            Client::V4(client) => v4::publish(client, outgoing),
            Client::V5(client) => v5::publish(client, outgoing),
        }
    }

    /// Subscribes to what the routes come from, all in one packet.
    pub(crate) fn subscribe(&self, routes: &[Route]) -> Result<(), Full> {
        match &self.client {
            Client::V4(client) => v4::subscribe(client, routes),
            Client::V5(client) => v5::subscribe(client, routes),
        }
    }

    /// Tells the far end that a message is safe here.
    pub(crate) fn acknowledge(&self, packet_id: u16, qos: QoS) -> Result<(), Full> {
        match &self.client {
            Client::V4(client) => v4::acknowledge(client, packet_id, qos),
            Client::V5(client) => v5::acknowledge(client, packet_id, qos),
        }
    }

    /// Says goodbye, within a second.
    pub(crate) async fn close(mut self) {
        let asked = match &self.client {
            Client::V4(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
        };
        let ended = async { while !matches!(self.next().await, LinkEvent::Failed(_)) {} };
        if asked {
            // Whether the far end has heard it makes no difference here.
            let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The window of the library: larger than what is ever under way, so that it never waits for
/// packet identifiers and acknowledgements are never behind messages.
const INFLIGHT_MAX: u16 = 256;
/// Requests that wait to be written: one window, as many acknowledgements, QoS 0 messages.
const REQUESTS_MAX: usize = 1024;
/// Events that wait to be looked at; beyond it the connection is not read.
const EVENTS_MAX: usize = 256;
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

/// What an error of the operating system means here. Only the text tells that a name has no
/// address: the kind of the error has no name yet.
fn io_error(error: io::Error, address: &str) -> LinkError {
    if let Some(error) = LinkError::of_tls(&error) {
        return error;
    }
    let text = error.to_string();
    if text.contains("lookup address") {
        return LinkError::UnknownHost { host: address.to_owned() };
    }
    match error.kind() {
        io::ErrorKind::TimedOut => LinkError::Timeout,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::UnexpectedEof => LinkError::Lost(text),
        _ => LinkError::Unreachable(error),
    }
}

/// What an error of the library's TLS means here.
fn tls_error(error: RumqttcTlsError, address: &str) -> LinkError {
    match error {
        RumqttcTlsError::Io(error) => io_error(error, address),
        other => LinkError::Tls {
            reason: other.to_string(),
            help: "`address` needs a host name or an IPv4 address for TLS",
        },
    }
}

const HELP_CREDENTIALS: &str = "check `username` and `password_file` of this upstream";
const HELP_CLIENT_ID: &str = "set another `remote_clientid` for this upstream";
const HELP_VERSION: &str =
    "set `bridge_protocol_version = \"mqttv311\"` if the upstream does not speak MQTT 5";
const HELP_OTHER: &str = "look into the log of the upstream";

#[cfg(test)]
mod tests;
