//! What a core does while the store has no room for more.
//!
//! Nothing that was acknowledged is given up, and whatever makes room goes on. A message that
//! would have to be kept is refused before it changes anything: with 0x97 where the client can be
//! told, otherwise without an answer, so that the client still has it. What needs no room goes on
//! as ever.

use weir_mqtt::{Connect, Publish, QoS, ReasonCode, Version};

use crate::authorize::Access;
use crate::clock::Now;
use crate::core::Core;
use crate::explanation::Refusal;
use crate::identity::{ConnectionId, ReaderId};
use crate::input::{Publication, Route};
use crate::key::SessionKey;
use crate::message::MessageParts;
use crate::router::Origin;
use crate::store_room::StoreRoom;
use crate::subscriptions::Holder;

/// What a client that is refused for want of room is told.
pub(crate) const NO_ROOM: Refusal = (
    ReasonCode::QuotaExceeded,
    "the store of the broker is full: try again when its clients have taken what waits for them, \
     or give it more room",
);

impl Core {
    /// Whether a message from inside the broker has to wait until the store has room. One that
    /// comes from a reader for which the log still holds something does not: the reader makes
    /// room by going on.
    #[must_use]
    pub fn must_wait_for_room(&mut self, publication: &Publication<'_>) -> bool {
        if !self.is_store_full() {
            return false;
        }
        let makes_room = match publication.route {
            Route::Reader(_) | Route::Subscribers { origin: None } => {
                self.rules().is_some_and(|rules| self.readers[rules].is_behind())
            }
            Route::RetainedNews { origin } | Route::Subscribers { origin: Some(origin) } => {
                self.is_behind(origin)
            }
        };
        if makes_room {
            return false;
        }
        let reader = match publication.route {
            Route::Reader(_) => return true,
            Route::RetainedNews { origin } => Some(origin),
            Route::Subscribers { origin } => origin,
        };
        self.is_to_be_kept(&publication.message, Origin { reader, ..Origin::default() })
    }

    /// Whether the log holds something that a reader is not done with.
    #[must_use]
    pub fn is_behind(&self, reader: ReaderId) -> bool {
        self.readers.iter().any(|known| known.config.reader == reader && known.is_behind())
    }

    /// The store has room again, or none any more.
    pub(crate) fn handle_store_room(&mut self, now: Now, room: StoreRoom) {
        self.store_room = room;
        if room != StoreRoom::Ample {
            return;
        }
        // Clients of 3.x send what was not answered again on their next connection, in order and
        // before anything new. On this one they might wait for ever.
        let unanswered: Vec<ConnectionId> =
            self.connections.iter().filter(|open| open.unanswered).map(|open| open.id).collect();
        for connection in unanswered {
            self.close_session(now, connection);
        }
    }

    /// Whether the store takes nothing that needs room.
    pub(crate) fn is_store_full(&self) -> bool {
        self.store_room == StoreRoom::Full
    }

    /// Whether a message of a client would have to be kept.
    pub(crate) fn needs_room(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        delay_s: u32,
    ) -> bool {
        if delay_s > 0 {
            return true;
        }
        let is_identified = publish.qos == QoS::ExactlyOnce && self.sessions[key as usize].stored;
        if is_identified && self.level_of(publish.topic).is_written() {
            return true;
        }
        let parts = MessageParts {
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: publish.topic,
            properties: &[],
            payload: publish.payload,
        };
        self.is_to_be_kept(&parts, Origin { session: Some(key), ..Origin::default() })
    }

    /// Whether a retained message takes no more room than the one in whose place it comes. Only
    /// the payload is compared: whatever else grows is small and bounded by the packet.
    pub(crate) fn replaces_retained(&self, parts: &MessageParts<'_>) -> bool {
        let before = self.retained.get(parts.topic);
        before.is_some_and(|before| parts.payload.len() <= before.payload().len())
    }

    /// Whether the session of a CONNECT would be a new one in the store.
    pub(crate) fn needs_session_room(&self, connect: &Connect<'_>) -> bool {
        let is_kept = match connect.version {
            Version::V5 => connect.properties.session_expiry_interval_s.unwrap_or(0) > 0,
            _ => !connect.clean_start,
        };
        let known = self.session_of(connect.client_id);
        is_kept
            && self.limits.session_expiry_s_max > 0
            && !known.is_some_and(|key| self.sessions[key as usize].stored)
    }

    /// Whether the store would have to keep a message, as a retained one or for somebody.
    fn is_to_be_kept(&mut self, parts: &MessageParts<'_>, origin: Origin) -> bool {
        if !self.levels.of(parts.topic).is_written() {
            return false;
        }
        if parts.retain && self.limits.retain_available {
            if parts.payload.is_empty() {
                // It removes more than it adds.
                if self.retained.contains(parts.topic) {
                    return false;
                }
            } else if !self.replaces_retained(parts) {
                return true;
            }
        }
        parts.qos > QoS::AtMostOnce && self.is_to_be_logged(parts, origin)
    }

    /// Whether the store would have to keep a QoS 1 or 2 message for somebody. Of a shared
    /// subscription any member may be the one that gets it.
    fn is_to_be_logged(&mut self, parts: &MessageParts<'_>, origin: Origin) -> bool {
        let (sessions, readers, shares) = (&self.sessions, &self.readers, &self.shares);
        let is_kept_for = |key: SessionKey, qos: QoS| {
            let session = &sessions[key as usize];
            qos > QoS::AtMostOnce && session.stored && session.may(Access::Read, parts.topic)
        };
        let mut is_kept = false;
        self.subscriptions.matching(parts.topic, |subscriber| {
            is_kept |= match subscriber.holder {
                Holder::Reader(index) => {
                    origin.reader != Some(readers[usize::from(index)].config.reader)
                }
                Holder::Session(key) => {
                    let is_own = subscriber.no_local && origin.session == Some(key);
                    !is_own && is_kept_for(key, subscriber.qos)
                }
                // Nobody here knows for whom, so it counts as kept.
                Holder::Shard(_) => true,
                Holder::Share(share) => {
                    shares.is_spread(share)
                        || shares.members(share).any(|m| is_kept_for(m.session, m.qos))
                }
            };
        });
        is_kept
    }
}
