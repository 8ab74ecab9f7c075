//! The QoS 1 and 2 messages that are under way to one client, and their packet identifiers.
//!
//! Entries stand in the order of the log, which is the order of the first sending and of every
//! resend [MQTT-4.6.0-1]. An identifier is free again when the handshake of its message is over.

use std::collections::VecDeque;

use weir_mqtt::{PacketId, QoS};

use crate::identity::Sequence;
use crate::rare::Empty;

/// One message under way, or the end of a QoS 2 handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inflight {
    pub(crate) packet_id: PacketId,
    pub(crate) progress: Progress,
    pub(crate) delivery: Delivered,
    /// It was on a wire before: the next sending sets DUP [MQTT-3.3.1-1].
    pub(crate) sent_before: bool,
    /// Length of the message.
    pub(crate) bytes: u32,
}

impl Inflight {
    /// The length of a message as it is kept here.
    pub(crate) fn bytes(length: usize) -> u32 {
        u32::try_from(length).expect("a packet is shorter than 256 MiB")
    }
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// QoS 2 of a kept session: its identifier is not durable yet.
    Gated,
    /// PUBREC has come, PUBREL is owed or under way.
    Released,
    /// On the wire.
    Sent,
    /// Waits for the next chance to be sent.
    Waiting,
}

/// What a session has to know of a message that waits for it; 16 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Delivered {
    pub(crate) sequence: Sequence,
    /// Subscription identifier: 0 = none, [`SEVERAL`] = see the session's list.
    pub(crate) identifier: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The store holds it for this session.
    pub(crate) logged: bool,
    /// It is a retained message on its way to a new subscription.
    pub(crate) replay: bool,
}

impl Delivered {
    /// A QoS 0 message that waits only because it must not overtake a retained one.
    pub(crate) fn is_held_back(&self) -> bool {
        self.qos == QoS::AtMostOnce && !self.replay
    }
}

impl Default for InflightWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl Empty for InflightWindow {
    const EMPTY: &'static Self = &Self::new();
}

/// Stands for more than one subscription identifier; a real one has at most 28 bits.
pub(crate) const SEVERAL: u32 = u32::MAX;

/// An empty window keeps room for this many messages.
const CAPACITY_KEPT: usize = 64;

/// The messages under way to one client.
#[derive(Debug)]
pub(crate) struct InflightWindow {
    entries: VecDeque<Inflight>,
    last_packet_id: u16,
    /// Entries that take a place of the client's receive maximum.
    on_wire: u16,
    waiting: u16,
    gated: u16,
    bytes: usize,
    /// The identifiers stand in the order in which they count up from the first.
    is_ordered: bool,
}

