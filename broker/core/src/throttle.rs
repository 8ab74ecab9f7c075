//! Clients and listeners that are too fast are slowed down, and nothing is lost: a client over
//! one of its rates is not read until it may go on, and a listener over its rate leaves
//! connections where they are, in front of it.
//!
//! A packet that has to wait holds up those behind it, so their order stays. What the client has
//! sent before the shell stops to read it waits with that packet.

use std::sync::Arc;

use crate::clock::Now;
use crate::connection::{Connection, State};
use crate::core::Core;
use crate::effect::{Effect, ThrottleNotice};
use crate::identity::{ConnectionId, ListenerId};
use crate::rates::{Allowance, RateLimit};
use crate::timer::Timer;

/// Whoever has to wait does so at least for this long, so that a client that is far too fast is
/// looked at ten times a second and not for each of its packets.
const WAIT_MS_MIN: u64 = 100;

impl Core {
    /// Whether a listener may take connections now. When it may again is an effect.
    #[must_use]
    pub fn takes_connections(&self, listener: ListenerId) -> bool {
        let allowance = self.listener_allowances.get(usize::from(listener.0));
        allowance.is_none_or(|allowance| {
            allowance.as_ref().is_none_or(|allowance| allowance.waits_until.is_none())
        })
    }

    /// Whether the core takes more from a connection now. An effect says so too, but only at the
    /// end of a turn: a shell that read on until then could find that the client has gone, and
    /// what waits would be lost with its connection.
    #[must_use]
    pub fn takes_bytes(&self, connection: ConnectionId) -> bool {
        let takes = |open: &Connection| !open.paused && open.state != State::Moving;
        self.connections.get(connection).is_some_and(takes)
    }

    /// Counts a new connection of a listener, which may have been the last one for now.
    pub(crate) fn count_connect(&mut self, now: Now, listener: ListenerId) {
        let Some(allowance) = &mut self.listener_allowances[usize::from(listener.0)] else {
            return;
        };
        let limit = RateLimit::Connects;
        allowance.take(limit, 1, now.monotonic);
        let Some((until, _)) = allowance.lacks_until(&[limit], now.monotonic) else { return };
        if allowance.waits_until.is_some() {
            // The shell has taken more than it may.
            return;
        }
        let until = until.max(now.monotonic + WAIT_MS_MIN);
        allowance.waits_until = Some(until);
        self.timers.arm(until, Timer::Accept(listener));
        self.metrics.throttled.count(limit);
        if allowance.begins_episode(limit, now.monotonic) {
            self.tell_throttled(ThrottleNotice { client_id: None, listener, limit });
        }
    }

    /// A listener may take connections again, if it has not taken too many before.
    pub(crate) fn end_accept_wait(&mut self, now: Now, listener: ListenerId) {
        let Some(allowance) = &mut self.listener_allowances[usize::from(listener.0)] else {
            return;
        };
        allowance.waits_until = None;
        match allowance.lacks_until(&[RateLimit::Connects], now.monotonic) {
            Some((until, _)) => {
                allowance.waits_until = Some(until);
                self.timers.arm(until, Timer::Accept(listener));
            }
            None => self.turn.effects.push(Effect::Accept { listener }),
        }
    }

    /// From now on the rates of its listener hold for a client.
    pub(crate) fn begin_allowance(&mut self, now: Now, id: ConnectionId) {
        let allowance = Allowance::of_client(self.listener_of(id).client_rates, now.monotonic);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.allowance = allowance;
        }
    }

    /// Whether a packet may be handled now, and takes what it costs. Otherwise the client is not
    /// read until it may.
    pub(crate) fn admit(&mut self, now: Now, id: ConnectionId, frame: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return false };
        let Some(allowance) = &mut connection.allowance else { return true };
        let limits = limits_of(frame);
        let Some((until, limit)) = allowance.lacks_until(limits, now.monotonic) else {
            allowance.take(RateLimit::Bytes, frame.len(), now.monotonic);
            if limits.contains(&RateLimit::Messages) {
                allowance.take(RateLimit::Messages, 1, now.monotonic);
            }
            return true;
        };
        let until = until.max(now.monotonic + WAIT_MS_MIN);
        if let Some(before) = allowance.waits_until.replace(until) {
            self.timers.disarm(before, Timer::Throttle(id));
        }
        self.timers.arm(until, Timer::Throttle(id));
        self.metrics.throttled.count(limit);
        if allowance.begins_episode(limit, now.monotonic) {
            let (listener, session) = (connection.listener, connection.session());
            let client_id = session.map(|key| Arc::clone(&self.sessions[key as usize].client_id));
            self.tell_throttled(ThrottleNotice { client_id, listener, limit });
        }
        self.pause(id);
        false
    }

    /// Takes what the topic filters of a packet cost.
    pub(crate) fn charge_filters(&mut self, now: Now, id: ConnectionId, count: usize) {
        if let Some(connection) = self.connections.get_mut(id)
            && let Some(allowance) = &mut connection.allowance
        {
            allowance.take(RateLimit::Subscriptions, count, now.monotonic);
        }
    }

    /// A client may go on, unless it is not read for another reason too.
    pub(crate) fn end_throttle(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if let Some(allowance) = &mut connection.allowance {
            allowance.waits_until = None;
        }
        if matches!(connection.state, State::Open(_))
            && connection.gated < self.limits.unacknowledged_inbound_max
        {
            self.resume(now, id);
        }
    }

    pub(crate) fn disarm_throttle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let waits_until = connection.allowance.as_mut().and_then(|a| a.waits_until.take());
        if let Some(at) = waits_until {
            self.timers.disarm(at, Timer::Throttle(id));
        }
    }

    fn tell_throttled(&mut self, notice: ThrottleNotice) {
        self.turn.effects.push(Effect::Throttled(Box::new(notice)));
    }
}

/// The limits that a packet has to keep, by its first byte.
fn limits_of(frame: &[u8]) -> &'static [RateLimit] {
    match frame.first().map(|first| first >> 4) {
        Some(PUBLISH) => &[RateLimit::Bytes, RateLimit::Messages],
        Some(SUBSCRIBE | UNSUBSCRIBE) => &[RateLimit::Bytes, RateLimit::Subscriptions],
        _ => &[RateLimit::Bytes],
    }
}

const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
