//! Why a client is not given what it asks for.

use weir_firmware_bridge::session::{LostReason, RefusedReason};
use weir_mqtt::{QoS, TopicError};

/// Why a [`Client`](super::Client) is not given what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The client identifier is empty, too long or holds U+0000.
    #[error("the client identifier {0}")]
    ClientId(TopicError),
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
    /// The broker has ended. What was not answered may have been done or not.
    #[error("the broker has ended")]
    Ended,
    /// The topic filter of a subscription is not one.
    #[error("the topic filter `{filter}` {reason}")]
    Filter {
        /// The text.
        filter: String,
        /// What is wrong with it.
        reason: TopicError,
    },
    /// Too many answers are still to come: wait for one of them.
    #[error("too many answers are still to come: wait for one of them")]
    Full,
    /// The session was lost, and could not be taken up again. What was not answered may have been
    /// done or not.
    #[error("the session was lost: {0}")]
    Lost(String),
    /// The broker takes no QoS as high, see `max_qos`.
    #[error("the broker takes messages with QoS {} at most: see `max_qos`", *qos_max as u8)]
    QoS {
        /// What it takes.
        qos_max: QoS,
    },
    /// The broker does not let the user in, or does not take the client now.
    #[error("the broker refuses the client: {0}")]
    Refused(String),
    /// The broker does not take the message.
    #[error("the broker refuses the message: {}", reason_text(*reason))]
    RefusedMessage {
        /// The reason code of MQTT 5.
        reason: u8,
    },
    /// The broker does not grant the subscription: `acl_file` has nothing that allows it, or a limit
    /// is reached.
    #[error("the broker does not grant the subscription: see `acl_file` and `[limits]`")]
    RefusedSubscription,
    /// The broker retains nothing, see `retain_available`.
    #[error("the broker retains no messages: see `retain_available`")]
    Retain,
    /// Another client with the same identifier has come.
    #[error("another client with the same identifier has come")]
    TakenOver,
    /// It is not done in time, and goes on.
    #[error("it is not done in time")]
    TimedOut,
    /// The message is larger than the broker takes, see `max_packet_size`.
    #[error("the packet would be longer than {bytes_max} bytes: see `max_packet_size`")]
    TooLarge {
        /// The longest packet, header included.
        bytes_max: usize,
    },
    /// As many clients are in the process as may be.
    #[error("as many clients are in the process as may be")]
    TooMany,
    /// The topic of a message is not one.
    #[error("the topic `{topic}` {reason}")]
    Topic {
        /// The text.
        topic: String,
        /// What is wrong with it.
        reason: TopicError,
    },
    /// The system has no thread for the clients of the process.
    #[error("no thread for the clients of the process: {0}")]
    Thread(String),
}

impl From<LostReason> for ClientError {
    fn from(reason: LostReason) -> Self {
        match reason {
            LostReason::TakenOver => Self::TakenOver,
            reason => Self::Lost(reason.to_string()),
        }
    }
}

impl From<RefusedReason> for ClientError {
    fn from(reason: RefusedReason) -> Self {
        Self::Refused(reason.to_string())
    }
}

fn reason_text(reason: u8) -> String {
    match reason {
        0x87 => "the user may not publish there: see `acl_file`".to_owned(),
        0x97 => "a limit is reached, or the store is full".to_owned(),
        0x99 => "the payload is not what it says that it is".to_owned(),
        _ => format!("reason code {reason:#04x}"),
    }
}
