//! The two ends of a message under load: a PUBLISH that is written once and then only patched, and
//! the parts of an arriving one that the account needs.
//!
//! Millions of them pass, so nothing is decoded that nobody asks for. All other packets go through
//! `weir-mqtt`.

use weir_mqtt::{EncodeError, Packet, PacketId, Publish, QoS, Version};

/// What every payload begins with: who sent it, to whom, as which message, and when it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts from 0 for each publisher.
    pub(crate) number: u32,
    /// Number of the publisher.
    pub(crate) from: u16,
    /// Number of the subscriber, or [`Mark::ALL`].
    pub(crate) to: u16,
    /// Nanoseconds since the clients were made.
    pub(crate) at_ns: u64,
}

impl Mark {
    pub(crate) const BYTES: usize = 16;
    /// In place of a subscriber: each of them gets the message.
    pub(crate) const ALL: u16 = u16::MAX;

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.first_chunk::<{ Self::BYTES }>()?;
        let (number, bytes) = bytes.split_first_chunk()?;
        let (from, bytes) = bytes.split_first_chunk()?;
        let (to, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            number: u32::from_le_bytes(*number),
            from: u16::from_le_bytes(*from),
            to: u16::from_le_bytes(*to),
            at_ns: u64::from_le_bytes(*bytes.first_chunk()?),
        })
    }

    fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.from.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.to.to_le_bytes());
        bytes[8..].copy_from_slice(&self.at_ns.to_le_bytes());
        bytes
    }
}

/// What a publisher sends again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) payload_bytes: usize,
    pub(crate) version: Version,
}

/// An encoded PUBLISH with room for packet identifier and mark.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    packet_id_at: usize,
    payload_at: usize,
    /// The subscriber whom the topic reaches.
    to: u16,
}

impl Template {
    pub(crate) fn new(topic: &str, to: u16, shape: Shape) -> Result<Self, EncodeError> {
        let payload: Vec<u8> = (b'a'..=b'z').cycle().take(shape.payload_bytes).collect();
        let packet_id = PacketId::new(1).filter(|_| shape.qos != QoS::AtMostOnce);
        let mut publish = Publish::new(topic, &payload);
        (publish.qos, publish.retain, publish.packet_id) = (shape.qos, shape.retain, packet_id);
        let mut bytes = Vec::new();
        Packet::Publish(publish).encode(shape.version, &mut bytes)?;
        let payload_at = bytes.len() - payload.len();
        // 5.0 has an empty list of properties in between.
        let properties = usize::from(shape.version == Version::V5);
        let packet_id_at = payload_at - properties - 2;
        Ok(Self { bytes, packet_id_at, payload_at, to })
    }

    /// Appends the packet. A payload that is too short for a mark goes without.
    #[inline]
    pub(crate) fn append(&self, packet_id: Option<u16>, mark: Mark, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if let Some(packet_id) = packet_id {
            packet[self.packet_id_at..self.packet_id_at + 2]
                .copy_from_slice(&packet_id.to_be_bytes());
        }
        let mark = Mark { to: self.to, ..mark }.bytes();
        if let Some(room) = packet[self.payload_at..].first_chunk_mut() {
            *room = mark;
        }
    }
}

/// The parts of an arriving PUBLISH that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival<'a> {
    pub(crate) qos: u8,
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Arrival<'a> {
    /// Reads a whole packet; `None` when it is not what it says.
    #[inline]
    pub(crate) fn read(packet: &'a [u8], version: Version) -> Option<Self> {
        let (first, rest) = packet.split_first()?;
        let (_, rest) = split_varint(rest)?;
        let (length, rest) = rest.split_first_chunk()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
        let qos = first >> 1 & 3;
        let mut packet_id = 0;
        if qos > 0 {
            let (bytes, after) = rest.split_first_chunk()?;
            (packet_id, rest) = (u16::from_be_bytes(*bytes), after);
        }
        if version == Version::V5 {
            let (length, after) = split_varint(rest)?;
            rest = after.get(length..)?;
        }
        Some(Self { qos, packet_id, payload: rest })
    }
}

/// A number of up to four bytes of seven bits, and what follows it.
#[inline]
fn split_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for width in 0..4 {
        let byte = *bytes.get(width)?;
        value |= usize::from(byte & 0x7f) << (7 * width);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[width + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use weir_mqtt::frame_len;

    use super::*;

    #[test]
    fn what_is_appended_is_read_back_by_both_readers() {
        for version in [Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for payload_bytes in [16, 64, 200, 20_000] {
                    let shape = Shape { qos, retain: false, payload_bytes, version };
                    let template = Template::new("a/b", 5, shape).unwrap();
                    let packet_id = (qos != QoS::AtMostOnce).then_some(258);
                    let mark = Mark { number: 9, from: 8, to: 5, at_ns: 7 };
                    let mut out = Vec::new();
                    template.append(packet_id, mark, &mut out);
                    assert_eq!(frame_len(&out), Ok(Some(out.len())));
                    let arrival = Arrival::read(&out, version).unwrap();
                    assert_eq!(Mark::read(arrival.payload), Some(mark));
                    let Packet::Publish(publish) = Packet::decode(&out, version).unwrap() else {
                        unreachable!("a PUBLISH was written")
                    };
                    assert_eq!(publish.payload, arrival.payload);
                    assert_eq!(publish.packet_id.map_or(0, PacketId::get), arrival.packet_id);
                    assert_eq!(u8::from(publish.qos), arrival.qos);
                    assert_eq!((publish.topic, arrival.payload.len()), ("a/b", payload_bytes));
                }
            }
        }
    }

    #[test]
    fn a_packet_that_is_cut_off_is_not_read() {
        let shape =
            Shape { qos: QoS::AtLeastOnce, retain: false, payload_bytes: 0, version: Version::V5 };
        let template = Template::new("a/b", Mark::ALL, shape).unwrap();
        let mut out = Vec::new();
        template.append(Some(1), Mark::default(), &mut out);
        assert!(Arrival::read(&out, Version::V5).is_some());
        for end in 0..out.len() {
            assert_eq!(Arrival::read(&out[..end], Version::V5), None, "{end}");
        }
    }
}
