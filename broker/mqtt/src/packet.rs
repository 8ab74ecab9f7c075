//! A packet of any kind.
//!
//! Responsible for choosing the file of a packet by its first byte, on the way in and out, and
//! for leaving the buffer as it was when a packet cannot be written.

use alloc::vec::Vec;

use crate::codec::acknowledge::Acknowledge;
use crate::codec::auth::Auth;
use crate::codec::connack::Connack;
use crate::codec::connect::Connect;
use crate::codec::disconnect::Disconnect;
use crate::codec::ping;
use crate::codec::publish::Publish;
use crate::codec::subscribe::{Suback, Subscribe};
use crate::codec::unsubscribe::{Unsuback, Unsubscribe};
use crate::error::{DecodeError, EncodeError};
use crate::frame;
use crate::kind::PacketKind;
use crate::version::Version;

/// A control packet. Text and payload are borrowed from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks to connect.
    Connect(Connect<'a>),
    /// The server answers CONNECT.
    Connack(Connack<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Acknowledges a QoS 1 PUBLISH.
    Puback(Acknowledge<'a>),
    /// Acknowledges a QoS 2 PUBLISH, first part.
    Pubrec(Acknowledge<'a>),
    /// Releases a QoS 2 message, second part.
    Pubrel(Acknowledge<'a>),
    /// Completes a QoS 2 message, third part.
    Pubcomp(Acknowledge<'a>),
    /// A client asks for subscriptions.
    Subscribe(Subscribe<'a>),
    /// The server answers SUBSCRIBE.
    Suback(Suback<'a>),
    /// A client gives up subscriptions.
    Unsubscribe(Unsubscribe<'a>),
    /// The server answers UNSUBSCRIBE.
    Unsuback(Unsuback<'a>),
    /// A client shows that it is there.
    Pingreq,
    /// The server answers PINGREQ.
    Pingresp,
    /// Either side says goodbye.
    Disconnect(Disconnect<'a>),
    /// A step of extended authentication, 5.0 only.
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads one whole packet: `frame` begins with the fixed header and is as long as
    /// [`frame_len`](crate::frame_len) says. CONNECT names its own version and ignores
    /// `version`.
    ///
    /// ```
    /// use weir_mqtt::{Packet, Version};
    ///
    /// let packet = Packet::decode(&[0xc0, 0x00], Version::V5)?;
    /// assert_eq!(packet, Packet::Pingreq);
    /// # Ok::<(), weir_mqtt::DecodeError>(())
    /// ```
    #[inline]
    pub fn decode(frame: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (kind, first, reader) = frame::open(frame, version)?;
        Ok(match kind {
            PacketKind::Connect => Self::Connect(Connect::decode(reader)?),
            PacketKind::Connack => Self::Connack(Connack::decode(reader, version)?),
            PacketKind::Publish => Self::Publish(Publish::decode(first, reader, version)?),
            PacketKind::Puback => Self::Puback(Acknowledge::decode(kind, reader, version)?),
            PacketKind::Pubrec => Self::Pubrec(Acknowledge::decode(kind, reader, version)?),
            PacketKind::Pubrel => Self::Pubrel(Acknowledge::decode(kind, reader, version)?),
            PacketKind::Pubcomp => Self::Pubcomp(Acknowledge::decode(kind, reader, version)?),
            PacketKind::Subscribe => Self::Subscribe(Subscribe::decode(reader, version)?),
            PacketKind::Suback => Self::Suback(Suback::decode(reader, version)?),
            PacketKind::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(reader, version)?),
            PacketKind::Unsuback => Self::Unsuback(Unsuback::decode(reader, version)?),
            PacketKind::Pingreq => ping::decode(reader).map(|()| Self::Pingreq)?,
            PacketKind::Pingresp => ping::decode(reader).map(|()| Self::Pingresp)?,
            PacketKind::Disconnect => Self::Disconnect(Disconnect::decode(reader, version)?),
            PacketKind::Auth => Self::Auth(Auth::decode(reader, version)?),
        })
    }

    /// Appends the packet. What the version does not know (properties, reason codes of
    /// acknowledgements) is left out; what the standard forbids is an error, and `out` stays as
    /// it was.
    ///
    /// ```
    /// use weir_mqtt::{Acknowledge, Packet, PacketId, Version};
    ///
    /// let packet_id = PacketId::new(10).expect("10 is not zero");
    /// let mut out = Vec::new();
    /// Packet::Puback(Acknowledge::success(packet_id)).encode(Version::V311, &mut out)?;
    /// assert_eq!(out, [0x40, 0x02, 0x00, 0x0a]);
    /// # Ok::<(), weir_mqtt::EncodeError>(())
    /// ```
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let result = self.encode_to(version, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// The type of the packet.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::Connack(_) => PacketKind::Connack,
            Self::Publish(_) => PacketKind::Publish,
            Self::Puback(_) => PacketKind::Puback,
            Self::Pubrec(_) => PacketKind::Pubrec,
            Self::Pubrel(_) => PacketKind::Pubrel,
            Self::Pubcomp(_) => PacketKind::Pubcomp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::Suback(_) => PacketKind::Suback,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::Unsuback(_) => PacketKind::Unsuback,
            Self::Pingreq => PacketKind::Pingreq,
            Self::Pingresp => PacketKind::Pingresp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }

    #[inline]
    fn encode_to(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::Connack(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::Puback(acknowledge)
            | Self::Pubrec(acknowledge)
            | Self::Pubrel(acknowledge)
            | Self::Pubcomp(acknowledge) => acknowledge.encode(self.kind(), version, out),
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::Suback(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::Unsuback(unsuback) => unsuback.encode(version, out),
            Self::Pingreq | Self::Pingresp => {
                ping::encode(self.kind(), out);
                Ok(())
            }
            Self::Disconnect(disconnect) => disconnect.encode(version, out),
            Self::Auth(auth) => auth.encode(version, out),
        }
    }
}
