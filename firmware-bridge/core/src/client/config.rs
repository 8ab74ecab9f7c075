//! What a client is told when it is made.

use thiserror::Error;

use crate::age;
use crate::mqtt_sn_1_2::{QoS, TopicId, TopicRef, WillTopic};

/// Who the client is and how it behaves.
///
/// ```
/// use weir_node::client::Config;
///
/// let config = Config { keep_alive_s: 300, ..Config::new("boiler-7") };
/// assert!(!config.clean_session);
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config<'a> {
    /// 1 to 23 characters in the standard; more if the gateway takes them and they fit a packet.
    pub client_id: &'a str,
    /// Whether the session begins empty with every connection. Exactly once holds over a lost
    /// connection only if it does not.
    pub clean_session: bool,
    /// The gateway gives the client up when it hears nothing for this long and some more. 0 is
    /// never.
    pub keep_alive_s: u16,
    /// What the gateway publishes when it gives the client up.
    pub will: Option<Will<'a>>,
    /// Which message goes when the queue is full.
    pub overflow: Overflow,
    /// Where the number of dropped messages is published after the next connection, if anywhere.
    pub drops_topic: Option<TopicIndex>,
    /// Something that differs from start to start, such as a random number or a counter of starts.
    /// A gateway may still know message identifiers of the time before, and many nodes must not
    /// start in step.
    pub seed: u16,
    /// How patient it is.
    pub timing: Timing,
}

impl<'a> Config<'a> {
    /// A kept session, a minute of keep-alive, no will, and the oldest messages go first.
    pub const fn new(client_id: &'a str) -> Self {
        Self {
            client_id,
            clean_session: false,
            keep_alive_s: 60,
            will: None,
            overflow: Overflow::DropOldest,
            drops_topic: None,
            seed: 0,
            timing: Timing::STANDARD,
        }
    }
}

/// What the gateway publishes for a client that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Will<'a> {
    /// Where and how.
    pub topic: WillTopic<'a>,
    /// The message.
    pub message: &'a [u8],
}

/// Which message goes when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Overflow {
    /// The oldest that is not being sent.
    DropOldest,
    /// The new one, and whoever publishes is told.
    KeepOldest,
}

/// Times of the standard (7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// Tretry: how long to wait for an answer, 10 to 15 s. A second does on a serial line.
    pub retry_ms: u16,
    /// Nretry: how often a packet is sent again, 3 to 5 times.
    pub retries: u8,
    /// Twait: how long a gateway is left alone that has too much to do, 5 minutes and more.
    pub wait_s: u16,
    /// The longest pause before the next try to connect; the first is a second, then they double.
    pub reconnect_max_s: u16,
}

impl Timing {
    /// What the standard proposes.
    pub const STANDARD: Self =
        Self { retry_ms: 10_000, retries: 4, wait_s: 300, reconnect_max_s: 60 };
}

/// A topic that the client publishes to or subscribes to.
///
/// All topics are declared when the client is made, and named by their place in that list: what
/// waits in the queue must still know its topic when a gateway has forgotten every id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Topic<'a> {
    /// A topic name, or a topic filter to subscribe to. If it begins with [`age::TOPIC_PREFIX`],
    /// every message carries its age.
    Name(&'a str),
    /// An id that the gateway was configured with.
    Predefined(TopicId),
    /// An id that the gateway was configured with, for a name that begins with
    /// [`age::TOPIC_PREFIX`].
    PredefinedAged(TopicId),
    /// A topic name of two octets.
    Short([u8; 2]),
}

impl Topic<'_> {
    /// Whether its messages carry their age.
    pub fn is_aged(&self) -> bool {
        match self {
            Self::Name(name) => age::topic(name).is_some(),
            Self::PredefinedAged(_) => true,
            Self::Predefined(_) | Self::Short(_) => false,
        }
    }

    /// How a packet names it, unless that takes an id of the session.
    pub(super) const fn fixed(&self) -> Option<TopicRef> {
        match self {
            Self::Name(_) => None,
            Self::Predefined(id) | Self::PredefinedAged(id) => Some(TopicRef::Predefined(*id)),
            Self::Short(name) => Some(TopicRef::Short(*name)),
        }
    }
}

/// The place of a topic in the list that the client was made with, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TopicIndex(pub u8);

/// A message to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Message<'a> {
    /// Where to.
    pub topic: TopicIndex,
    /// How often it arrives.
    pub qos: QoS,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// The message itself.
    pub payload: &'a [u8],
}

/// Why no client can be made of this.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The client identifier is empty, holds U+0000, or does not fit a packet.
    #[error("client identifier is empty, holds u+0000 or does not fit a packet")]
    ClientId,
    /// `drops_topic` is not in the list of topics, or its message does not fit a packet.
    #[error("topic for the number of dropped messages is not in the list or does not fit a packet")]
    DropsTopic,
    /// A topic name is empty, holds U+0000, or does not fit a packet.
    #[error("topic {} is empty, holds u+0000 or does not fit a packet", .0.0)]
    Topic(TopicIndex),
    /// The topic of the will is empty or holds U+0000, or it or the message does not fit a packet, or
    /// the feature `will` is left out.
    #[error("topic of the will is empty, holds u+0000, does not fit, or wills are left out")]
    Will,
}
