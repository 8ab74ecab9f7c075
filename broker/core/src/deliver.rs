//! From the broker to a client: at once, into the queue, and out of it again.
//!
//! A message goes out at once only when nothing waits before it; otherwise it takes its turn in
//! the session's queue. A QoS 2 message of a kept session goes out when its identifier is
//! durable, because a client may keep identifiers for longer than a broker lives.

use weir_mqtt::{Delivery, PacketId, QoS, ReasonCode};

use crate::change::{Change, Destination, InflightState, Target};
use crate::clock::Now;
use crate::core::Core;
use crate::frames;
use crate::gate::Gated;
use crate::identity::{ConnectionId, Sequence, SessionId};
use crate::inflight::{Delivered, Inflight, Progress, SEVERAL};
use crate::limits::QueueFull;
use crate::message::{Message, MessageParts};
use crate::publish::Reply;
use crate::router::{Match, Routing};
use crate::session::SessionKey;

impl Core {
    /// Gives a message that is being routed to one session.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        key: SessionKey,
        found: &Match,
        routing: &mut Routing<'_>,
    ) {
        let qos = found.qos.min(routing.parts.qos);
        let retain = found.retain_as_published && routing.parts.retain;
        if qos == QoS::AtMostOnce {
            return self.send_unqueued(now, key, found, retain, routing);
        }
        let message = routing.message(self);
        let sequence = routing.sequence(self);
        let delivered = Delivered {
            sequence,
            identifier: self.keep_identifiers(key, sequence, &found.identifiers),
            qos,
            retain,
            logged: self.sessions[key as usize].stored && self.limits.persistence,
            replay: false,
        };
        let packet_id = match self.can_send_at_once(key) {
            Some(connection) => {
                self.send_at_once(now, key, connection, delivered, found, routing.parts)
            }
            None => None,
        };
        if packet_id.is_some() {
            self.log.hold(sequence, &message);
        } else if !self.enqueue_held(key, delivered, &message) {
            return;
        }
        if delivered.logged {
            routing.targets.push(Target {
                destination: Destination::Session(self.sessions[key as usize].id),
                qos,
                retain,
                packet_id,
                subscription_identifiers: found.identifiers.iter().copied().collect(),
            });
        }
    }

    /// Lets a message wait in a session's queue and holds it in the log for that; false when it
    /// was dropped instead.
    pub(crate) fn enqueue_held(
        &mut self,
        key: SessionKey,
        delivered: Delivered,
        message: &Message,
    ) -> bool {
        let queued = self.enqueue(key, delivered, message.len());
        if queued {
            self.log.hold(delivered.sequence, message);
        } else if delivered.identifier == SEVERAL {
            self.sessions[key as usize].identifiers.remove(&delivered.sequence);
        }
        queued
    }

    /// What a waiting message keeps of its subscription identifiers.
    pub(crate) fn keep_identifiers(
        &mut self,
        key: SessionKey,
        sequence: Sequence,
        identifiers: &[u32],
    ) -> u32 {
        match identifiers {
            [] => 0,
            [one] => *one,
            several => {
                let session = &mut self.sessions[key as usize];
                session.identifiers.insert(sequence, several.into());
                SEVERAL
            }
        }
    }

    /// Sends what waits, as far as the client's window and buffer have room.
    pub(crate) fn pump(&mut self, now: Now, key: SessionKey) {
        loop {
            let session = &self.sessions[key as usize];
            let Some(connection) = session.connection else { return };
            if !self.has_buffer_room(connection) {
                return;
            }
            let has_window_room = session.inflight.on_wire() < session.window;
            if let Some(entry) = session.inflight.first_waiting() {
                if !has_window_room {
                    return;
                }
                self.send_waiting(now, key, connection, entry);
                continue;
            }
            let Some(&next) = session.queue.front() else { return };
            if next.qos > QoS::AtMostOnce && !has_window_room {
                return;
            }
            self.dequeue(key);
            self.send_dequeued(now, key, connection, next);
        }
    }

    /// What a client gets first after CONNACK: the PUBRELs that are owed, then everything that
    /// was under way, with the identifiers it had [MQTT-4.4.0-1], then the queue.
    pub(crate) fn resume_deliveries(&mut self, now: Now, key: SessionKey) {
        let session = &self.sessions[key as usize];
        let Some(connection) = session.connection else { return };
        let owed: Vec<PacketId> = session
            .inflight
            .iter()
            .filter(|entry| entry.progress == Progress::Released)
            .map(|entry| entry.packet_id)
            .collect();
        for packet_id in owed {
            self.reply(connection, Reply::Pubrel, packet_id, ReasonCode::Success, false);
        }
        self.pump(now, key);
    }

    /// The identifier of a QoS 2 delivery is durable.
    pub(crate) fn release_delivery(&mut self, now: Now, id: SessionId, packet_id: PacketId) {
        let Some(&key) = self.session_keys.get(&id) else { return };
        let inflight = &mut self.sessions[key as usize].inflight;
        if inflight.find(packet_id).is_some_and(|entry| entry.progress == Progress::Gated) {
            inflight.advance(packet_id, Progress::Waiting);
            self.pump(now, key);
        }
    }

    /// Drops what only waited for this connection.
    pub(crate) fn drop_unkept(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        let log = &mut self.log;
        session.queue.retain(|entry| {
            let kept = entry.qos > QoS::AtMostOnce;
            if !kept {
                session.queue_bytes -= log.message(entry.sequence).len();
                session.replays -= u32::from(entry.replay);
                log.release(entry.sequence);
                session.identifiers.remove(&entry.sequence);
            }
            kept
        });
        session.held_back = 0;
    }

    /// Lets a message wait in a session's queue; false when it was dropped instead.
    pub(crate) fn enqueue(&mut self, key: SessionKey, delivery: Delivered, bytes: usize) -> bool {
        while self.queue_is_full(key, bytes) {
            self.metrics.drops.queue_full += 1;
            let session = &self.sessions[key as usize];
            match self.limits.queue_full {
                QueueFull::DropOld if !session.queue.is_empty() => {
                    let oldest = self.dequeue(key);
                    self.settle(key, oldest);
                }
                QueueFull::Disconnect => {
                    let connection = session.claimed_by;
                    self.doomed.extend(connection.map(|id| (id, ReasonCode::QuotaExceeded)));
                    return false;
                }
                QueueFull::DropNew | QueueFull::DropOld => return false,
            }
        }
        let session = &mut self.sessions[key as usize];
        session.queue.push_back(delivery);
        session.queue_bytes += bytes;
        session.replays += u32::from(delivery.replay);
        session.held_back += u32::from(delivery.is_held_back());
        true
    }

    /// A session is done with a message.
    pub(crate) fn settle(&mut self, key: SessionKey, delivery: Delivered) {
        if delivery.identifier == SEVERAL {
            self.sessions[key as usize].identifiers.remove(&delivery.sequence);
        }
        self.log.release(delivery.sequence);
        if delivery.logged {
            self.cursor_moved(key);
        }
    }

    fn queue_is_full(&self, key: SessionKey, bytes: usize) -> bool {
        let (limits, session) = (&self.limits, &self.sessions[key as usize]);
        let (messages_max, bytes_max) = (limits.queued_messages_max, limits.queued_bytes_max);
        (messages_max > 0 && session.queue.len() >= messages_max)
            || (bytes_max > 0 && session.queue_bytes + bytes > bytes_max)
            || self.log.bytes() + bytes > limits.queued_memory_max
    }

    /// Takes the first message of a queue, which still holds its place in the log.
    fn dequeue(&mut self, key: SessionKey) -> Delivered {
        let session = &mut self.sessions[key as usize];
        let delivery = session.queue.pop_front().expect("the queue is not empty");
        session.queue_bytes -= self.log.message(delivery.sequence).len();
        session.replays -= u32::from(delivery.replay);
        session.held_back -= u32::from(delivery.is_held_back());
        delivery
    }

    /// The connection of a session for which nothing has to wait.
    fn can_send_at_once(&self, key: SessionKey) -> Option<ConnectionId> {
        let session = &self.sessions[key as usize];
        let connection = session.connection?;
        let free = session.queue.is_empty()
            && session.inflight.len() < session.window
            && self.has_buffer_room(connection);
        free.then_some(connection)
    }

    fn has_buffer_room(&self, connection: ConnectionId) -> bool {
        let open = self.connections.get(connection);
        open.is_some_and(|open| open.outbound.len() < self.limits.send_buffer_bytes_max)
    }

    /// QoS 0: now or never, except behind retained messages that still wait, which would
    /// otherwise arrive after their successors, and behind what was held back for them.
    fn send_unqueued(
        &mut self,
        now: Now,
        key: SessionKey,
        found: &Match,
        retain: bool,
        routing: &mut Routing<'_>,
    ) {
        let Some(connection) = self.sessions[key as usize].connection else { return };
        let has_room = self.has_buffer_room(connection);
        if has_room && self.sessions[key as usize].held_back > 0 {
            self.pump(now, key);
        }
        let session = &self.sessions[key as usize];
        if session.replays == 0 && !has_room {
            self.metrics.drops.slow_qos0 += 1;
            return;
        }
        if session.replays > 0 || session.held_back > 0 {
            let message = routing.message(self);
            let sequence = routing.sequence(self);
            let delivery = Delivered {
                sequence,
                identifier: self.keep_identifiers(key, sequence, &found.identifiers),
                qos: QoS::AtMostOnce,
                retain,
                logged: false,
                replay: false,
            };
            self.enqueue_held(key, delivery, &message);
            return;
        }
        let delivery = delivery_of(routing.parts, now, QoS::AtMostOnce, retain);
        let delivery = Delivery { subscription_identifiers: &found.identifiers, ..delivery };
        self.send_routed(connection, &delivery);
    }

    /// Begins a QoS 1 or 2 delivery; the answer is its identifier.
    fn send_at_once(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        delivered: Delivered,
        found: &Match,
        parts: &MessageParts<'_>,
    ) -> Option<PacketId> {
        let session = &mut self.sessions[key as usize];
        let progress = first_progress(delivered);
        let packet_id = session.inflight.push(delivered, progress)?;
        if progress == Progress::Gated {
            let session = session.id;
            self.gate.wait(self.turn.batch, Gated::Deliver { session, packet_id });
        } else {
            let delivery = Delivery {
                packet_id: Some(packet_id),
                subscription_identifiers: &found.identifiers,
                ..delivery_of(parts, now, delivered.qos, delivered.retain)
            };
            self.send_routed(connection, &delivery);
        }
        Some(packet_id)
    }

    /// Sends a message of the window, for the first time or again.
    fn send_waiting(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        entry: Inflight,
    ) {
        let session = &mut self.sessions[key as usize];
        session.inflight.advance(entry.packet_id, Progress::Sent);
        let identifiers = session.identifiers_of(&entry.delivery);
        let message = self.log.message(entry.delivery.sequence).clone();
        let parts = message.parts();
        let delivery = Delivery {
            dup: entry.sent_before,
            packet_id: Some(entry.packet_id),
            subscription_identifiers: &identifiers,
            ..delivery_of(&parts, now, entry.delivery.qos, entry.delivery.retain)
        };
        self.send(connection, &delivery);
    }

    /// Sends a message that has just left the queue, or drops it if its time is over or the
    /// client would not take it.
    fn send_dequeued(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        delivered: Delivered,
    ) {
        let message = self.log.message(delivered.sequence).clone();
        let parts = message.parts();
        let identifiers = self.sessions[key as usize].identifiers_of(&delivered);
        let delivery = Delivery {
            subscription_identifiers: &identifiers,
            ..delivery_of(&parts, now, delivered.qos, delivered.retain)
        };
        if message.is_expired(now.unix_ms) {
            self.metrics.drops.expired += 1;
            return self.settle(key, delivered);
        }
        if self.is_too_large(connection, &delivery) {
            self.metrics.drops.too_large += 1;
            return self.settle(key, delivered);
        }
        if delivered.qos == QoS::AtMostOnce {
            self.send(connection, &delivery);
            return self.settle(key, delivered);
        }
        let session = &mut self.sessions[key as usize];
        let progress = first_progress(delivered);
        let packet_id = session
            .inflight
            .push(delivered, progress)
            .expect("a window with room has an identifier");
        let id = session.id;
        if delivered.logged {
            let state = InflightState::Sent { sequence: delivered.sequence };
            self.record(Change::InflightPut { session: id, packet_id, state });
            self.cursor_moved(key);
        }
        if progress == Progress::Gated {
            self.gate.wait(self.turn.batch, Gated::Deliver { session: id, packet_id });
        } else {
            self.send(connection, &Delivery { packet_id: Some(packet_id), ..delivery });
        }
    }

    /// Appends a PUBLISH of the message that is being routed; the frame is shared with everybody
    /// who gets the same bytes.
    fn send_routed(&mut self, connection: ConnectionId, delivery: &Delivery<'_>) {
        if !delivery.subscription_identifiers.is_empty() {
            return self.send(connection, delivery);
        }
        let Some(open) = self.connections.get_mut(connection) else { return };
        let (frame, packet_id_at) = self.frames.frame(delivery, open.version);
        if frame.len() > open.packet_bytes_max {
            self.metrics.drops.too_large += 1;
            return;
        }
        self.metrics.publish_sent += 1;
        if !open.to_flush {
            open.to_flush = true;
            self.turn.flush.push(connection);
        }
        frames::append(
            frame,
            packet_id_at.zip(delivery.packet_id),
            open.outbound.buffer(&mut self.pool),
        );
    }

    /// Appends a PUBLISH.
    fn send(&mut self, connection: ConnectionId, delivery: &Delivery<'_>) {
        let Some(open) = self.connections.get(connection) else { return };
        let version = open.version;
        if delivery.encoded_len(version) > open.packet_bytes_max {
            self.metrics.drops.too_large += 1;
            return;
        }
        self.metrics.publish_sent += 1;
        if let Some(buffer) = self.buffer(connection) {
            delivery.encode(version, buffer).expect("a routed message can be encoded");
        }
    }

    fn is_too_large(&self, connection: ConnectionId, delivery: &Delivery<'_>) -> bool {
        let Some(open) = self.connections.get(connection) else { return false };
        open.packet_bytes_max < usize::MAX
            && delivery.encoded_len(open.version) > open.packet_bytes_max
    }
}

/// A QoS 2 message of a kept session waits until its identifier is durable.
fn first_progress(delivered: Delivered) -> Progress {
    if delivered.logged && delivered.qos == QoS::ExactlyOnce {
        Progress::Gated
    } else {
        Progress::Sent
    }
}

/// The part of a delivery that comes from the message.
fn delivery_of<'a>(parts: &MessageParts<'a>, now: Now, qos: QoS, retain: bool) -> Delivery<'a> {
    let remaining_s = parts
        .expires_at_ms
        .map(|at| u32::try_from(at.saturating_sub(now.unix_ms).div_ceil(1000)).unwrap_or(u32::MAX));
    Delivery {
        qos,
        retain,
        end_to_end: parts.properties,
        message_expiry_interval_s: remaining_s,
        ..Delivery::new(parts.topic, parts.payload)
    }
}
