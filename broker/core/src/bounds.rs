//! What holds for one session: the word of the listener that its client came in by last where
//! that has one, and otherwise what holds for all.

use weir_mqtt::QoS;

use crate::core::Core;
use crate::identity::ConnectionId;
use crate::key::SessionKey;
use crate::limits::ListenerLimits;
use crate::session::Session;

/// The bounds of a queue; 0 = no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBounds {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
}

impl Core {
    /// How much may wait for a session.
    pub(crate) fn queue_bounds(&self, session: &Session) -> QueueBounds {
        let (limits, own) = (&self.limits, self.own_limits(session));
        QueueBounds {
            messages_max: own
                .and_then(|own| own.queued_messages_max)
                .unwrap_or(limits.queued_messages_max),
            bytes_max: own.and_then(|own| own.queued_bytes_max).unwrap_or(limits.queued_bytes_max),
        }
    }

    /// Whether one more QoS 1 or 2 message of this length may be under way to a session's
    /// client. One that is longer than all that may be under way goes by itself.
    pub(crate) fn has_window_room(&self, session: &Session, bytes: usize) -> bool {
        let (window, under_way) = (&session.inflight, session.inflight.bytes());
        let own = self.own_limits(session).and_then(|own| own.inflight_bytes_max);
        let bytes_max = own.unwrap_or(self.limits.inflight_bytes_max);
        window.len() < session.window
            && (bytes_max == 0 || under_way == 0 || under_way + bytes <= bytes_max)
    }

    /// Whether a retained message may wait for a session.
    pub(crate) fn has_room_for_replays(&self, session: &Session) -> bool {
        let replays_max = self.retained.count().saturating_mul(REPLAYS_PER_RETAINED_MAX);
        (session.replays as usize) < replays_max.max(REPLAYS_MIN)
    }

    /// The QoS that a message gets for a subscription.
    pub(crate) fn outgoing_qos(&self, key: SessionKey, granted: QoS, published: QoS) -> QoS {
        let session = &self.sessions[key as usize];
        let own = self.own_limits(session).and_then(|own| own.upgrades_qos);
        let is_upgraded = own.unwrap_or(self.limits.upgrades_qos);
        let qos = if is_upgraded { granted } else { granted.min(published) };
        // A kept subscription may have been granted more before the maximum was lowered, or by
        // another listener.
        qos.min(self.limits.qos_max.min(session.qos_max))
    }

    /// QoS 1 and 2 messages that may be under way on a connection each way, never zero.
    pub(crate) fn inflight_window(&self, connection: ConnectionId) -> u16 {
        let open = self.connections.get(connection).expect("its packet is being handled");
        self.limits.inflight_window(open.listener)
    }

    fn own_limits(&self, session: &Session) -> Option<&ListenerLimits> {
        self.limits.listeners.get(usize::from(session.listener?.0))
    }
}

/// Retained messages that wait for one session at a time, as often as there are any: enough for
/// a few overlapping subscriptions.
const REPLAYS_PER_RETAINED_MAX: usize = 4;
/// So many may always wait, however few retained messages there are.
const REPLAYS_MIN: usize = 1024;
