//! CONNECT: takeover, clean start, what the client is told, and its session.
//!
//! A kept session exists for its client only once the store has it, so CONNACK of one waits at
//! the gate, and whatever the client sends behind CONNECT waits with it.

use std::borrow::Cow;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use weir_mqtt::{
    Connack, ConnackProperties, Connect, DecodeError, Packet, QoS, ReasonCode, TopicName, Version,
    Will,
};

use crate::alias::OutboundAliases;
use crate::authorize::{Access, Permissions};
use crate::change::WillRecord;
use crate::clock::Now;
use crate::connection::State;
use crate::core::Core;
use crate::effect::{Denial, Effect};
use crate::explanation::{self, Refusal};
use crate::gate::Gated;
use crate::identity::{ConnectionId, SessionId};
use crate::key::SessionKey;
use crate::mount;
use crate::pressure::MemoryPressure;
use crate::room::NO_ROOM;
use crate::schedule::Delay;
use crate::session::Session;
use crate::timer::Timer;

/// A client identifier of MQTT 3.1 has at most this many characters.
const CLIENT_ID_CHARACTERS_MAX_V31: usize = 23;
/// Longest client identifier, bytes.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// No CONNACK of an accepted CONNECT is longer, bytes, but for the response information and for
/// what a method of authentication says.
const CONNACK_BYTES_MAX: usize = 52;
/// The assigned client identifier in it, bytes.
const ASSIGNED_BYTES: usize = 24;
/// A CONNACK that refuses, without an explanation, bytes.
const REFUSAL_BYTES: usize = 5;
const FOR_EVER: u32 = u32::MAX;

impl Core {
    pub(crate) fn handle_connect(&mut self, now: Now, id: ConnectionId, connect: &Connect<'_>) {
        if let Some(connection) = self.connections.get_mut(id) {
            let properties = &connect.properties;
            connection.version = connect.version;
            connection.packet_bytes_max =
                properties.maximum_packet_size.map_or(usize::MAX, |max| max.get() as usize);
            connection.wants_explanations = properties.request_problem_information != Some(false);
        }
        let mount_point = self.listener_of(id).mount_point.clone();
        let will_topic = connect.will.map(|will| match &mount_point {
            Some(mount_point) if self.takes_will(will.topic).is_ok() => {
                Cow::Owned(mount::topic(mount_point, will.topic))
            }
            _ => Cow::Borrowed(will.topic),
        });
        let will = connect.will.zip(will_topic.as_deref());
        let will = will.map(|(will, topic)| Will { topic, ..will });
        let connect = &Connect { will, ..*connect };
        if let Err(reason) = self.check_connect(id, connect) {
            return self.refuse(id, reason);
        }
        if self.is_store_full() && self.needs_session_room(connect) {
            return self.refuse_because(id, ReasonCode::QuotaExceeded, Some(NO_ROOM));
        }
        let Some(identity) = self.identify(id, connect) else {
            return self.authenticate(id, connect);
        };
        let assigned = connect.client_id.is_empty().then(|| self.assign_client_id());
        let client_id: Arc<str> = assigned.clone().unwrap_or_else(|| connect.client_id.into());
        let permissions = Permissions::of(&identity, &client_id, self.acl.as_ref());
        let may_write = |topic| permissions.as_ref().is_none_or(|p| p.allow(Access::Write, topic));
        if let Some(will) = connect.will.filter(|will| !may_write(will.topic)) {
            let (username, access, topic) = (identity.username, Access::Write, will.topic);
            let line = permissions.as_ref().and_then(|known| known.rule_on(access, topic).line);
            let denial = Denial { client_id, username, access, topic: topic.into(), line };
            let denial = Box::new(denial);
            self.turn.effects.push(Effect::Denied { connection: id, denial });
            return self.refuse(id, ReasonCode::NotAuthorized);
        }
        let changes_before = self.durable_changes();
        let last_word = self.take_last_word(id);
        if identity.username.is_none() {
            let client_id = client_id.clone();
            self.turn.effects.push(Effect::Admitted { connection: id, client_id });
        }
        let (key, present) = self.claim_session(now, &client_id, connect);
        let qos_max = self.qos_max(id);
        let listener = self.connections.get(id).map(|open| open.listener);
        let session = &mut self.sessions[key as usize];
        session.identify(identity);
        (session.mount_point, session.listener, session.qos_max) = (mount_point, listener, qos_max);
        self.apply_permissions(key, permissions);
        self.apply_connect(now, id, key, connect);
        self.write_connack(id, connect, assigned.as_deref(), last_word.as_deref(), present);
        self.arm_credentials(now, id);
        self.record_session(key);
        // A session that is not kept has no record, so there is nothing to wait for, unless an
        // older one of the same name had to go.
        let changed = self.durable_changes() > changes_before;
        let waits_for = changed.then_some(self.turn.batch);
        match waits_for.or_else(|| self.gate.removal_of(&client_id)) {
            Some(batch) => self.wait_for(batch, Gated::Connect { connection: id }),
            None => self.open_session(now, id),
        }
    }

