//! Clients by their identifiers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{iter, mem};

use weir_mqtt::Version;

use super::LOOKED_AT_MAX;
use crate::core::Core;
use crate::identity::{ConnectionId, ListenerId};
use crate::key::SessionKey;
use crate::metrics::Drops;
use crate::session::Session;

/// A client as it is at one moment.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// Its identifier.
    pub client_id: Arc<str>,
    /// Its name; none for one without, or that has not come back since the start of the process.
    pub username: Option<Arc<str>>,
    /// The version that it speaks, or spoke last.
    pub version: Version,
    /// The listener that it came in by last; none if it has not come back since the start.
    pub listener: Option<ListenerId>,
    /// Its connection; none while it is away.
    pub connection: Option<ConnectionId>,
    /// Since when it is connected, or away, milliseconds since 1970; to the second for one that is
    /// connected.
    pub since_ms: Option<u64>,
    /// Its keep alive, 0 = none; none while it is away.
    pub keep_alive_s: Option<u16>,
    /// How long its session outlives its connection; `u32::MAX` = for ever.
    pub session_expiry_s: u32,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// QoS 1 and 2 messages that are under way to it.
    pub inflight: u16,
    /// Messages that wait until those are.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// PUBLISH packets from it since it is connected.
    pub received: u64,
    /// PUBLISH packets to it since it is connected.
    pub sent: u64,
    /// Messages that it has not got, or published in vain, since its session began.
    pub drops: Drops,
}

/// Looks for clients in the order of their identifiers.
#[derive(Clone, Debug)]
pub struct ClientSearch {
    prefix: String,
    after: Option<String>,
    is_connected: Option<bool>,
    count_max: usize,
    place: usize,
    found: BTreeSet<Arc<str>>,
    views: Vec<ClientView>,
}

impl ClientSearch {
    /// The first `count_max` clients whose identifiers begin with `prefix`, behind `after` if there
    /// is one, and only those that are connected, or are not, if that is given.
    #[must_use]
    pub fn new(
        prefix: String,
        after: Option<String>,
        is_connected: Option<bool>,
        count_max: usize,
    ) -> Self {
        let (found, views) = (BTreeSet::new(), Vec::new());
        Self { prefix, after, is_connected, count_max, place: 0, found, views }
    }

    /// Looks at some more of the sessions, and once all were looked at, at some of those that were
    /// found; answers when there is no more.
    #[must_use]
    pub fn step(&mut self, core: &Core) -> Option<Vec<ClientView>> {
        let end = core.sessions.capacity();
        if self.place < end {
            let until = end.min(self.place.saturating_add(LOOKED_AT_MAX));
            for place in self.place..until {
                if let Some(session) = core.sessions.get(place) {
                    self.look_at(session);
                }
            }
            self.place = until;
            return None;
        }
        let some = iter::from_fn(|| self.found.pop_first()).take(LOOKED_AT_MAX);
        self.views.extend(some.filter_map(|client_id| core.client(&client_id)));
        self.found.is_empty().then(|| mem::take(&mut self.views))
    }

    fn look_at(&mut self, session: &Session) {
        let id = &session.client_id;
        let is_wanted = id.starts_with(&self.prefix)
            && self.after.as_deref().is_none_or(|after| &**id > after)
            && self.is_connected.is_none_or(|wanted| wanted == session.connection.is_some());
        let is_full = self.found.len() >= self.count_max;
        if !is_wanted || is_full && self.found.last().is_none_or(|last| last <= id) {
            return;
        }
        self.found.insert(id.clone());
        if is_full {
            self.found.pop_last();
        }
    }
}

impl Core {
    /// A client; none when there is no session of it.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<ClientView> {
        self.session_of(client_id).map(|key| self.view(key))
    }

    fn view(&self, key: SessionKey) -> ClientView {
        let session = &self.sessions[key as usize];
        let open = session.connection.and_then(|connection| self.connections.get(connection));
        let since_ms = match open {
            Some(open) => Some(u64::from(open.connected_at_s) * 1000),
            None => session.absence.since_ms,
        };
        // One and a half times the keep alive.
        let keep_alive_s = |silence_ms: u32| u16::try_from(silence_ms / 1500).unwrap_or(u16::MAX);
        ClientView {
            client_id: session.client_id.clone(),
            username: session.identity().and_then(|identity| identity.username.clone()),
            version: session.version,
            listener: session.listener,
            connection: session.connection,
            since_ms,
            keep_alive_s: open.map(|open| keep_alive_s(open.silence_ms_max)),
            session_expiry_s: session.expiry_interval_s,
            subscriptions: session.subscriptions.len(),
            inflight: session.inflight.len(),
            queued_messages: session.queue.len(),
            queued_bytes: session.queue_bytes,
            received: open.map_or(0, |open| open.received),
            sent: open.map_or(0, |open| open.sent),
            drops: session.drops.as_ref().map(|drops| drops.counts()).unwrap_or_default(),
        }
    }
}
