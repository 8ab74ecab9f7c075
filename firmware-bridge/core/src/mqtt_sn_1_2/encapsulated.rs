//! Forwarder encapsulation (5.5): a packet of a client that a forwarder passes on.

use super::error::{DecodeError, EncodeError};
use super::reader::Reader;
use super::writer::Writer;

/// What a forwarder adds to a packet, and the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulated<'a> {
    /// How far the gateway's packet is broadcast, 0 to 3; only from a gateway.
    pub radius: u8,
    /// Address of the client on its own network, at most 252 octets.
    pub wireless_node_id: &'a [u8],
    /// The whole packet of the client, not decoded yet and not empty.
    pub packet: &'a [u8],
}

impl<'a> Encapsulated<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, packet: &'a [u8]) -> Self {
        let radius = reader.u8() & RADIUS_MAX;
        if packet.is_empty() {
            reader.fail(DecodeError::Truncated);
        }
        Self { radius, wireless_node_id: reader.rest(), packet }
    }

    /// The fields; the packet follows them and is not in their length.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.radius > RADIUS_MAX {
            return Err(EncodeError::RadiusTooLarge);
        }
        if self.packet.is_empty() {
            return Err(EncodeError::PacketEmpty);
        }
        writer.u8(self.radius);
        writer.bytes(self.wireless_node_id);
        Ok(())
    }
}

const RADIUS_MAX: u8 = 3;
