//! The answers to PUBLISH and to what follows it, and what each waits for.
//!
//! A QoS 1 or 2 message is acknowledged once everything that it changed is durable: its place in
//! the log, the retained message, the identifier of QoS 2; or once upstreams have it, at the level of
//! that name. What changed nothing is acknowledged at once, but never before an earlier packet of
//! the same client [MQTT-4.6.0-2].

use smallvec::SmallVec;
use weir_mqtt::{Acknowledge, Packet, PacketId, QoS, ReasonCode, Version};

use crate::change::Change;
use crate::clock::Now;
use crate::connection::{Connection, Deferred};
use crate::core::Core;
use crate::explanation::{self, Refusal};
use crate::gate::Gated;
use crate::held::Waiter;
use crate::identity::{ConnectionId, ReaderId, Sequence};
use crate::room::NO_ROOM;

/// Which acknowledgement a packet gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// Ends QoS 1.
    Puback,
    /// Ends QoS 2.
    Pubcomp,
    /// The first answer of QoS 2.
    Pubrec,
    /// The receiver's part of a delivery goes on.
    Pubrel,
}

impl Reply {
    /// The first answer to a PUBLISH.
    pub(crate) fn to(qos: QoS) -> Self {
        if qos == QoS::ExactlyOnce { Self::Pubrec } else { Self::Puback }
    }
}

impl Core {
    /// Answers a packet: after the commit of this turn if `durable`, otherwise after whatever
    /// waits already, otherwise now.
    pub(crate) fn reply(
        &mut self,
        id: ConnectionId,
        reply: Reply,
        packet_id: PacketId,
        reason: ReasonCode,
        durable: bool,
    ) {
        let behind = if durable { Some(self.turn.batch) } else { self.gate.last_batch() };
        self.reply_behind(behind, id, reply, packet_id, reason);
    }

    /// Answers a packet for which nothing has to be durable: only behind the earlier packets of
    /// the same client.
    pub(crate) fn reply_at_once(
        &mut self,
        id: ConnectionId,
        reply: Reply,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let waits = self.connections.get(id).is_some_and(|connection| connection.gated > 0);
        let behind = if waits { self.gate.last_batch() } else { None };
        self.reply_behind(behind, id, reply, packet_id, reason);
    }

    fn reply_behind(
        &mut self,
        batch: Option<u64>,
        id: ConnectionId,
        reply: Reply,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let Some(connection) = self.connections.get(id) else { return };
        let ends_exchange = match reply {
            Reply::Puback | Reply::Pubcomp => true,
            Reply::Pubrec | Reply::Pubrel => false,
        };
        let frame = reply_frame(reply, packet_id, reason, None, connection);
        if matches!(reply, Reply::Puback | Reply::Pubrec) && !connection.deferred.is_empty() {
            self.turn.is_awaited |= batch == Some(self.turn.batch);
            return self
                .push_deferred(id, Deferred { waits_for: None, batch, frame, ends_exchange });
        }
        self.send_reply(batch, id, frame, ends_exchange);
    }

    /// Refuses a message because the store has no room. A client of 3.x, which cannot be told, gets
    /// no answer and offers it again. The answer to one of 5.0 rests on nothing, so it waits for no
    /// commit, which may be long in coming, unless an earlier one to the client does.
    pub(crate) fn refuse_for_room(&mut self, id: ConnectionId, reply: Reply, packet_id: PacketId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.version != Version::V5 {
            connection.unanswered = true;
            return;
        }
        let is_first = connection.gated == 0;
        let frame =
            reply_frame(reply, packet_id, ReasonCode::QuotaExceeded, Some(NO_ROOM), connection);
        match self.gate.last_batch().filter(|_| !is_first) {
            Some(batch) => self.gate_reply(batch, id, frame, true),
            None => {
                self.end_exchange(id);
                self.write(id, &frame);
            }
        }
    }

    /// Lets an acknowledgement wait until upstreams have acknowledged a message.
    pub(crate) fn defer(
        &mut self,
        id: ConnectionId,
        reply: Reply,
        packet_id: PacketId,
        reason: ReasonCode,
        sequence: Sequence,
    ) {
        let Some(connection) = self.connections.get(id) else { return };
        let frame = reply_frame(reply, packet_id, reason, None, connection);
        let ends_exchange = reply == Reply::Puback;
        let waits_for = Some(sequence);
        self.push_deferred(id, Deferred { waits_for, batch: None, frame, ends_exchange });
    }

    /// A connection for which messages are held is not read on when they are too many, of its own or
    /// in all; it is when its own are released.
    fn push_deferred(&mut self, id: ConnectionId, deferred: Deferred) {
        let bytes = self.held.bytes() + self.peers.waiting_bytes();
        let is_full = bytes > self.limits.held_bytes_max;
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.deferred.push_back(deferred);
        if is_full || connection.unanswered() >= self.limits.unacknowledged_inbound_max {
            self.pause(id);
        }
    }

