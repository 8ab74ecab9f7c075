//! One packet of any kind.

use super::connect::Connect;
use super::encapsulated::Encapsulated;
use super::error::{DecodeError, EncodeError};
use super::gateway::{Advertise, GwInfo};
use super::header;
use super::kind::PacketKind;
use super::message_id::MessageId;
use super::publish::{Puback, Publish};
use super::reader::Reader;
use super::register::{Regack, Register};
use super::return_code::ReturnCode;
use super::subscribe::{Suback, Subscribe};
use super::unsubscribe::Unsubscribe;
use super::will::WillTopic;
use super::writer::Writer;
use crate::features::{EXACTLY_ONCE, SEARCH, WILL};

/// A packet, in the order of the standard. It borrows text and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// ADVERTISE.
    Advertise(Advertise),
    /// SEARCHGW, with the broadcast radius.
    SearchGw(u8),
    /// GWINFO.
    GwInfo(GwInfo<'a>),
    /// CONNECT.
    Connect(Connect<'a>),
    /// CONNACK.
    Connack(ReturnCode),
    /// WILLTOPICREQ.
    WillTopicReq,
    /// WILLTOPIC; `None` is a client without a will.
    WillTopic(Option<WillTopic<'a>>),
    /// WILLMSGREQ.
    WillMsgReq,
    /// WILLMSG, with the message.
    WillMsg(&'a [u8]),
    /// REGISTER.
    Register(Register<'a>),
    /// REGACK.
    Regack(Regack),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK.
    Puback(Puback),
    /// PUBCOMP, with the message identifier, not zero.
    Pubcomp(MessageId),
    /// PUBREC, with the message identifier, not zero.
    Pubrec(MessageId),
    /// PUBREL, with the message identifier, not zero.
    Pubrel(MessageId),
    /// SUBSCRIBE.
    Subscribe(Subscribe<'a>),
    /// SUBACK.
    Suback(Suback),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK, with the message identifier of the UNSUBSCRIBE.
    Unsuback(MessageId),
    /// PINGREQ; a sleeping client that asks for its messages gives its identifier.
    Pingreq(Option<&'a str>),
    /// PINGRESP.
    Pingresp,
    /// DISCONNECT; a client that goes to sleep says for how many seconds.
    Disconnect(Option<u16>),
    /// WILLTOPICUPD; `None` deletes the will.
    WillTopicUpd(Option<WillTopic<'a>>),
    /// WILLTOPICRESP.
    WillTopicResp(ReturnCode),
    /// WILLMSGUPD, with the message.
    WillMsgUpd(&'a [u8]),
    /// WILLMSGRESP.
    WillMsgResp(ReturnCode),
    /// A packet that a forwarder passes on.
    Encapsulated(Encapsulated<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a datagram, which is one packet.
    ///
    /// # Errors
    /// The datagram is not a packet.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, fields, after) = header::decode(datagram)?;
        let reader = &mut Reader::new(fields);
        let packet = match Self::decode_of_gateway(kind, reader) {
            Some(packet) => packet,
            None => Self::decode_of_client(kind, reader, after),
        };
        reader.end()?;
        Ok(packet)
    }

    /// Reads a datagram as a client does: `None` is a packet that no gateway sends. A node has no
    /// code for those.
    ///
    /// # Errors
    /// The datagram is not a packet.
    pub fn decode_from_gateway(datagram: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let (kind, fields, _) = header::decode(datagram)?;
        let reader = &mut Reader::new(fields);
        let packet = Self::decode_of_gateway(kind, reader);
        if packet.is_some() {
            reader.end()?;
        }
        Ok(packet)
    }

    /// Writes the packet to the beginning of `out` and gives its length.
    ///
    /// # Errors
    /// The packet holds what the standard forbids, or does not fit; `out` is then unchanged.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let packet_length = self.packet_length()?;
        let needed = packet_length + self.encapsulated().len();
        let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
        let mut writer = Writer::new(out);
        header::encode(self.kind(), packet_length, &mut writer);
        self.encode_fields(&mut writer)?;
        writer.bytes(self.encapsulated());
        debug_assert_eq!(writer.length(), needed, "both passes write the same");
        Ok(needed)
    }

    /// The length of the datagram in octets.
    ///
    /// # Errors
    /// The packet holds what the standard forbids.
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.packet_length()? + self.encapsulated().len())
    }

    /// What kind of packet it is.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Advertise(_) => PacketKind::Advertise,
            Self::SearchGw(_) => PacketKind::SearchGw,
            Self::GwInfo(_) => PacketKind::GwInfo,
            Self::Connect(_) => PacketKind::Connect,
            Self::Connack(_) => PacketKind::Connack,
            Self::WillTopicReq => PacketKind::WillTopicReq,
            Self::WillTopic(_) => PacketKind::WillTopic,
            Self::WillMsgReq => PacketKind::WillMsgReq,
            Self::WillMsg(_) => PacketKind::WillMsg,
            Self::Register(_) => PacketKind::Register,
            Self::Regack(_) => PacketKind::Regack,
            Self::Publish(_) => PacketKind::Publish,
            Self::Puback(_) => PacketKind::Puback,
            Self::Pubcomp(_) => PacketKind::Pubcomp,
            Self::Pubrec(_) => PacketKind::Pubrec,
            Self::Pubrel(_) => PacketKind::Pubrel,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::Suback(_) => PacketKind::Suback,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::Unsuback(_) => PacketKind::Unsuback,
            Self::Pingreq(_) => PacketKind::Pingreq,
            Self::Pingresp => PacketKind::Pingresp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::WillTopicUpd(_) => PacketKind::WillTopicUpd,
            Self::WillTopicResp(_) => PacketKind::WillTopicResp,
            Self::WillMsgUpd(_) => PacketKind::WillMsgUpd,
            Self::WillMsgResp(_) => PacketKind::WillMsgResp,
            Self::Encapsulated(_) => PacketKind::Encapsulated,
        }
    }

    /// What gateways send, and what both sides do.
    fn decode_of_gateway(kind: PacketKind, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match kind {
            PacketKind::Advertise if SEARCH => Self::Advertise(Advertise::decode(reader)),
            PacketKind::GwInfo if SEARCH => Self::GwInfo(GwInfo::decode(reader)),
            PacketKind::Connack => Self::Connack(reader.return_code()),
            PacketKind::WillTopicReq if WILL => Self::WillTopicReq,
            PacketKind::WillMsgReq if WILL => Self::WillMsgReq,
            PacketKind::Register => Self::Register(Register::decode(reader)),
            PacketKind::Regack => Self::Regack(Regack::decode(reader)),
            PacketKind::Publish => Self::Publish(Publish::decode(reader)),
            PacketKind::Puback => Self::Puback(Puback::decode(reader)),
            PacketKind::Pubcomp if EXACTLY_ONCE => Self::Pubcomp(reader.delivery_id()),
            PacketKind::Pubrec if EXACTLY_ONCE => Self::Pubrec(reader.delivery_id()),
            PacketKind::Pubrel if EXACTLY_ONCE => Self::Pubrel(reader.delivery_id()),
            PacketKind::Suback => Self::Suback(Suback::decode(reader)),
            PacketKind::Unsuback => Self::Unsuback(reader.message_id()),
            PacketKind::Pingreq => {
                let client_id = reader.text();
                Self::Pingreq((!client_id.is_empty()).then_some(client_id))
            }
            PacketKind::Pingresp => Self::Pingresp,
            PacketKind::Disconnect if reader.is_empty() => Self::Disconnect(None),
            PacketKind::Disconnect => Self::Disconnect(Some(reader.u16())),
            PacketKind::WillTopicResp if WILL => Self::WillTopicResp(reader.return_code()),
            PacketKind::WillMsgResp if WILL => Self::WillMsgResp(reader.return_code()),
            _ => return None,
        })
    }

    /// What only clients send, and forwarders.
    fn decode_of_client(kind: PacketKind, reader: &mut Reader<'a>, after: &'a [u8]) -> Self {
        match kind {
            PacketKind::SearchGw => Self::SearchGw(reader.u8()),
            PacketKind::Connect => Self::Connect(Connect::decode(reader)),
            PacketKind::WillTopic => Self::WillTopic(WillTopic::decode(reader)),
            PacketKind::WillMsg => Self::WillMsg(reader.rest()),
            PacketKind::Subscribe => Self::Subscribe(Subscribe::decode(reader)),
            PacketKind::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(reader)),
            PacketKind::WillTopicUpd => Self::WillTopicUpd(WillTopic::decode(reader)),
            PacketKind::WillMsgUpd => Self::WillMsgUpd(reader.rest()),
            PacketKind::Encapsulated => Self::Encapsulated(Encapsulated::decode(reader, after)),
            _ => {
                reader.fail(DecodeError::KindReserved(kind.code()));
                Self::Pingresp
            }
        }
    }

    /// What the length field says.
    fn packet_length(&self) -> Result<usize, EncodeError> {
        let mut fields = Writer::counting();
        self.encode_fields(&mut fields)?;
        header::packet_length(self.kind(), fields.length())
    }

    /// What follows the packet and is not in its length.
    fn encapsulated(&self) -> &'a [u8] {
        match self {
            Self::Encapsulated(encapsulated) => encapsulated.packet,
            _ => &[],
        }
    }

    fn encode_fields(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Advertise(advertise) => advertise.encode(writer),
            Self::SearchGw(radius) => writer.u8(*radius),
            Self::GwInfo(info) => info.encode(writer),
            Self::Connect(connect) => connect.encode(writer)?,
            Self::Register(register) => register.encode(writer)?,
            Self::Regack(regack) => regack.encode(writer),
            Self::Publish(publish) => publish.encode(writer)?,
            Self::Puback(puback) => puback.encode(writer),
            Self::Pubcomp(id) | Self::Pubrec(id) | Self::Pubrel(id) => writer.delivery_id(*id)?,
            Self::Subscribe(subscribe) => subscribe.encode(writer)?,
            Self::Suback(suback) => suback.encode(writer),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(writer)?,
            Self::Unsuback(id) => writer.u16(id.0),
            Self::Pingreq(Some("")) => return Err(EncodeError::ClientIdEmpty),
            Self::Pingreq(client_id) => writer.text(client_id.unwrap_or_default())?,
            Self::Disconnect(Some(duration_s)) => writer.u16(*duration_s),
            Self::Disconnect(None) | Self::Pingresp | Self::WillMsgReq | Self::WillTopicReq => {}
            Self::WillTopic(will) | Self::WillTopicUpd(will) => {
                WillTopic::encode(will.as_ref(), writer)?;
            }
            Self::WillMsg(message) | Self::WillMsgUpd(message) => writer.bytes(message),
            Self::Connack(code) | Self::WillMsgResp(code) | Self::WillTopicResp(code) => {
                writer.u8(code.code());
            }
            Self::Encapsulated(encapsulated) => encapsulated.encode(writer)?,
        }
        Ok(())
    }
}
