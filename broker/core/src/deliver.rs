//! From the broker to a client: at once, into the queue, and out of it again.
//!
//! A message goes out at once only when nothing waits before it; otherwise it takes its turn in
//! the session's queue. A QoS 2 message of a kept session goes out when its identifier is
//! durable, because a client may keep identifiers for longer than a broker lives.

use weir_mqtt::{Delivery, PacketId, QoS, ReasonCode};

use crate::authorize::Access;
use crate::change::{Change, Destination, InflightState, Target};
use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::frames;
use crate::gate::Gated;
use crate::handover;
use crate::identity::{ConnectionId, Sequence, SessionId};
use crate::inflight::{Delivered, Inflight, Progress};
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::metrics::DropReason;
use crate::pressure::MemoryPressure;
use crate::reply::Reply;
use crate::router::{Match, Routing};

impl Core {
    /// Gives a message that is being routed to one session.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        key: SessionKey,
        found: &Match,
        routing: &mut Routing<'_>,
    ) {
        let level = routing.level;
        let qos = self.qos_at(level, key, self.outgoing_qos(key, found.qos, routing.parts.qos));
        let retain = found.retain_as_published && routing.parts.retain;
        if qos == QoS::AtMostOnce {
            return self.send_unqueued(now, key, found, retain, routing);
        }
        let message = routing.message(self);
        let sequence = routing.sequence(self);
        let identifiers = handover::identifiers_of(found.share, &found.identifiers);
        let delivered = Delivered {
            sequence,
            identifier: self.keep_identifiers(key, sequence, &identifiers),
            qos,
            retain,
            logged: self.is_logged(level, key, qos),
            replay: false,
        };
        let packet_id = match self.can_send_at_once(key, message.len()) {
            Some(connection)
                if self.is_too_large_routed(key, connection, &delivered, found, routing) =>
            {
                // Dropped as if it had been delivered [MQTT-3.1.2-25].
                self.lose(now, key, DropReason::TooLarge, routing.parts);
                self.sessions[key as usize].identifiers.remove(sequence);
                return;
            }
            Some(connection) => self.send_at_once(now, key, connection, delivered, found, routing),
            None => None,
        };
        if packet_id.is_some() {
            self.log.hold(sequence, &message, message.len());
        } else if !self.enqueue_held(now, key, delivered, &message) {
            return;
        }
        if delivered.logged {
            routing.targets.push(Target {
                destination: Destination::Session(self.sessions[key as usize].id),
                qos,
                retain,
                packet_id,
                subscription_identifiers: identifiers,
            });
        }
    }

    /// Sends what waits, as far as the client's window and buffer have room.
    pub(crate) fn pump(&mut self, now: Now, key: SessionKey) {
        loop {
            let session = &self.sessions[key as usize];
            let Some(connection) = session.connection else { return };
            if !self.has_buffer_room(connection, MemoryPressure::LeavesOnDisk) {
                return;
            }
            if let Some(entry) = session.inflight.first_waiting() {
                if session.inflight.on_wire() >= session.window {
                    return;
                }
                let Some(message) = self.log.message(entry.delivery.sequence).cloned() else {
                    return self.await_messages(key);
                };
                self.send_waiting(now, key, connection, entry, &message);
                continue;
            }
            let Some(&next) = session.queue.front() else {
                if self.take_over(key) {
                    continue;
                }
                return self.go_on_with_history(key);
            };
            // What waits at the gate has a place in the window already.
            if next.qos > QoS::AtMostOnce && session.inflight.len() >= session.window {
                return;
            }
            // And it is not overtaken by what need not wait there.
            if next.qos > QoS::AtMostOnce
                && session.inflight.has_gated()
                && self.waits_for(next).is_none()
            {
                return;
            }
            let Some(message) = self.log.message(next.sequence).cloned() else {
                return self.await_messages(key);
            };
            if next.qos > QoS::AtMostOnce && !self.has_window_room(session, message.len()) {
                return;
            }
            self.dequeue(key, 0);
            self.send_dequeued(now, key, connection, next, &message);
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

    /// The QoS at which a session gets a message of this level. QoS 2 to a kept session needs an
    /// identifier that is written: its client may remember one for longer than a broker lives, and
    /// would take another message with it for the same.
    pub(crate) fn qos_at(&self, level: Durability, key: SessionKey, qos: QoS) -> QoS {
        let is_kept = self.sessions[key as usize].stored;
        if is_kept && !level.is_written() { qos.min(QoS::AtLeastOnce) } else { qos }
    }

    /// Whether the store is to have a message for a session.
    pub(crate) fn is_logged(&self, level: Durability, key: SessionKey, qos: QoS) -> bool {
        self.sessions[key as usize].stored && qos > QoS::AtMostOnce && level.is_written()
    }

    /// The connection of a session for which nothing has to wait.
    fn can_send_at_once(&self, key: SessionKey, bytes: usize) -> Option<ConnectionId> {
        let session = &self.sessions[key as usize];
        let connection = session.connection?;
        let free = session.queue.is_empty()
            && session.inflight.first_waiting().is_none()
            && self.has_window_room(session, bytes)
            && self.has_buffer_room(connection, MemoryPressure::LeavesOnDisk);
        free.then_some(connection)
    }

    fn has_buffer_room(&self, connection: ConnectionId, acts_at: MemoryPressure) -> bool {
        let open = self.connections.get(connection);
        open.is_some_and(|open| open.outbound.len() < self.send_buffer_bytes_max(acts_at))
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
        let Some(connection) = self.sessions[key as usize].connection else {
            if self.queues_qos0(key) {
                self.hold_unqueued(now, key, found, retain, routing);
            }
            return;
        };
        let has_room = self.has_buffer_room(connection, MemoryPressure::ShedsQos0);
        if has_room && self.sessions[key as usize].held_back > 0 {
            self.pump(now, key);
        }
        let session = &self.sessions[key as usize];
        if session.replays == 0 && !has_room {
            self.count_drop(now, key, DropReason::SlowQos0);
            return;
        }
        if session.replays > 0 || session.held_back > 0 {
            return self.hold_unqueued(now, key, found, retain, routing);
        }
        let delivery = self.delivery_of(key, routing.parts, now, QoS::AtMostOnce, retain);
        let delivery = Delivery { subscription_identifiers: &found.identifiers, ..delivery };
        if !self.send_routed(connection, &delivery) {
            self.lose(now, key, DropReason::TooLarge, routing.parts);
        }
    }

    /// Lets a QoS 0 message wait.
    fn hold_unqueued(
        &mut self,
        now: Now,
        key: SessionKey,
        found: &Match,
        retain: bool,
        routing: &mut Routing<'_>,
    ) {
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
        self.enqueue_held(now, key, delivery, &message);
    }

    /// Begins a QoS 1 or 2 delivery; the answer is its identifier.
    fn send_at_once(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        delivered: Delivered,
        found: &Match,
        routing: &mut Routing<'_>,
    ) -> Option<PacketId> {
        let bytes = routing.message(self).len();
        let waits_for = self.waits_for(delivered);
        let session = &mut self.sessions[key as usize];
        let progress = if waits_for.is_some() { Progress::Gated } else { Progress::Sent };
        let packet_id = session.inflight.push(delivered, progress, bytes)?;
        if let Some(batch) = waits_for {
            let session = session.id;
            self.wait_for(batch, Gated::Deliver { session, packet_id });
        } else {
            let delivery = Delivery {
                packet_id: Some(packet_id),
                subscription_identifiers: &found.identifiers,
                ..self.delivery_of(key, routing.parts, now, delivered.qos, delivered.retain)
            };
            let is_sent = self.send_routed(connection, &delivery);
            debug_assert!(is_sent, "its length was checked");
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
        message: &Message,
    ) {
        let identifiers = self.sessions[key as usize].identifiers_of(&entry.delivery);
        let parts = message.parts();
        let delivery = Delivery {
            dup: entry.sent_before,
            packet_id: Some(entry.packet_id),
            subscription_identifiers: &identifiers,
            ..self.delivery_of(key, &parts, now, entry.delivery.qos, entry.delivery.retain)
        };
        let is_too_large = self.is_too_large(connection, &delivery);
        // Once it was sent it does not expire any more [MQTT-4.3.3-7].
        let is_expired = !entry.sent_before && message.is_expired(now.unix_ms);
        let is_denied = !self.sessions[key as usize].may(Access::Read, parts.topic);
        if is_denied || is_too_large || is_expired {
            let reason = match (is_denied, is_too_large) {
                (true, _) => DropReason::Acl,
                (_, true) => DropReason::TooLarge,
                _ => DropReason::Expired,
            };
            self.lose_waiting(now, key, reason, entry.delivery, message);
            self.sessions[key as usize].inflight.finish(entry.packet_id);
            self.forget_identifier(key, entry.packet_id, entry.delivery);
            return self.settle(key, entry.delivery);
        }
        self.sessions[key as usize].inflight.advance(entry.packet_id, Progress::Sent);
        let is_sent = self.send(connection, &delivery);
        debug_assert!(is_sent, "its length was checked");
    }

    /// Sends a message that has just left the queue, or drops it if its time is over or the
    /// client would not take it.
    fn send_dequeued(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        delivered: Delivered,
        message: &Message,
    ) {
        let parts = message.parts();
        let identifiers = self.sessions[key as usize].identifiers_of(&delivered);
        let delivery = Delivery {
            subscription_identifiers: &identifiers,
            ..self.delivery_of(key, &parts, now, delivered.qos, delivered.retain)
        };
        if message.is_expired(now.unix_ms) {
            self.lose_waiting(now, key, DropReason::Expired, delivered, message);
            return self.settle(key, delivered);
        }
        if !self.sessions[key as usize].may(Access::Read, parts.topic) {
            // It has waited since before its client came back, or an ACL was changed.
            self.count_drop(now, key, DropReason::Acl);
            return self.settle(key, delivered);
        }
        if self.is_too_large(connection, &delivery) {
            self.lose_waiting(now, key, DropReason::TooLarge, delivered, message);
            return self.settle(key, delivered);
        }
        if delivered.qos == QoS::AtMostOnce {
            let is_sent = self.send(connection, &delivery);
            debug_assert!(is_sent, "its length was checked");
            return self.settle(key, delivered);
        }
        let waits_for = self.waits_for(delivered);
        let session = &mut self.sessions[key as usize];
        let progress = if waits_for.is_some() { Progress::Gated } else { Progress::Sent };
        let packet_id = session
            .inflight
            .push(delivered, progress, message.len())
            .expect("a window with room has an identifier");
        let id = session.id;
        if delivered.logged {
            let state = InflightState::Sent { sequence: delivered.sequence };
            self.record_unawaited(Change::InflightPut { session: id, packet_id, state });
            self.cursor_moved(key);
        }
        if let Some(batch) = waits_for {
            self.wait_for(batch, Gated::Deliver { session: id, packet_id });
        } else {
            let delivery = Delivery { packet_id: Some(packet_id), ..delivery };
            let is_sent = self.send(connection, &delivery);
            debug_assert!(is_sent, "its length was checked");
        }
    }

    /// The batch that a QoS 1 or 2 message waits for before its first sending: QoS 2 of a kept
    /// session for its identifier, what a rule has sent for the state that it came from.
    fn waits_for(&self, delivered: Delivered) -> Option<u64> {
        if delivered.logged && delivered.qos == QoS::ExactlyOnce {
            return Some(self.turn.batch);
        }
        let batch = self.rests_on(delivered.sequence)?;
        Some(self.gate.last_batch().map_or(batch, |last| last.max(batch)))
    }

    /// The batch with what a message came from, while that is not durable.
    pub(crate) fn rests_on(&self, sequence: Sequence) -> Option<u64> {
        let place = self.provisional.binary_search_by_key(&sequence, |(_, known)| *known).ok()?;
        // One that went to another member stands behind others that rest on later batches.
        let (batch, _) = self.provisional.get(place)?;
        Some(*batch).filter(|batch| !self.gate.is_committed(*batch))
    }

    /// Appends a PUBLISH of the message that is being routed; the frame is shared with everybody
    /// who gets the same bytes. False when it is too long for the client.
    fn send_routed(&mut self, connection: ConnectionId, delivery: &Delivery<'_>) -> bool {
        let Some(open) = self.connections.get_mut(connection) else { return true };
        let is_alone = open.is_mounted || open.outbound_aliases.are_taken();
        if is_alone || !delivery.subscription_identifiers.is_empty() {
            return self.send(connection, delivery);
        }
        let (frame, packet_id_at) = self.frames.frame(delivery, open.version);
        if frame.len() > open.packet_bytes_max {
            return false;
        }
        self.metrics.packets_sent += 1;
        self.metrics.publish_sent += 1;
        self.metrics.publish_bytes_sent += delivery.payload.len() as u64;
        open.sent += 1;
        if !open.to_flush {
            open.to_flush = true;
            self.turn.flush.push(connection);
        }
        frames::append(
            frame,
            packet_id_at.zip(delivery.packet_id),
            open.outbound.buffer(&mut self.pool),
        );
        open.outbound.count_packet();
        true
    }

    /// Appends a PUBLISH. False when it is too long for the client.
    fn send(&mut self, connection: ConnectionId, delivery: &Delivery<'_>) -> bool {
        let Some(open) = self.connections.get_mut(connection) else { return true };
        let version = open.version;
        if delivery.encoded_len(version) > open.packet_bytes_max {
            return false;
        }
        let delivery = open.outbound_aliases.shorten(*delivery, open.packet_bytes_max);
        open.sent += 1;
        self.metrics.publish_sent += 1;
        self.metrics.publish_bytes_sent += delivery.payload.len() as u64;
        if let Some(buffer) = self.buffer(connection) {
            delivery.encode(version, buffer).expect("a routed message can be encoded");
            self.packet_sent(connection);
        }
        true
    }

    /// Whether the client takes no packet of this length; the identifier may still be missing.
    fn is_too_large(&self, connection: ConnectionId, delivery: &Delivery<'_>) -> bool {
        let Some(open) = self.connections.get(connection) else { return false };
        let packet_id = (delivery.qos > QoS::AtMostOnce).then_some(ANY_PACKET_ID);
        open.packet_bytes_max < usize::MAX
            && Delivery { packet_id, ..*delivery }.encoded_len(open.version) > open.packet_bytes_max
    }

    fn is_too_large_routed(
        &self,
        key: SessionKey,
        connection: ConnectionId,
        delivered: &Delivered,
        found: &Match,
        routing: &Routing<'_>,
    ) -> bool {
        let Delivered { qos, retain, .. } = *delivered;
        // The value of the expiry does not change the length.
        let delivery = self.delivery_of(key, routing.parts, Now::default(), qos, retain);
        let subscription_identifiers = &*found.identifiers;
        self.is_too_large(connection, &Delivery { subscription_identifiers, ..delivery })
    }

    /// The part of a delivery that comes from the message, as the client of a session sees it.
    fn delivery_of<'a>(
        &self,
        key: SessionKey,
        parts: &MessageParts<'a>,
        now: Now,
        qos: QoS,
        retain: bool,
    ) -> Delivery<'a> {
        let remaining_s = parts.expires_at_ms.map(|at| {
            u32::try_from(at.saturating_sub(now.unix_ms).div_ceil(1000)).unwrap_or(u32::MAX)
        });
        let topic = self.sessions[key as usize].shown(parts.topic);
        Delivery {
            qos,
            retain,
            end_to_end: parts.properties,
            message_expiry_interval_s: remaining_s,
            ..Delivery::new(topic, parts.payload)
        }
    }
}

/// Stands for an identifier where only its length matters.
const ANY_PACKET_ID: PacketId = PacketId::new(1).expect("one is not zero");
