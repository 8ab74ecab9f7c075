//! How a client begins, and what it publishes.

use bytes::Bytes;
use weir_firmware_bridge::session::{DELIVERIES_MAX, REQUESTS_MAX};
use weir_mqtt::QoS;

/// How the session of a [`Client`](super::Client) begins.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientOptions {
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) is_kept: bool,
}

/// A message to be published.
#[derive(Clone, Debug)]
#[must_use]
pub struct Publication {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl ClientOptions {
    /// Answers of a client that are still to come, at most.
    pub const REQUESTS_MAX: usize = 128;
    /// Messages of QoS 1 and 2 that a client has and has not acknowledged, at most.
    pub const UNACKNOWLEDGED_MAX: usize = DELIVERIES_MAX;
    /// Clients of a broker inside the process, at most.
    pub const CLIENTS_MAX: usize = 1024;
    /// The user of a client that names none, for the permissions of `acl_file`.
    pub const USER: &str = "program";

    /// A session that begins empty and ends with its client. A client of the same identifier, of
    /// the network or of the process, takes it over.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), user: Self::USER.to_owned(), is_kept: false }
    }

    /// Keeps the session at the broker when its client is closed, and over restarts: its
    /// subscriptions, and the messages that come for them meanwhile.
    pub fn kept(self) -> Self {
        Self { is_kept: true, ..self }
    }

    /// Who the client is for the permissions of `acl_file`. The process vouches for its users: they
    /// need no password, and nobody else is let in under it.
    pub fn user(self, user: impl Into<String>) -> Self {
        Self { user: user.into(), ..self }
    }
}

impl Publication {
    /// A message at QoS 1 that is not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Self { topic, payload, qos: QoS::AtLeastOnce, retain: false }
    }

    /// With this quality of service.
    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// The broker keeps it as the last message of its topic, for those who subscribe later; an empty
    /// one deletes what it has kept.
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

// What a session takes at a time is less than what a client may ask for: the rest waits here.
const _: () = assert!(REQUESTS_MAX < ClientOptions::REQUESTS_MAX);
