//! What the broker keeps of a client: its subscriptions, its queue, its exchanges.
//!
//! A session is not a connection: it may have one, and with an expiry interval it outlives it.
//! Nothing here knows packets or the store; the modules above turn changes into both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;
use weir_mqtt::{PacketId, QoS, Version};

use crate::authorize::{Access, Identity, Permissions, Validity};
use crate::change::{Cursor, SessionRecord, SubscriptionRecord, WillRecord};
use crate::clock::Instant;
use crate::identifiers::IdentifierLists;
use crate::identity::{ConnectionId, ListenerId, Sequence, SessionId};
use crate::inflight::{Delivered, InflightWindow, Progress, SEVERAL};
use crate::metrics::ClientDrops;
use crate::mount;
use crate::rare::{Empty, Rare};
use crate::share_mark::ShareMark;
use crate::shared::ShareKey;

/// What is known of a QoS 2 message from a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// Upstreams have to acknowledge it before it is acknowledged itself.
    Held(Sequence),
    /// The store knows of it, or is about to.
    Recorded,
    /// The process alone knows of it.
    Unrecorded,
}

/// What is known of a session without a connection.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    /// When the connection ended, by the calendar.
    pub(crate) since_ms: Option<u64>,
    /// When the session ends, unless its client comes back.
    pub(crate) ends_at: Option<Instant>,
    /// When the will is published, unless its client comes back.
    pub(crate) will_at: Option<Instant>,
}

impl Empty for Absence {
    const EMPTY: &'static Self = &Self { since_ms: None, ends_at: None, will_at: None };
}

/// The state that belongs to a client identifier.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) client_id: Arc<str>,
    pub(crate) version: Version,
    /// Who the client is, once `is_identified`; nothing for one without a name.
    identity: Rare<Identity>,
    /// False since the start of the process if it has not come back yet.
    is_identified: bool,
    /// What it may do; none when nothing restricts it, or when it is not known who it is, in
    /// which case messages wait for it unseen.
    pub(crate) permissions: Option<Box<Permissions>>,
    /// The listener that its client came in by last; none since the start of the process if it
    /// has not come back yet.
    pub(crate) listener: Option<ListenerId>,
    /// What its topics begin with unseen, by the listener that its client came in by last.
    pub(crate) mount_point: Option<Arc<str>>,
    /// The highest QoS of deliveries, by the same listener.
    pub(crate) qos_max: QoS,
    pub(crate) expiry_interval_s: u32,
    /// Since its connection ended.
    pub(crate) absence: Rare<Absence>,
    /// The connection that serves it, once its CONNACK has gone out.
    pub(crate) connection: Option<ConnectionId>,
    /// The same, from the moment its CONNECT was taken.
    pub(crate) claimed_by: Option<ConnectionId>,
    /// The store has, or is about to have, a record of it.
    pub(crate) stored: bool,
    pub(crate) will: Option<Box<WillRecord>>,
    /// Ordered by filter.
    pub(crate) subscriptions: Vec<(Arc<str>, SubscriptionRecord)>,
    /// About the memory that they take.
    pub(crate) subscription_bytes: usize,
    /// The groups in which it is a member.
    pub(crate) shares: Rare<Vec<ShareKey>>,
    pub(crate) queue: Rare<VecDeque<Delivered>>,
    pub(crate) queue_bytes: usize,
    /// Messages of the queue that are retained ones for a new subscription.
    pub(crate) replays: u32,
    /// QoS 0 messages of the queue that must not overtake those.
    pub(crate) held_back: u32,
    pub(crate) inflight: Rare<InflightWindow>,
    /// QoS 1 and 2 messages that the client takes at a time.
    pub(crate) window: u16,
    /// QoS 2 messages from the client that it has not released yet.
    pub(crate) received: Rare<BTreeMap<PacketId, Received>>,
    /// Subscription identifiers of waiting messages that have more than one.
    pub(crate) identifiers: Rare<IdentifierLists>,
    /// Messages up to here were taken out of the middle of the queue: what waits before it is
    /// named one by one in the cursor.
    pub(crate) passed_over: Sequence,
    /// What its client has lost, if anything.
    pub(crate) drops: Option<Box<ClientDrops>>,
    /// It waits for messages that are on the disk only.
    pub(crate) awaits_messages: bool,
    /// The store is to be told a new cursor at the end of the turn.
    pub(crate) cursor_dirty: bool,
    /// Where this session stands in the matches of the publish with this number.
    pub(crate) matched: (u64, u32),
}

