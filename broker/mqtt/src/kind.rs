//! Packet kinds.
//!
//! Responsible for the fifteen packet types and the flags that the standard fixes for them in
//! the first byte of a packet.

use core::fmt;

/// The type of a control packet, the upper half of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// A client asks to connect.
    Connect = 1,
    /// The server answers CONNECT.
    Connack = 2,
    /// A message.
    Publish = 3,
    /// Acknowledges a QoS 1 PUBLISH.
    Puback = 4,
    /// Acknowledges a QoS 2 PUBLISH, first part.
    Pubrec = 5,
    /// Releases a QoS 2 message, second part.
    Pubrel = 6,
    /// Completes a QoS 2 message, third part.
    Pubcomp = 7,
    /// A client asks for subscriptions.
    Subscribe = 8,
    /// The server answers SUBSCRIBE.
    Suback = 9,
    /// A client gives up subscriptions.
    Unsubscribe = 10,
    /// The server answers UNSUBSCRIBE.
    Unsuback = 11,
    /// A client shows that it is there.
    Pingreq = 12,
    /// The server answers PINGREQ.
    Pingresp = 13,
    /// Either side says goodbye.
    Disconnect = 14,
    /// A step of extended authentication, 5.0 only.
    Auth = 15,
}

impl PacketKind {
    /// The kind that a first byte names; `None` for the reserved type 0.
    pub(crate) const fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The lower half of the first byte for every kind but PUBLISH.
    pub(crate) const fn fixed_flags(self) -> u8 {
        match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// The first byte of every kind but PUBLISH.
    pub(crate) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.fixed_flags()
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        })
    }
}
