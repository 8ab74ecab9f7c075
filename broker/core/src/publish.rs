//! PUBLISH from a client, from the limits and permissions that it meets to its place with those who
//! are to get it.

use std::borrow::Cow;
use std::sync::Arc;

use weir_mqtt::{Acknowledge, PacketId, Publish, QoS, ReasonCode, Version};

use crate::authorize::Access;
use crate::change::Change;
use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::identity::ConnectionId;
use crate::input::{Publication, Route};
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::metrics::DropReason;
use crate::mount;
use crate::pressure::MemoryPressure;
use crate::reply::Reply;
use crate::router::{Origin, ToAll};
use crate::session::Received;

impl Core {
    pub(crate) fn handle_publish(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        publish: &Publish<'_>,
    ) {
        self.metrics.publish_received += 1;
        if let Some(open) = self.connections.get_mut(id) {
            open.received += 1;
        }
        self.metrics.publish_bytes_received += publish.payload.len() as u64;
        // Only servers send those [MQTT-3.3.4-6].
        if publish.properties.subscription_identifiers.iter().next().is_some() {
            return self.violation(now, id, ReasonCode::ProtocolError);
        }
        if let Some(alias) = publish.properties.topic_alias {
            if alias.get() > self.limits.topic_aliases_max {
                return self.violation(now, id, ReasonCode::TopicAliasInvalid);
            }
            let connection = self.connections.get_mut(id).expect("its packet is being handled");
            if publish.topic.is_empty() {
                let Some(topic) = connection.take_alias(alias) else {
                    return self.violation(now, id, ReasonCode::TopicAliasInvalid);
                };
                self.accept(now, id, key, &Publish { topic: &topic, ..*publish });
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.set_alias(alias, topic);
                }
                return;
            }
            connection.set_alias(alias, publish.topic.into());
        }
        self.accept(now, id, key, publish);
    }

    fn accept(&mut self, now: Now, id: ConnectionId, key: SessionKey, publish: &Publish<'_>) {
        let (delay_s, topic) = match self.delay_of(publish.topic) {
            Ok(delay) => delay,
            Err(reason) => return self.refuse_topic(now, id, publish, reason),
        };
        let whole = match &self.sessions[key as usize].mount_point {
            Some(mount_point) if !self.is_of_broker(topic) => {
                Cow::Owned(mount::topic(mount_point, topic))
            }
            _ => Cow::Borrowed(topic),
        };
        let mounted =
            publish.properties.response_topic.filter(|_| topic.starts_with('$')).and_then(
                // The rules do not know where the client stands.
                |answer| {
                    let mount_point = self.sessions[key as usize].mount_point.as_deref()?;
                    self.is_of_broker(topic).then(|| mount::topic(mount_point, answer))
                },
            );
        let mut properties = publish.properties;
        properties.response_topic = mounted.as_deref().or(properties.response_topic);
        let publish = &Publish { topic: &whole, properties, ..*publish };
        if let Err(reason) = self.check_publish(id, publish) {
            return self.violation(now, id, reason);
        }
        // While it waits for its time it is kept whatever the topic says.
        let level = if delay_s > 0 { Durability::Commit } else { self.level_of(&whole) };
        let is_too_large = publish.payload.len() > self.listener_of(id).payload_bytes_max;
        let has_room = delay_s == 0 || self.has_room_for_delayed(publish);
        let is_full = self.is_store_full();
        let Some(packet_id) = publish.packet_id else {
            if is_too_large {
                self.count_drop(now, key, DropReason::TooLarge);
            } else if self.may_publish(now, id, key, publish) {
                if !has_room {
                    self.count_drop(now, key, DropReason::QueueFull);
                } else if is_full && delay_s > 0 {
                    self.count_drop(now, key, DropReason::DiskFull);
                } else {
                    self.publish_packet(now, key, level, publish, delay_s);
                }
            }
            return;
        };
        let reply = Reply::to(publish.qos);
        let before = self.sessions[key as usize].received.get(&packet_id).copied();
        if let Some(before) = before.filter(|_| reply == Reply::Pubrec) {
            // Delivered before; only the answer was lost [MQTT-4.3.3-10], or is still to come.
            return match before {
                Received::Held(sequence) if self.wait_held(sequence, id) => {
                    self.defer(id, reply, packet_id, ReasonCode::Success, sequence);
                }
                _ => self.reply(id, reply, packet_id, ReasonCode::Success, false),
            };
        }
        if !self.begin_exchange(now, id) {
            return;
        }
        if is_too_large {
            self.count_drop(now, key, DropReason::TooLarge);
            return self.refuse_publish(id, reply, packet_id, ReasonCode::QuotaExceeded);
        }
        if !self.may_publish(now, id, key, publish) {
            return self.refuse_publish(id, reply, packet_id, ReasonCode::NotAuthorized);
        }
        if !has_room {
            return self.refuse_for_now(id, reply, packet_id);
        }
        if is_full && self.needs_room(key, publish, delay_s) {
            self.count_drop(now, key, DropReason::DiskFull);
            return self.refuse_for_room(id, reply, packet_id);
        }
        let level = self.level_with_room(id, level, publish);
        let changes_before = self.durable_changes();
        if reply == Reply::Pubrec {
            let session = &mut self.sessions[key as usize];
            let is_recorded = session.stored && level.is_written();
            let known = if is_recorded { Received::Recorded } else { Received::Unrecorded };
            session.received.insert(packet_id, known);
            if is_recorded {
                let change = Change::ReceivedPut { session: session.id, packet_id };
                self.record_at(level, change);
            }
        }
        let matched = self.publish_packet(now, key, level, publish, delay_s);
        let durable = self.durable_changes() > changes_before;
        let reason = if matched { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        match level {
            Durability::Commit => self.reply(id, reply, packet_id, reason, durable),
            Durability::None | Durability::Relaxed => {
                self.metrics.publish_acknowledged_early += 1;
                self.reply_at_once(id, reply, packet_id, reason);
            }
            Durability::Upstream => match self.turn.held.take() {
                Some(sequence) => {
                    if reply == Reply::Pubrec {
                        let received = &mut self.sessions[key as usize].received;
                        received.insert(packet_id, Received::Held(sequence));
                    }
                    self.wait_held(sequence, id);
                    self.defer(id, reply, packet_id, reason, sequence);
                }
                None => self.reply_at_once(id, reply, packet_id, reason),
            },
        }
    }

    pub(crate) fn handle_pubrel(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        acknowledge: &Acknowledge<'_>,
    ) {
        let packet_id = acknowledge.packet_id;
        let session = &mut self.sessions[key as usize];
        let known = session.received.remove(&packet_id);
        let session = session.id;
        match known {
            // Whatever the level was: once PUBCOMP is out the client may use the identifier for
            // another message, and the store must not take that for this one.
            Some(Received::Recorded) => {
                self.record(Change::ReceivedRemoved { session, packet_id });
                self.reply(id, Reply::Pubcomp, packet_id, ReasonCode::Success, true);
            }
            Some(Received::Held(_) | Received::Unrecorded) => {
                self.reply_at_once(id, Reply::Pubcomp, packet_id, ReasonCode::Success);
            }
            None => {
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.reply(id, Reply::Pubcomp, packet_id, reason, false);
            }
        }
    }

    /// Takes a place of the client's quota. An MQTT 5 client that has none left breaks its
    /// contract [MQTT-3.3.4-7]; an older one has no quota.
    pub(crate) fn begin_exchange(&mut self, now: Now, id: ConnectionId) -> bool {
        let window = self.inflight_window(id);
        let Some(connection) = self.connections.get_mut(id) else { return false };
        if connection.version == Version::V5 {
            connection.exchanges += 1;
            if connection.exchanges > u32::from(window) {
                self.violation(now, id, ReasonCode::ReceiveMaximumExceeded);
                return false;
            }
        }
        true
    }

    pub(crate) fn refuse_publish(
        &mut self,
        id: ConnectionId,
        reply: Reply,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let version = self.connections.get(id).map(|connection| connection.version);
        // 3.x has no way to refuse: the message is acknowledged and goes nowhere, as the
        // standard allows [MQTT-3.3.5-2].
        self.reply(id, reply, packet_id, reason, false);
        if version == Some(Version::V5) && reply == Reply::Pubrec {
            self.end_exchange(id);
        }
    }

    /// Refuses a message that may be taken later. A client of 3.x, which cannot be told, gets no
    /// answer: it keeps the message and offers it again.
    fn refuse_for_now(&mut self, id: ConnectionId, reply: Reply, packet_id: PacketId) {
        let version = self.connections.get(id).map(|connection| connection.version);
        if version == Some(Version::V5) {
            self.refuse_publish(id, reply, packet_id, ReasonCode::QuotaExceeded);
        }
    }

    fn check_publish(&self, id: ConnectionId, publish: &Publish<'_>) -> Result<(), ReasonCode> {
        if publish.qos > self.qos_max(id) {
            return Err(ReasonCode::QoSNotSupported);
        }
        if publish.retain && !self.retain_available(id) {
            // [MQTT-3.2.2-14]
            return Err(ReasonCode::RetainNotSupported);
        }
        let topic = publish.topic;
        let levels = || topic.bytes().filter(|byte| *byte == b'/').count() + 1;
        if topic.len() > self.limits.topic_bytes_max || levels() > self.limits.topic_levels_max {
            return Err(ReasonCode::TopicNameInvalid);
        }
        Ok(())
    }

    /// Whether a client may publish to a topic; it is counted when not.
    fn may_publish(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        publish: &Publish<'_>,
    ) -> bool {
        let topic = publish.topic;
        let allowed = (!self.is_of_broker(topic) || self.is_question(key, publish))
            && self.sessions[key as usize].may(Access::Write, topic);
        if !allowed {
            self.count_drop(now, key, DropReason::Acl);
            self.tell_denied(id, key, Access::Write, topic);
        }
        allowed
    }

    /// Publishes a message, or lets it wait for its time; true when anybody wants it, as far as is
    /// known.
    fn publish_packet(
        &mut self,
        now: Now,
        key: SessionKey,
        level: Durability,
        publish: &Publish<'_>,
        delay_s: u32,
    ) -> bool {
        let mut properties = std::mem::take(&mut self.properties);
        properties.clear();
        publish
            .properties
            .encode_end_to_end(&mut properties)
            .expect("properties that were decoded can be encoded");
        let expiry_s = publish.properties.message_expiry_interval_s;
        let publisher = self.publisher(key);
        let parts = MessageParts {
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms: expiry_s.map(|seconds| now.unix_ms + u64::from(seconds) * 1000),
            received_at_ms: now.unix_ms,
            publisher: publisher.as_deref().unwrap_or_default(),
            topic: publish.topic,
            properties: &properties,
            payload: publish.payload,
        };
        let matched = if delay_s > 0 {
            // Its time begins when it is published.
            let parts = MessageParts { expires_at_ms: None, ..parts };
            self.delay(now, &parts, delay_s, expiry_s);
            true
        } else if self.is_of_broker(publish.topic) {
            self.ask_rules(&parts, Origin { session: Some(key), ..Origin::default() })
        } else {
            // Without room QoS 0 is for those who are there.
            let is_unkept = publish.qos == QoS::AtMostOnce && self.is_store_full();
            let origin = Origin { session: Some(key), is_unkept, ..Origin::default() };
            self.publish_at(now, level, &parts, origin)
        };
        self.properties = properties;
        // Before it is acknowledged: what became of it is durable with the rest.
        self.publish_dead_letters(now);
        matched
    }

    /// The client identifier of a session, if any reader wants to know publishers.
    pub(crate) fn publisher(&self, key: SessionKey) -> Option<Arc<str>> {
        self.names_publishers.then(|| self.sessions[key as usize].client_id.clone())
    }

    /// A message from inside the broker.
    pub(crate) fn handle_publication(&mut self, now: Now, publication: &Publication<'_>) {
        match publication.route {
            Route::Reader(reader) => self.append_for_reader(reader, &publication.message),
            Route::RetainedNews { origin } => {
                self.publish_retained_news(now, &publication.message, origin);
            }
            Route::Subscribers { origin } if self.was_handed(&publication.message, origin) => {}
            Route::Subscribers { origin } => {
                // What a rule sends comes with the state that it was computed from. Before that is
                // durable nobody may see it: after a crash it might never have been.
                let is_provisional = origin.is_none() && self.durable_changes() > 0;
                let session = self.publisher_elsewhere(origin, publication.message.publisher);
                let origin =
                    Origin { session, reader: origin, is_provisional, ..Origin::default() };
                self.publish(now, &publication.message, origin);
            }
        }
    }

    /// Retains a message if it is flagged, and routes it; true when anybody wanted it.
    pub(crate) fn publish(&mut self, now: Now, parts: &MessageParts<'_>, origin: Origin) -> bool {
        let level = self.level_inside(parts.topic);
        self.publish_at(now, level, parts, origin)
    }

    fn publish_at(
        &mut self,
        now: Now,
        level: Durability,
        parts: &MessageParts<'_>,
        mut origin: Origin,
    ) -> bool {
        if let Some(watch) = &mut self.topic_watch {
            watch.note(parts);
        }
        let is_retained =
            parts.retain && self.limits.retain_available && !self.is_outdated(parts, origin);
        let (mut retained, mut to_all) = (None, None);
        if is_retained {
            // Whatever has become of the level for want of room.
            let level = self.retained_level(level, parts.topic);
            if self.has_room_to_retain(now, level, parts, origin) {
                (retained, origin) = self.retain_here(now, level, parts, origin);
                to_all = self.retained_version(parts).map(ToAll::Retained);
            }
        }
        let level = if origin.is_unkept { Durability::None } else { level };
        self.route(now, level, parts, Origin { to_all, ..origin }, retained)
    }

    /// Whether the retained message of a topic may be another one.
    pub(crate) fn has_room_to_retain(
        &mut self,
        now: Now,
        level: Durability,
        parts: &MessageParts<'_>,
        origin: Origin,
    ) -> bool {
        if parts.payload.is_empty() {
            return true;
        }
        let is_full = self.retained.count() >= self.limits.retained_messages_max
            || self.pressure >= MemoryPressure::LeavesOnDisk;
        let reason = if origin.is_unkept && level.is_written() && !self.replaces_retained(parts) {
            DropReason::DiskFull
        } else if is_full && !self.retained.contains(parts.topic) {
            DropReason::RetainedFull
        } else {
            return true;
        };
        match origin.session {
            Some(key) => self.count_drop(now, key, reason),
            None => self.metrics.drops.count(reason),
        }
        false
    }

    /// Retains a message, unless it removes the one before and is not kept itself
    /// [MQTT-3.3.1-6].
    pub(crate) fn retain(
        &mut self,
        level: Durability,
        parts: &MessageParts<'_>,
    ) -> Option<Message> {
        if parts.payload.is_empty() {
            // Also when there is none: whatever removed it may not be durable yet.
            let is_news = self.retained.remove(parts.topic) || parts.qos > QoS::AtMostOnce;
            if is_news && self.records_retained() {
                self.record_at(level, Change::RetainedRemoved { topic: parts.topic.into() });
            }
            return None;
        }
        let parts = MessageParts { publisher: "", ..*parts };
        let message = Message::new(&parts, &mut self.scratch);
        self.retained.put(message.clone());
        if self.records_retained() {
            self.record_at(level, Change::RetainedPut { message: message.clone() });
        }
        Some(message)
    }
}