impl Session {
    pub(crate) fn new(id: SessionId, client_id: Arc<str>, version: Version) -> Self {
        Self {
            id,
            client_id,
            version,
            identity: Rare::default(),
            is_identified: false,
            permissions: None,
            listener: None,
            mount_point: None,
            qos_max: QoS::ExactlyOnce,
            expiry_interval_s: 0,
            absence: Rare::default(),
            connection: None,
            claimed_by: None,
            stored: false,
            will: None,
            subscriptions: Vec::new(),
            subscription_bytes: 0,
            shares: Rare::default(),
            queue: Rare::default(),
            queue_bytes: 0,
            replays: 0,
            held_back: 0,
            inflight: Rare::default(),
            window: u16::MAX,
            received: Rare::default(),
            identifiers: Rare::default(),
            passed_over: Sequence(0),
            drops: None,
            awaits_messages: false,
            cursor_dirty: false,
            matched: (0, 0),
        }
    }

    /// Its client is known from now on.
    pub(crate) fn identify(&mut self, identity: Identity) {
        self.identity = Rare::from(identity);
        self.is_identified = true;
    }

    /// Changes how long what its client has shown holds, if it does not hold for ever.
    pub(crate) fn validity_mut(&mut self) -> Option<&mut Validity> {
        self.identity.existing_mut().map(|identity| &mut identity.validity)
    }

    /// Who the client is; none since the start of the process if it has not come back yet.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.is_identified.then_some(&*self.identity)
    }

    /// Whether it outlives its connection.
    pub(crate) fn is_kept(&self) -> bool {
        self.expiry_interval_s > 0
    }

    /// Whether its client may read, or write, a topic.
    pub(crate) fn may(&self, access: Access, topic: &str) -> bool {
        if access == Access::Read
            && let Some(mount_point) = &self.mount_point
            && mount::shown(mount_point, topic).is_none()
        {
            return false;
        }
        self.permissions.as_ref().is_none_or(|permissions| permissions.allow(access, topic))
    }

    /// Whether each delivery for a subscription to `filter` has to be checked.
    pub(crate) fn checks(&self, filter: &str) -> bool {
        self.mount_point.as_ref().is_some_and(|mount| !mount::shows_whole(mount, filter))
            || self.permissions.as_ref().is_some_and(|allowed| !allowed.allow_whole(filter))
    }

    /// A topic that its client may read, as the client knows it. What it may not read is dropped
    /// before it is sent.
    pub(crate) fn shown<'t>(&self, topic: &'t str) -> &'t str {
        let Some(mount_point) = &self.mount_point else { return topic };
        mount::shown(mount_point, topic).unwrap_or(topic)
    }

    /// The place of a filter among the subscriptions, or where it would stand.
    pub(crate) fn subscription(&self, filter: &str) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|(known, _)| (**known).cmp(filter))
    }

    /// The subscription identifiers that a waiting message is sent with.
    pub(crate) fn identifiers_of(&self, delivered: &Delivered) -> SmallVec<[u32; 2]> {
        match delivered.identifier {
            0 => SmallVec::new(),
            SEVERAL => self
                .identifiers
                .get(delivered.sequence)
                .map(|several| several.iter().copied().filter(is_identifier).collect())
                .unwrap_or_default(),
            one => Some(one).filter(is_identifier).into_iter().collect(),
        }
    }

    /// The share for which a message waits.
    pub(crate) fn share_of(&self, delivered: &Delivered) -> Option<ShareMark> {
        let first = match delivered.identifier {
            SEVERAL => *self.identifiers.get(delivered.sequence)?.first()?,
            one => one,
        };
        ShareMark::from_identifier(first)
    }

    /// What the store keeps of it.
    pub(crate) fn record(&self) -> SessionRecord {
        SessionRecord {
            client_id: (*self.client_id).into(),
            version: self.version,
            expiry_interval_s: self.expiry_interval_s,
            disconnected_at_ms: self.absence.since_ms,
            will: self.will.as_deref().cloned(),
        }
    }

    /// How far it is through a log whose next position is `next`.
    pub(crate) fn cursor(&self, next: Sequence) -> Cursor {
        let (waiting, above) = (self.queue.iter().filter(|entry| entry.logged), self.passed_over);
        let start = waiting.clone().find(|entry| entry.sequence > above);
        let start = start.map_or(next, |entry| entry.sequence);
        // The queue stands in the order of the log, and may be long.
        let waiting = waiting.take_while(|entry| entry.sequence < start);
        let inflight = self
            .inflight
            .iter()
            .filter(|entry| entry.delivery.logged && entry.progress != Progress::Released)
            .map(|entry| &entry.delivery)
            .chain(waiting)
            .map(|delivered| delivered.sequence)
            .filter(|sequence| *sequence < start)
            .collect();
        Cursor { start, inflight }
    }
}

/// Whether a number that a message waits with is a subscription identifier.
fn is_identifier(identifier: &u32) -> bool {
    ShareMark::from_identifier(*identifier).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_little() {
        assert!(size_of::<Session>() <= 232, "{}", size_of::<Session>());
    }
}
