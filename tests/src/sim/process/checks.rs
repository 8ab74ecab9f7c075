//! What a running broker must hold: nobody is told what the disk could forget, nothing is sent
//! after its time, and nothing grows without bounds.

use weir_core::ConnectionId;
use weir_mqtt::{Packet, Publish, frame_len};

use super::Process;
use crate::sim::client::Client;
use crate::sim::model::message_of;
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;

impl Process {
    /// Compares what a client was told with what the disk knows.
    pub(super) fn check_written(
        &mut self,
        around: &mut Surroundings,
        client: &Client,
        connection: ConnectionId,
        is_fresh: bool,
    ) {
        let Some(socket) = self.sockets.get_mut(&connection) else { return };
        let mut at = 0;
        while let Ok(Some(length)) = frame_len(&socket.written[at..])
            && at + length <= socket.written.len()
        {
            let frame = &socket.written[at..at + length];
            at += length;
            let Ok(packet) = Packet::decode(frame, client.profile.version) else { continue };
            if let Packet::Publish(publish) = &packet
                && is_fresh
                && let Some(text) = overdue(around, publish)
            {
                around.model.blame(About::client(client.number), text);
            }
            // Which session it speaks of is not known when two attempts overtake each other.
            if client.has_twins && matches!(packet, Packet::Connack(_)) {
                continue;
            }
            let (message, filter) = match &packet {
                Packet::Puback(acknowledge) | Packet::Pubrec(acknowledge) => {
                    (client.message_of(acknowledge.packet_id), None)
                }
                Packet::Suback(suback) => (None, client.filter_of(around, suback.packet_id)),
                _ => (None, None),
            };
            let name = &client.profile.name;
            let objection = self.unsure.objection(name, &packet, message, filter.as_deref());
            if let Some(text) = objection {
                let about = About { client: Some(client.number), message };
                around.model.blame(about, format!("client {}: {text}", client.number));
            }
        }
        socket.written.drain(..at);
    }

    pub(super) fn check_bounds(&self, around: &mut Surroundings) {
        let metrics = self.metrics();
        around.model.are_letters_missed |= metrics.dead_letters_missed > 0;
        let limits = &around.conduct.limits;
        let mut bounds = vec![
            (
                "bytes in queues",
                metrics.queued_bytes_in_memory,
                (limits.queued_memory_max * self.cores.len()) as u64,
            ),
            ("messages that could not be read", metrics.drops.unreadable, 0),
            ("messages that were too large", metrics.drops.too_large, 0),
            ("messages that were refused", metrics.drops.refused, 0),
            ("retained messages without room", metrics.drops.retained_full, 0),
            ("violations of clients", metrics.violations, 0),
        ];
        let buffer_max = (limits.send_buffer_bytes_max + BUFFER_SLACK_BYTES) as u64;
        for connection in self.sockets.keys() {
            let outbound = self.cores.iter().find_map(|core| core.outbound(*connection));
            let bytes = outbound.map_or(0, weir_core::Outbound::len);
            bounds.push(("bytes for one connection", bytes as u64, buffer_max));
        }
        if let Some((what, found, max)) = bounds.into_iter().find(|(_, found, max)| found > max) {
            around.model.blame(About::ALL, format!("{found} {what}, at most {max} expected"));
        }
    }
}

/// What is wrong with sending a message for the first time now: its time may be over.
fn overdue(around: &Surroundings, publish: &Publish<'_>) -> Option<String> {
    let id = message_of(publish.payload).filter(|_| !publish.dup)?;
    if publish.topic.starts_with("dead/") {
        return None;
    }
    let message = around.model.messages.get(id as usize)?;
    let (expiry_s, acknowledged_ms) = (message.expiry_s?, message.acknowledged_ms?);
    let waited_ms = around.now.saturating_sub(acknowledged_ms + around.doubt_ms());
    (waited_ms > u64::from(expiry_s) * 1000).then(|| {
        format!(
            "message {id} was sent {waited_ms} ms after it was acknowledged, though it expires \
             after {expiry_s} s"
        )
    })
}

/// The packet during which a buffer becomes full, and answers, which are never held back.
const BUFFER_SLACK_BYTES: usize = 16 * 1024;