    /// CONNECT is durable: CONNACK goes out, then what waited for the client.
    pub(crate) fn open_session(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let State::Connecting(key) = connection.state else { return };
        connection.state = State::Open(key);
        let silence = Some(connection.silence_ms_max.into()).filter(|silence| *silence > 0);
        self.arm(id, silence.map(|silence| (now.monotonic + silence, Timer::KeepAlive(id))));
        self.begin_allowance(now, id);
        // CONNACK has waited in the buffer.
        self.buffer(id);
        self.sessions[key as usize].connection = Some(id);
        self.groups_changed(key);
        let metrics = &mut self.metrics;
        metrics.clients_connected += 1;
        metrics.clients_connected_max =
            metrics.clients_connected_max.max(metrics.clients_connected);
        self.resume_deliveries(now, key);
        self.resume(now, id);
    }

    /// A CONNECT that cannot be decoded: 3.1.1 gets 0x01 for a version that does not exist
    /// [MQTT-3.1.2-2], 5.0 a CONNACK that names the error.
    pub(crate) fn refuse_frame(
        &mut self,
        now: Now,
        id: ConnectionId,
        frame: &[u8],
        error: &DecodeError,
    ) {
        let reason = error.reason();
        match Connect::peek_version(frame) {
            Some(Version::V5) => {
                // How long an answer it takes was not understood either.
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.version = Version::V5;
                    connection.packet_bytes_max = REFUSAL_BYTES;
                }
                self.refuse(id, reason);
            }
            _ if reason == ReasonCode::UnsupportedProtocolVersion => self.refuse(id, reason),
            _ => self.violation(now, id, reason),
        }
    }

    pub(crate) fn refuse(&mut self, id: ConnectionId, reason: ReasonCode) {
        self.refuse_because(id, reason, None);
    }

    fn refuse_because(&mut self, id: ConnectionId, reason: ReasonCode, why: Option<Refusal>) {
        let Some(connection) = self.connections.get(id) else { return };
        let mut frame = Vec::new();
        let connack = Packet::Connack(Connack::refusal(reason));
        let is_encoded = explanation::encode_because(&connack, why, connection, &mut frame).is_ok();
        // Nothing fits a client that takes less [MQTT-3.1.2-24].
        if is_encoded && frame.len() <= connection.packet_bytes_max {
            self.write(id, &frame);
        }
        self.metrics.violations += 1;
        self.close(id);
    }

    fn check_connect(&self, id: ConnectionId, connect: &Connect<'_>) -> Result<(), ReasonCode> {
        let listener = self.listener_of(id);
        if !listener.versions.contains(&connect.version) {
            return Err(ReasonCode::UnsupportedProtocolVersion);
        }
        if let Some(reason) = self.check_exchange(id, connect) {
            return Err(reason);
        }
        let allow_anonymous = listener.allow_anonymous.unwrap_or(self.limits.allow_anonymous);
        if !allow_anonymous && !self.has_credentials(id, connect) {
            return Err(ReasonCode::NotAuthorized);
        }
        let elsewhere = self.peers.census();
        if self.connections.count() + elsewhere.connections > self.limits.connections_max
            || self.pressure >= MemoryPressure::RefusesClients
            || (self.sessions.len() + elsewhere.sessions >= self.limits.sessions_max
                && self.session_of(connect.client_id).is_none())
        {
            return Err(ReasonCode::QuotaExceeded);
        }
        let client_id = connect.client_id;
        let too_long = client_id.len() > CLIENT_ID_BYTES_MAX
            || (connect.version == Version::V31
                && client_id.chars().count() > CLIENT_ID_CHARACTERS_MAX_V31);
        // Without an identifier there is nothing to find a kept session by [MQTT-3.1.3-8].
        let nameless_kept = client_id.is_empty()
            && (!listener.allow_empty_client_id
                || connect.version == Version::V31
                || (connect.version == Version::V311 && !connect.clean_start));
        if too_long || nameless_kept {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        let assigned = if client_id.is_empty() { 0 } else { ASSIGNED_BYTES };
        let longest = CONNACK_BYTES_MAX - assigned + self.exchange_bytes(id, connect);
        let takes_connack = |max: NonZeroU32| max.get() as usize >= longest;
        if !connect.properties.maximum_packet_size.is_none_or(takes_connack) {
            // Its answer would be too long for it [MQTT-3.1.2-24].
            return Err(ReasonCode::PacketTooLarge);
        }
        match &connect.will {
            // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
            Some(will) if will.qos > self.qos_max(id) => Err(ReasonCode::QoSNotSupported),
            Some(will) if will.retain && !self.retain_available(id) => {
                Err(ReasonCode::RetainNotSupported)
            }
            Some(will) if will.payload.len() > listener.payload_bytes_max => {
                Err(ReasonCode::PacketTooLarge)
            }
            Some(will) if self.check_topic(will.topic).is_err() => {
                Err(ReasonCode::TopicNameInvalid)
            }
            Some(will) => self.takes_will(will.topic),
            None => Ok(()),
        }
    }

    /// Whether a topic, as clients name it, may be one of a will.
    fn takes_will(&self, topic: &str) -> Result<(), ReasonCode> {
        match Delay::parse(topic) {
            _ if self.is_of_broker(topic) => Err(ReasonCode::NotAuthorized),
            Ok(None) => Ok(()),
            // A will has a delay of its own.
            _ => Err(ReasonCode::TopicNameInvalid),
        }
    }

    /// Whether a client may use a topic name at all.
    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), ReasonCode> {
        let levels = topic.bytes().filter(|byte| *byte == b'/').count() + 1;
        if topic.len() > self.limits.topic_bytes_max
            || levels > self.limits.topic_levels_max
            || TopicName::parse(topic).is_err()
        {
            return Err(ReasonCode::TopicNameInvalid);
        }
        Ok(())
    }

    fn assign_client_id(&mut self) -> Arc<str> {
        loop {
            let name: Arc<str> = format!("auto-{:016x}", self.random.next()).into();
            if self.session_of(&name).is_none() && self.home_elsewhere(&name).is_none() {
                return name;
            }
        }
    }

    /// The session for a client, and whether it was there before. Its old connection is taken
    /// over [MQTT-3.1.4-3]; an old session that is not wanted any more ends.
    fn claim_session(
        &mut self,
        now: Now,
        client_id: &Arc<str>,
        connect: &Connect<'_>,
    ) -> (SessionKey, bool) {
        if let Some(key) = self.session_of(client_id) {
            match self.connection_of(key) {
                Some(old) => self.disconnect(now, old, ReasonCode::SessionTakenOver),
                None => self.check_overdue(now, key),
            }
            // That may have ended the session: one that is not kept does not outlive its
            // connection, and one whose time is over is not gone on with.
            match self.session_of(client_id) {
                Some(key) if !connect.clean_start => return (key, true),
                Some(key) => self.end_session(now, key),
                None => {}
            }
        }
        let id = self.next_session_id();
        let session = Session::new(id, client_id.clone(), connect.version);
        let key = SessionKey::try_from(self.sessions.insert(session))
            .expect("memory ends before the sessions do");
        self.clients.insert(key, &self.sessions);
        self.session_keys.insert(id, key);
        (key, false)
    }

    /// A number that no session and no delayed message has.
    pub(crate) fn next_session_id(&mut self) -> SessionId {
        loop {
            let id = SessionId(self.next_session);
            self.next_session = self.next_session.checked_add(1).unwrap_or(1);
            if !self.session_keys.contains_key(&id) && !self.schedule.contains(id) {
                return id;
            }
        }
    }

    /// The connection that serves a session, or is about to.
    fn connection_of(&self, key: SessionKey) -> Option<ConnectionId> {
        self.sessions[key as usize].claimed_by
    }

    fn apply_connect(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        connect: &Connect<'_>,
    ) {
        self.disarm_session(key);
        let window = self.inflight_window(id);
        let limits = &self.limits;
        let properties = &connect.properties;
        let wanted_s = match connect.version {
            Version::V5 => properties.session_expiry_interval_s.unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => FOR_EVER,
        };
        let keep_alive_s = match (connect.keep_alive_s, limits.keep_alive_s_max) {
            (0, max) => max,
            (wanted, 0) => wanted,
            (wanted, max) => wanted.min(max),
        };
        let will =
            connect.will.as_ref().map(|will| Box::new(WillRecord::of(will, &mut self.scratch)));
        let session = &mut self.sessions[key as usize];
        session.version = connect.version;
        session.expiry_interval_s = wanted_s.min(limits.session_expiry_s_max);
        session.window = properties.receive_maximum.map_or(window, |max| max.get().min(window));
        session.will = will;
        session.absence.forget();
        session.claimed_by = Some(id);
        let connection = self.connections.get_mut(id).expect("its CONNECT is being handled");
        connection.state = State::Connecting(key);
        connection.is_mounted = session.mount_point.is_some();
        connection.last_received = now.monotonic;
        connection.connected_at_s = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
        // One and a half times the keep alive [MQTT-3.1.2-22].
        connection.silence_ms_max = u32::from(keep_alive_s) * 1500;
        let aliases_max = properties.topic_alias_maximum.unwrap_or(0);
        connection.outbound_aliases =
            OutboundAliases::new(aliases_max.min(self.limits.outbound_topic_aliases_max));
    }

    fn write_connack(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        last_word: Option<&[u8]>,
        session_present: bool,
    ) {
        let (limits, qos_max) = (&self.limits, self.qos_max(id));
        let retain_available = self.retain_available(id);
        let expiry_s = connect.properties.session_expiry_interval_s;
        let capped = limits.session_expiry_s_max;
        let cap_keep_alive = limits.keep_alive_s_max > 0
            && (connect.keep_alive_s == 0 || connect.keep_alive_s > limits.keep_alive_s_max);
        let properties = ConnackProperties {
            session_expiry_interval_s: expiry_s.filter(|wanted| *wanted > capped).map(|_| capped),
            receive_maximum: NonZeroU16::new(self.inflight_window(id))
                .filter(|max| max.get() < u16::MAX),
            maximum_qos: Some(qos_max).filter(|max| *max < QoS::ExactlyOnce),
            retain_available: (!retain_available).then_some(false),
            maximum_packet_size: u32::try_from(limits.packet_bytes_max)
                .ok()
                .and_then(NonZeroU32::new),
            assigned_client_identifier: assigned,
            topic_alias_maximum: Some(limits.topic_aliases_max).filter(|max| *max > 0),
            server_keep_alive_s: cap_keep_alive.then_some(limits.keep_alive_s_max),
            // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
            authentication_method: connect.properties.authentication_method,
            authentication_data: last_word,
            ..ConnackProperties::default()
        };
        let connack = Connack { session_present, reason: ReasonCode::Success, properties };
        let response_information =
            self.response_information(connect, assigned.unwrap_or(connect.client_id));
        // It waits in the buffer, unflushed, until the connection is opened.
        let connection = self.connections.get_mut(id).expect("its CONNECT is being handled");
        let buffer = connection.outbound.buffer(&mut self.pool);
        let start = buffer.len();
        let mut encode = |response_information| {
            let properties = ConnackProperties { response_information, ..properties };
            buffer.truncate(start);
            Packet::Connack(Connack { properties, ..connack })
                .encode(connect.version, buffer)
                .expect("a CONNACK of bounded fields can be encoded");
            buffer.len() - start
        };
        if encode(response_information.as_deref()) > connection.packet_bytes_max {
            let length = encode(None);
            debug_assert!(
                length <= connection.packet_bytes_max,
                "checked against the client's maximum"
            );
        }
        self.packet_sent(id);
    }

    /// What a client that asks for it is told [MQTT-3.1.2-28].
    fn response_information(&self, connect: &Connect<'_>, client_id: &str) -> Option<String> {
        let is_wanted = connect.properties.request_response_information == Some(true);
        let template = self.limits.response_information.as_ref().filter(|_| is_wanted)?;
        let text = template.replace("{client}", client_id);
        (text.len() <= usize::from(u16::MAX) && !text.contains('\0')).then_some(text)
    }
}
