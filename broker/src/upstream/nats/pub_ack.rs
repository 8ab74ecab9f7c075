//! What JetStream answers to something that is to be stored, as it writes it.

use serde::Deserialize;

/// The answer: a fault, or where it is stored; neither when somebody else has answered.
#[derive(Default, Deserialize)]
pub(crate) struct PubAck {
    pub(crate) error: Option<Fault>,
    pub(crate) stream: Option<String>,
    /// The position in the stream.
    #[serde(default)]
    pub(crate) seq: u64,
}

/// Why it is not stored.
#[derive(Deserialize)]
pub(crate) struct Fault {
    /// As a status of HTTP: 4xx is the fault of the message.
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

impl PubAck {
    /// What these bytes say; nothing when JetStream has not said them.
    pub(crate) fn of(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or_default()
    }
}
