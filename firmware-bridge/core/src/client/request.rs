//! What is under way to the gateway, and what is owed to it.

use super::config::TopicIndex;
use super::moment::Moment;
use crate::mqtt_sn_1_2::{MessageId, Packet, Puback, Regack, ReturnCode, TopicId};

/// Something that the gateway answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "what asks for some of them may be left out")]
pub(super) enum Request {
    Connect,
    Disconnect,
    Ping,
    /// The message in flight, or the first of the queue.
    Publish,
    Register(TopicIndex),
    /// PUBREL for the message in flight.
    Release,
    Search(u8),
    Sleep,
    Subscribe(TopicIndex),
    Unsubscribe(TopicIndex),
    Wake,
    WillMessage,
    WillMessageUpdate,
    WillTopic,
    WillTopicUpdate,
}

/// A request until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    pub(super) request: Request,
    /// Zero if its packet has none.
    pub(super) message_id: MessageId,
    /// When it is sent, or sent again.
    pub(super) due: Moment,
    /// How often it was sent.
    pub(super) sent: u8,
}

impl Outstanding {
    pub(super) const fn new(request: Request, message_id: MessageId, due: Moment) -> Self {
        Self { request, message_id, due, sent: 0 }
    }
}

/// A message of QoS 1 or 2 that the gateway may have. It outlives the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) message_id: MessageId,
    /// Whether it was sent before.
    pub(super) was_sent: bool,
    /// Whether the gateway has it and only needs the PUBREL.
    pub(super) is_received: bool,
    /// The number of dropped messages, if that is the message; else it is the first of the queue.
    pub(super) report: Option<u32>,
}

/// An answer to the gateway.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Pingresp,
    Puback(TopicId, MessageId, ReturnCode),
    Pubcomp(MessageId),
    Pubrec(MessageId),
    Regack(TopicId, MessageId, ReturnCode),
    WillMessage,
    WillTopic,
}

impl Reply {
    /// The packet, unless it is of the will.
    pub(super) const fn packet(self) -> Option<Packet<'static>> {
        Some(match self {
            Self::Pingresp => Packet::Pingresp,
            Self::Puback(topic_id, message_id, return_code) => {
                Packet::Puback(Puback { topic_id, message_id, return_code })
            }
            Self::Pubcomp(message_id) => Packet::Pubcomp(message_id),
            Self::Pubrec(message_id) => Packet::Pubrec(message_id),
            Self::Regack(topic_id, message_id, return_code) => {
                Packet::Regack(Regack { topic_id, message_id, return_code })
            }
            Self::WillMessage | Self::WillTopic => return None,
        })
    }
}