impl InflightWindow {
    pub(crate) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            last_packet_id: 0,
            on_wire: 0,
            waiting: 0,
            gated: 0,
            bytes: 0,
            is_ordered: true,
        }
    }

    /// Takes the next free identifier, counting up from 1; none when all are in use.
    pub(crate) fn push(
        &mut self,
        delivery: Delivered,
        progress: Progress,
        bytes: usize,
    ) -> Option<PacketId> {
        if self.entries.len() >= usize::from(u16::MAX) {
            return None;
        }
        let packet_id = loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let candidate = PacketId::new(self.last_packet_id).expect("one or more");
            if self.position(candidate).is_none() {
                break candidate;
            }
        };
        let bytes = Inflight::bytes(bytes);
        self.restore(Inflight { packet_id, progress, delivery, sent_before: false, bytes });
        Some(packet_id)
    }

    /// Puts back an entry that the store kept.
    pub(crate) fn restore(&mut self, entry: Inflight) {
        self.count(entry.progress, 1);
        self.bytes += entry.bytes as usize;
        self.last_packet_id = entry.packet_id.get();
        let after =
            |back: &Inflight| self.distance(back.packet_id) < self.distance(entry.packet_id);
        self.is_ordered = self.entries.back().is_none_or(|back| self.is_ordered && after(back));
        self.entries.push_back(entry);
    }

    /// The entry with this identifier.
    pub(crate) fn find(&self, packet_id: PacketId) -> Option<&Inflight> {
        self.position(packet_id).map(|index| &self.entries[index])
    }

    /// Changes the progress of an entry.
    pub(crate) fn advance(&mut self, packet_id: PacketId, progress: Progress) {
        let Some(index) = self.position(packet_id) else { return };
        let before = std::mem::replace(&mut self.entries[index].progress, progress);
        self.count(before, -1);
        self.count(progress, 1);
    }

    /// Ends an exchange; its identifier is free.
    pub(crate) fn finish(&mut self, packet_id: PacketId) {
        let Some(index) = self.position(packet_id) else { return };
        if let Some(finished) = self.entries.remove(index) {
            self.count(finished.progress, -1);
            self.bytes -= finished.bytes as usize;
        }
        if self.entries.is_empty() && self.entries.capacity() > CAPACITY_KEPT {
            self.entries = VecDeque::new();
        }
    }

    /// Makes everything that was on the wire wait again: the connection is gone.
    pub(crate) fn disconnected(&mut self) {
        for entry in &mut self.entries {
            if entry.progress == Progress::Sent {
                self.on_wire -= 1;
                self.waiting += 1;
                entry.progress = Progress::Waiting;
                entry.sent_before = true;
            }
        }
    }

    /// The first entry that waits to be sent.
    pub(crate) fn first_waiting(&self) -> Option<Inflight> {
        if self.waiting == 0 {
            return None;
        }
        self.entries.iter().find(|entry| entry.progress == Progress::Waiting).copied()
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Inflight> {
        self.entries.iter()
    }

    /// The messages that the window holds in the log.
    pub(crate) fn holding(&self) -> impl Iterator<Item = &Delivered> {
        self.iter()
            .filter(|entry| entry.progress != Progress::Released)
            .map(|entry| &entry.delivery)
    }

    /// Whether anything waits at the gate.
    pub(crate) fn has_gated(&self) -> bool {
        self.gated > 0
    }

    /// Messages that take a place of the client's receive maximum [MQTT-3.3.4-9].
    pub(crate) fn on_wire(&self) -> u16 {
        self.on_wire
    }

    /// Bytes of the messages of all entries; one counts until its exchange is over.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries, at most 65,535.
    pub(crate) fn len(&self) -> u16 {
        self.on_wire + self.waiting + self.gated
    }

    /// Counts again what the counters count; for checks.
    pub(crate) fn check_counters(&self) {
        let count = |wanted: &[Progress]| {
            self.entries.iter().filter(|entry| wanted.contains(&entry.progress)).count()
        };
        let on_wire = count(&[Progress::Released, Progress::Sent]);
        assert_eq!(usize::from(self.on_wire), on_wire);
        assert_eq!(usize::from(self.waiting), count(&[Progress::Waiting]));
        assert_eq!(usize::from(self.gated), count(&[Progress::Gated]));
        assert_eq!(
            self.bytes,
            self.entries.iter().map(|entry| entry.bytes as usize).sum::<usize>()
        );
    }

    fn count(&mut self, progress: Progress, by: i16) {
        let counter = match progress {
            Progress::Released | Progress::Sent => &mut self.on_wire,
            Progress::Waiting => &mut self.waiting,
            Progress::Gated => &mut self.gated,
        };
        *counter = counter.checked_add_signed(by).expect("each entry is counted once");
    }

    /// How far an identifier is from the first.
    fn distance(&self, packet_id: PacketId) -> u16 {
        let first = self.entries.front().map_or(0, |entry| entry.packet_id.get());
        packet_id.get().wrapping_sub(first)
    }

    /// The identifiers are out of order only after they have gone round while the client kept an
    /// old one: then it is its own window that is looked through.
    fn position(&self, packet_id: PacketId) -> Option<usize> {
        if self.is_ordered {
            let distance = self.distance(packet_id);
            let place = self
                .entries
                .binary_search_by_key(&distance, |entry| self.distance(entry.packet_id));
            return place.ok();
        }
        self.entries.iter().position(|entry| entry.packet_id == packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(sequence: u64) -> Delivered {
        Delivered {
            sequence: Sequence(sequence),
            identifier: 0,
            qos: QoS::AtLeastOnce,
            retain: false,
            logged: false,
            replay: false,
        }
    }

    #[test]
    fn identifiers_start_at_one_and_count_up() {
        let mut window = InflightWindow::new();
        let ids: Vec<u16> = (0..3)
            .map(|n| window.push(delivery(n), Progress::Sent, 1).expect("room").get())
            .collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(window.on_wire(), 3);
    }

    #[test]
    fn an_identifier_in_use_is_passed_over_when_they_go_round() {
        let mut window = InflightWindow::new();
        let first = window.push(delivery(0), Progress::Sent, 1).expect("room");
        for n in 1..u64::from(u16::MAX) {
            let id = window.push(delivery(n), Progress::Sent, 1).expect("room");
            window.finish(id);
        }
        assert_eq!(window.push(delivery(9), Progress::Sent, 1).expect("room").get(), 2);
        assert!(window.find(first).is_some());
    }

    #[test]
    fn an_acknowledgement_out_of_order_frees_its_place_at_once() {
        let mut window = InflightWindow::new();
        let ids: Vec<PacketId> =
            (0..3).map(|n| window.push(delivery(n), Progress::Sent, 1).expect("room")).collect();
        window.finish(ids[1]);
        assert_eq!((window.on_wire(), window.len()), (2, 2));
        assert!(window.find(ids[1]).is_none());
        assert!(window.find(ids[2]).is_some());
    }

    #[test]
    fn what_was_on_the_wire_is_sent_again_as_a_duplicate() {
        let mut window = InflightWindow::new();
        let id = window.push(delivery(0), Progress::Waiting, 1).expect("room");
        window.advance(id, Progress::Sent);
        window.disconnected();
        let again = window.first_waiting().expect("it waits again");
        assert!(again.sent_before);
        assert_eq!(window.on_wire(), 0);
    }
}
