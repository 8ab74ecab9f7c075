//! What can be wrong with a packet, on the way in and on the way out.

use thiserror::Error;

/// Why a datagram is not a packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet type is reserved.
    #[error("packet type 0x{0:02x} is reserved")]
    KindReserved(u8),
    /// The length field is too small for itself and the packet type.
    #[error("length field cannot be true")]
    LengthInvalid,
    /// The length field says more or less than the datagram has.
    #[error("length field says {stated} octets, the datagram has {actual}")]
    LengthMismatch {
        /// What the length field says.
        stated: usize,
        /// What the datagram has.
        actual: usize,
    },
    /// The packet belongs to a QoS 1 or 2 delivery and has message identifier zero.
    #[error("message identifier is zero")]
    MessageIdZero,
    /// A CONNECT of another protocol.
    #[error("protocol id {0} is not known")]
    ProtocolIdUnknown(u8),
    /// QoS -1 with a topic id that only a session can know.
    #[error("qos -1 needs a predefined topic id or a short topic name")]
    QoSMinusOneWithTopicId,
    /// QoS -1 in a packet that cannot have it.
    #[error("qos -1 is only for publishing")]
    QoSNotAllowed,
    /// The return code is reserved.
    #[error("return code 0x{0:02x} is reserved")]
    ReturnCodeReserved(u8),
    /// A text holds U+0000.
    #[error("text holds u+0000")]
    TextHasNul,
    /// A text is not UTF-8.
    #[error("text is not utf-8")]
    TextNotUtf8,
    /// The topic has no characters.
    #[error("topic is empty")]
    TopicEmpty,
    /// The topic id type is reserved, or not for this packet.
    #[error("topic id type 3 is reserved")]
    TopicIdTypeReserved,
    /// The packet goes on after its last field.
    #[error("octets after the end of the packet")]
    TrailingBytes,
    /// The packet ends inside a field.
    #[error("packet ends inside a field")]
    Truncated,
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is shorter than the packet.
    #[error("packet needs {needed} octets, the buffer has fewer")]
    BufferTooSmall {
        /// Length of the packet.
        needed: usize,
    },
    /// A client identifier that is given is empty, which is how none is written.
    #[error("client identifier is empty")]
    ClientIdEmpty,
    /// The packet belongs to a QoS 1 or 2 delivery and has message identifier zero.
    #[error("message identifier is zero")]
    MessageIdZero,
    /// An encapsulation with nothing in it.
    #[error("encapsulated packet is empty")]
    PacketEmpty,
    /// QoS -1 with a topic id that only a session can know.
    #[error("qos -1 needs a predefined topic id or a short topic name")]
    QoSMinusOneWithTopicId,
    /// An encapsulation radius above 3.
    #[error("radius of an encapsulation is at most 3")]
    RadiusTooLarge,
    /// A text holds U+0000.
    #[error("text holds u+0000")]
    TextHasNul,
    /// The packet is longer than its length field can say.
    #[error("packet is longer than its length field can say")]
    TooLong,
    /// The topic has no characters.
    #[error("topic is empty")]
    TopicEmpty,
}
