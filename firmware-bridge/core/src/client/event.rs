//! What a client has to say.

use thiserror::Error;

use super::config::TopicIndex;
use crate::mqtt_sn_1_2::{QoS, ReturnCode, TopicId};

/// Something that the application may want to know. It borrows from the datagram that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'a> {
    /// A gateway says that it is there (ADVERTISE).
    Advertised {
        /// The gateway.
        gw_id: u8,
        /// Seconds until it says so again.
        duration_s: u16,
    },
    /// The client sleeps; the gateway keeps its messages.
    Asleep,
    /// The gateway has accepted the connection.
    Connected,
    /// A message of QoS 1 or 2 is with the gateway.
    Delivered(Ticket),
    /// The client has left, as it was told to.
    Disconnected,
    /// The answer to a search for gateways (GWINFO).
    GatewayFound {
        /// The gateway.
        gw_id: u8,
        /// Its address on the network; empty if it is that of the sender.
        address: &'a [u8],
    },
    /// The connection is lost. The client tries again by itself, unless it was searching.
    Lost(LostReason),
    /// A message of a topic that the client subscribes to.
    Message(Incoming<'a>),
    /// The gateway does not take a message; it is gone.
    Rejected(Ticket, ReturnCode),
    /// The gateway has granted a subscription.
    Subscribed(TopicIndex, QoS),
    /// The gateway has refused a subscription.
    SubscriptionRefused(TopicIndex, ReturnCode),
    /// The gateway has given an id to a topic that is not in the list and matches a filter.
    TopicAssigned {
        /// The id that messages will have.
        id: TopicId,
        /// The name. It is not kept: an application that wants it notes what it means.
        name: &'a str,
    },
    /// The gateway has removed a subscription.
    Unsubscribed(TopicIndex),
    /// The gateway has answered an update of the will.
    WillUpdated(ReturnCode),
}

/// A message from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Incoming<'a> {
    /// Where it was published.
    pub topic: IncomingTopic,
    /// The quality it was delivered with.
    pub qos: QoS,
    /// Whether it was kept by the broker from before the subscription.
    pub retain: bool,
    /// The message itself.
    pub payload: &'a [u8],
}

/// Where a message was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IncomingTopic {
    /// A topic that is not in the list: see [`Event::TopicAssigned`].
    Assigned(TopicId),
    /// A topic of the list.
    Listed(TopicIndex),
    /// A topic name of two octets that is not in the list.
    Short([u8; 2]),
}

/// Tells a message that was published from others, until 65,536 more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(pub(super) u16);

/// Why a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LostReason {
    /// The gateway has ended it, or does not know this client.
    Closed,
    /// The gateway did not answer, however often it was asked.
    NoAnswer,
    /// The gateway refused the connection.
    Refused(ReturnCode),
}

/// Why something cannot be published.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PublishError {
    /// Messages of QoS 2 need the feature `exactly-once`.
    #[error("qos 2 is left out of this program")]
    LeftOut,
    /// A message without a session needs a predefined topic id or a short topic name.
    #[error("without a session only predefined and short topics can be published to")]
    NeedsSession,
    /// The queue is full, and the oldest messages are kept.
    #[error("queue is full")]
    QueueFull,
    /// The message does not fit a packet or the queue.
    #[error("message does not fit a packet or the queue")]
    TooLong,
    /// The topic is not in the list.
    #[error("topic is not in the list")]
    TopicUnknown,
}

/// The client cannot do this now, or not with this.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RequestError {
    /// Messages of QoS 2 need the feature `exactly-once`.
    #[error("qos 2 is left out of this program")]
    LeftOut,
    /// It is not connected.
    #[error("client is not connected")]
    NotConnected,
    /// It does not sleep.
    #[error("client does not sleep")]
    NotAsleep,
    /// A client that has or wants a connection does not search.
    #[error("client is connected or about to be")]
    NotOffline,
    /// The topic is not in the list.
    #[error("topic is not in the list")]
    TopicUnknown,
}
