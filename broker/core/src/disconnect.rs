//! The ends of connections and of sessions: DISCONNECT, the will, session expiry.
//!
//! A connection that ends leaves its session until that expires, and its will until the delay is
//! over or the session ends, whichever comes first.

use weir_mqtt::{Disconnect, Packet, ReasonCode, Version};

use crate::authorize::Access;
use crate::change::Change;
use crate::clock::Now;
use crate::core::Core;
use crate::explanation;
use crate::identity::{ConnectionId, SessionId};
use crate::key::SessionKey;
use crate::message::MessageParts;
use crate::metrics::DropReason;
use crate::router::Origin;
use crate::timer::Timer;

impl Core {
    pub(crate) fn write_disconnect(&mut self, id: ConnectionId, reason: ReasonCode) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.version == Version::V5 {
            let mut frame = Vec::new();
            let disconnect = Packet::Disconnect(Disconnect::with_reason(reason));
            if explanation::encode(&disconnect, connection, &mut frame).is_ok() {
                self.write(id, &frame);
            }
        }
    }

    pub(crate) fn handle_disconnect(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        disconnect: &Disconnect<'_>,
    ) {
        if let Some(expiry_s) = disconnect.session_expiry_interval_s {
            let session = &mut self.sessions[key as usize];
            // A session that was to end with its connection cannot be kept now
            // [MQTT-3.14.2-2].
            if session.expiry_interval_s == 0 && expiry_s > 0 {
                return self.violation(now, id, ReasonCode::ProtocolError);
            }
            session.expiry_interval_s = expiry_s.min(self.limits.session_expiry_s_max);
        }
        // Any reason but the normal one leaves the will in force [MQTT-3.14.4-3].
        let with_will = disconnect.reason != ReasonCode::Success;
        self.close(id);
        self.end_connection(now, key, with_will);
    }

    /// The connection of a session is over. `with_will` is false after a normal DISCONNECT,
    /// which deletes the will [MQTT-3.14.4-3].
    pub(crate) fn end_connection(&mut self, now: Now, key: SessionKey, with_will: bool) {
        self.groups_changed(key);
        let session = &mut self.sessions[key as usize];
        if session.connection.take().is_some() {
            self.metrics.clients_connected -= 1;
        }
        session.claimed_by = None;
        if let Some(inflight) = session.inflight.existing_mut() {
            inflight.disconnected();
        }
        session.absence.since_ms = Some(now.unix_ms);
        if !with_will {
            session.will = None;
        }
        let id = session.id;
        let delay_ms = session.will.as_ref().map(|will| u64::from(will.delay_interval_s) * 1000);
        let expiry_ms = u64::from(session.expiry_interval_s) * 1000;
        session.absence.ends_at = Some(now.monotonic + expiry_ms);
        if let Some(delay_ms) = delay_ms {
            let at = now.monotonic + delay_ms.min(expiry_ms);
            session.absence.will_at = Some(at);
            if at > now.monotonic {
                self.timers.arm(at, Timer::Will(id));
            } else {
                self.publish_will(now, key);
            }
        }
        self.end_history(id);
        self.drop_unkept(key);
        if expiry_ms == 0 {
            return self.end_session(now, key);
        }
        self.timers.arm(now.monotonic + expiry_ms, Timer::SessionExpiry(id));
        self.record_session(key);
        self.strand(now, key);
    }

    /// Records a session that is kept, or whose record says that it is.
    pub(crate) fn record_session(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        let is_new = !session.stored && session.is_kept();
        session.stored |= session.is_kept();
        if session.stored {
            let change = Change::SessionPut { session: session.id, record: session.record() };
            self.record(change);
        }
        if is_new {
            // Nothing of the log as it stands is for it, although a session that had its number
            // before a restart may be named there.
            self.cursor_moved(key);
        }
    }

    pub(crate) fn check_expiry(&mut self, now: Now, id: SessionId) {
        let Some(&key) = self.session_keys.get(&id) else { return };
        let session = &self.sessions[key as usize];
        let is_due = session.absence.ends_at.is_some_and(|at| at <= now.monotonic);
        if session.claimed_by.is_none() && is_due {
            self.metrics.clients_expired += 1;
            self.end_session(now, key);
        }
    }

    pub(crate) fn check_will(&mut self, now: Now, id: SessionId) {
        let Some(&key) = self.session_keys.get(&id) else { return };
        let due = self.sessions[key as usize].absence.will_at;
        if due.is_some_and(|at| at <= now.monotonic) {
            self.publish_will(now, key);
            self.record_session(key);
        }
    }

    /// Does now what is due, should CONNECT come in before the timers.
    pub(crate) fn check_overdue(&mut self, now: Now, key: SessionKey) {
        let id = self.sessions[key as usize].id;
        self.check_will(now, id);
        self.check_expiry(now, id);
    }

    /// A session that is claimed or ends needs no timer.
    pub(crate) fn disarm_session(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        let Some(absence) = session.absence.existing_mut() else { return };
        if let Some(at) = absence.ends_at.take() {
            self.timers.disarm(at, Timer::SessionExpiry(session.id));
        }
        if let Some(at) = absence.will_at.take() {
            self.timers.disarm(at, Timer::Will(session.id));
        }
    }

    fn publish_will(&mut self, now: Now, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        let armed = session.absence.existing_mut().and_then(|absence| absence.will_at.take());
        if let Some(at) = armed {
            self.timers.disarm(at, Timer::Will(session.id));
        }
        let Some(will) = session.will.take() else { return };
        let parts = will.message.parts();
        if !session.may(Access::Write, parts.topic) {
            self.count_drop(now, key, DropReason::Acl);
            return;
        }
        let expires_at_ms =
            will.expiry_interval_s.map(|seconds| now.unix_ms + u64::from(seconds) * 1000);
        let publisher = self.publisher(key);
        let publisher = publisher.as_deref().unwrap_or_default();
        let received_at_ms = now.unix_ms;
        let parts = MessageParts { expires_at_ms, received_at_ms, publisher, ..parts };
        // One that is in the store already has its room.
        let is_unkept = !self.sessions[key as usize].stored && self.is_store_full();
        let origin = Origin { session: Some(key), is_unkept, ..Origin::default() };
        self.publish(now, &parts, origin);
    }

    /// Ends a session and all that belongs to it. A will that was waiting is published now: its
    /// delay ends with the session [MQTT-3.1.3-9].
    pub(crate) fn end_session(&mut self, now: Now, key: SessionKey) {
        self.disarm_session(key);
        self.publish_will(now, key);
        let session = self.sessions.remove(key as usize);
        self.clients.remove(key, &session.client_id);
        self.session_keys.remove(&session.id);
        let legacy = self.legacy(&session);
        for (filter, _) in &session.subscriptions {
            self.leave_subscription(key, filter);
        }
        let waiting = session.queue.iter();
        let held = waiting.chain(session.inflight.holding());
        for delivery in held {
            self.log.release(delivery.sequence);
        }
        if session.stored {
            self.record(Change::SessionRemoved { session: session.id });
            self.gate.session_removed(session.client_id, self.turn.batch);
        }
        self.bequeath(now, legacy);
    }
}
