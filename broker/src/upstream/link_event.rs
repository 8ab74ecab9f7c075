//! What happens on a connection to an upstream, whatever is spoken there.

use super::error::LinkError;
use super::incoming::Received;
use super::outgoing::Peer;

/// What happens on a connection.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The far end has taken the message with this packet identifier.
    Acknowledged {
        packet_id: u16,
        /// The client library does not free a place of its window for it.
        leaks: bool,
    },
    /// The far end takes nothing for now, for a reason; none when it does again.
    #[cfg(feature = "amqp")]
    Blocked {
        reason: Option<String>,
    },
    /// It is open.
    Connected {
        peer: Peer,
        session_present: bool,
    },
    /// It is over; nothing comes after this.
    Failed(LinkError),
    Received(Received),
    /// The far end has not taken the message with this packet identifier; none at QoS 0.
    Refused {
        packet_id: Option<u16>,
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
