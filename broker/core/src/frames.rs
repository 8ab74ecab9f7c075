//! The PUBLISH frames of the message that is being routed, each encoded once.
//!
//! Subscribers that get the same bytes but for the packet identifier share a frame: it depends
//! only on the protocol version, the QoS and the RETAIN flag. A copy of the frame is the whole
//! cost of a delivery.

use weir_mqtt::{Delivery, PacketId, Version};

/// Encoded frames of one message.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frames: [Option<Frame>; VARIANTS],
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    start: usize,
    end: usize,
    packet_id_at: Option<usize>,
}

/// Two wire formats, three levels of QoS, two states of the RETAIN flag.
const VARIANTS: usize = 12;

impl Frames {
    /// Forgets the message before.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames = [None; VARIANTS];
    }

    /// The frame for a delivery without subscription identifiers and DUP, encoded if it is the
    /// first of its kind, and where its packet identifier stands.
    pub(crate) fn frame(
        &mut self,
        delivery: &Delivery<'_>,
        version: Version,
    ) -> (&[u8], Option<usize>) {
        debug_assert!(delivery.subscription_identifiers.is_empty() && !delivery.dup);
        let variant = (usize::from(version == Version::V5) * 3 + delivery.qos as usize) * 2
            + usize::from(delivery.retain);
        let frame = *self.frames[variant].get_or_insert_with(|| {
            let start = self.bytes.len();
            let packet_id_at =
                delivery.encode(version, &mut self.bytes).expect("a routed message can be encoded");
            Frame { start, end: self.bytes.len(), packet_id_at }
        });
        (&self.bytes[frame.start..frame.end], frame.packet_id_at)
    }
}

/// Appends a frame with the identifier of this delivery.
pub(crate) fn append(frame: &[u8], packet_id: Option<(usize, PacketId)>, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend_from_slice(frame);
    if let Some((at, packet_id)) = packet_id {
        buffer[start + at..start + at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
    }
}