    /// Lets messages and their publishers go for which upstreams do not wait any more.
    pub(crate) fn release_held(&mut self, now: Now, reader: ReaderId, done: Sequence) {
        let released = self.held.done(reader, done);
        if released.is_empty() {
            return;
        }
        let mut waiting: Vec<(Sequence, Option<ConnectionId>)> = Vec::new();
        for (sequence, publisher) in &released {
            match *publisher {
                Some(Waiter::Connection(connection)) => waiting.push((*sequence, Some(connection))),
                // A message that the far end has refused may be a dead letter of this turn.
                Some(Waiter::Shard(shard, waits)) if self.turn.is_awaited => {
                    self.wait_for(self.turn.batch, Gated::Release { shard, waits });
                }
                Some(Waiter::Shard(shard, waits)) => self.peers.release(shard, waits),
                None => {}
            }
        }
        let sequences = released.into_iter().map(|(sequence, _)| sequence).collect();
        self.record_unawaited(Change::HeldReleased { sequences });
        self.release_waiting(now, &waiting);
    }

    /// Lets publishers go whose messages upstreams have.
    pub(crate) fn release_waiting(
        &mut self,
        now: Now,
        released: &[(Sequence, Option<ConnectionId>)],
    ) {
        // A message that the far end has refused may be a dead letter of this turn.
        let behind = self.turn.is_awaited.then_some(self.turn.batch);
        let mut connections: Vec<ConnectionId> = Vec::new();
        for (sequence, publisher) in released {
            let Some(id) = *publisher else { continue };
            let Some(connection) = self.connections.get_mut(id) else { continue };
            let of_message = |deferred: &&mut Deferred| deferred.waits_for == Some(*sequence);
            for deferred in connection.deferred.iter_mut().filter(of_message) {
                deferred.waits_for = None;
                deferred.batch = behind;
            }
            if connections.last() != Some(&id) {
                connections.push(id);
            }
        }
        connections.into_iter().for_each(|id| self.send_deferred(now, id));
    }

    /// Sends what has waited long enough, in the order of the packets that it answers.
    fn send_deferred(&mut self, now: Now, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id) {
            let is_due = |deferred: &mut Deferred| deferred.waits_for.is_none();
            let Some(Deferred { batch, frame, ends_exchange, .. }) =
                connection.deferred.pop_front_if(is_due)
            else {
                break;
            };
            let is_gated = connection.gated > 0;
            let last = self.gate.last_batch();
            let behind = match batch.filter(|batch| !self.gate.is_committed(*batch)) {
                Some(batch) => Some(last.map_or(batch, |last| last.max(batch))),
                None if is_gated => last,
                None => None,
            };
            self.send_reply(behind, id, frame, ends_exchange);
        }
        self.read_on(now, id);
    }

    fn send_reply(
        &mut self,
        batch: Option<u64>,
        id: ConnectionId,
        frame: SmallVec<[u8; 8]>,
        ends_exchange: bool,
    ) {
        if let Some(batch) = batch {
            return self.gate_reply(batch, id, frame, ends_exchange);
        }
        if ends_exchange {
            self.end_exchange(id);
        }
        self.write(id, &frame);
    }

    /// Lets an answer wait for a batch. A client for which many wait is not read meanwhile.
    pub(crate) fn gate_reply(
        &mut self,
        batch: u64,
        connection: ConnectionId,
        frame: SmallVec<[u8; 8]>,
        ends_exchange: bool,
    ) {
        self.wait_for(batch, Gated::Reply { connection, frame, ends_exchange });
        if let Some(open) = self.connections.get_mut(connection) {
            open.gated += 1;
            if open.unanswered() >= self.limits.unacknowledged_inbound_max {
                self.pause(connection);
            }
        }
    }
}

/// The packet, with its reason and an explanation for 5.0 only; `why` takes the place of the
/// general one.
fn reply_frame(
    reply: Reply,
    packet_id: PacketId,
    reason: ReasonCode,
    why: Option<Refusal>,
    connection: &Connection,
) -> SmallVec<[u8; 8]> {
    let [high, low] = packet_id.get().to_be_bytes();
    let first = match reply {
        Reply::Puback => 0x40,
        Reply::Pubrec => 0x50,
        Reply::Pubrel => 0x62,
        Reply::Pubcomp => 0x70,
    };
    if reason == ReasonCode::Success || connection.version != Version::V5 {
        return SmallVec::from_slice(&[first, 2, high, low]);
    }
    if !reason.is_error() {
        return SmallVec::from_slice(&[first, 3, high, low, reason as u8]);
    }
    let acknowledge = Acknowledge::with_reason(packet_id, reason);
    let packet = match reply {
        Reply::Puback => Packet::Puback(acknowledge),
        Reply::Pubcomp => Packet::Pubcomp(acknowledge),
        Reply::Pubrec => Packet::Pubrec(acknowledge),
        Reply::Pubrel => Packet::Pubrel(acknowledge),
    };
    let mut frame = Vec::new();
    explanation::encode_because(&packet, why, connection, &mut frame)
        .expect("a reason that the packet may carry");
    SmallVec::from_vec(frame)
}
