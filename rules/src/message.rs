//! What goes into the engine and what comes out of it.

use std::fmt;
use std::sync::Arc;

use crate::calendar::write_timestamp;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// As RFC 3339 writes it, in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_timestamp(self.0, &mut text);
        formatter.write_str(&text)
    }
}

/// A published message, as the engine sees it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Application message.
    pub payload: &'a [u8],
    /// Quality of service it was published with.
    pub qos: u8,
    /// Whether it was published with the retain flag.
    pub retain: bool,
    /// Client identifier of the publisher.
    pub client: &'a str,
    /// When the broker received it. Stored with the message, so that a replay sees the same stamp.
    pub arrived: Timestamp,
}

/// A message that a rule sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// The rule it comes from.
    pub rule: Arc<str>,
    /// The same after a replay of the same input, and different for all other emissions: hash of
    /// rule, definition, key, window end, revision and destination, or of a number for messages
    /// that are sent one by one.
    pub id: u128,
    /// Topic name.
    pub topic: String,
    /// Application message.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: u8,
    /// Retain flag.
    pub retain: bool,
    /// The upstream it is for; `None` is this broker.
    pub upstream: Option<Arc<str>>,
    /// Message expiry interval in seconds.
    pub expire_s: Option<u32>,
    /// Set on dead letters: why the message could not be used. The payload is then the original.
    pub error: Option<DeadLetter>,
    /// Whether `id` and `rule` stand in the body, for receivers without user properties.
    pub meta: bool,
    /// What its rule promises when the power fails.
    pub guarantee: Guarantee,
    /// Whether it is for the rules that read this one; such a message never leaves the engine.
    pub(crate) is_link: bool,
}

impl Emission {
    /// The same with the beginning of its payload only.
    pub(crate) fn beginning(&self, bytes_max: usize) -> Emission {
        let payload = self.payload.get(..bytes_max).unwrap_or(&self.payload).to_vec();
        let Self { id, qos, retain, expire_s, meta, guarantee, is_link, .. } = *self;
        Emission {
            rule: self.rule.clone(),
            id,
            topic: self.topic.clone(),
            payload,
            qos,
            retain,
            upstream: self.upstream.clone(),
            expire_s,
            error: self.error.clone(),
            meta,
            guarantee,
            is_link,
        }
    }
}

/// What a rule promises about its messages when the power fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Its messages do not wait until the state they came from is stored: what was sent in the
    /// time of a commit comes again, with the same identifiers.
    AtLeastOnce,
    /// The same, and its state is stored only now and then: what was sent since comes again, and
    /// what came from QoS 0 is lost.
    BestEffort,
    /// Its messages are sent when the state they came from is stored.
    #[default]
    ExactlyOnce,
}

/// Why a message could not be used by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Stable name of the kind of error, such as `R102`.
    pub code: &'static str,
    /// What was wrong, for a person.
    pub message: String,
    /// The topic the message was published to.
    pub topic: String,
}
