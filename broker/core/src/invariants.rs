//! What must hold between two turns, checked by tests: counters against what they count, and
//! every reference against what it refers to.

use std::collections::BTreeMap;

use crate::connection::State;
use crate::core::Core;
use crate::identity::Sequence;
use crate::inflight::SEVERAL;
use crate::key::SessionKey;
use crate::rates::Allowance;
use crate::session::Session;
use crate::shared::inner_filter;
use crate::subscriptions::cost;

impl Core {
    /// Walks over everything; for tests, not part of the interface.
    ///
    /// # Panics
    /// When an invariant is broken.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let mut holders: BTreeMap<Sequence, u32> = BTreeMap::new();
        for (index, session) in &self.sessions {
            self.check_session(index as SessionKey, session);
            let held = session.queue.iter().chain(session.inflight.holding());
            held.for_each(|delivery| *holders.entry(delivery.sequence).or_default() += 1);
        }
        self.log.check(&holders);
        let own = if self.turn.is_awaited { self.turn.batch } else { 0 };
        let awaited = self.turn.last_awaited.max(own);
        assert!(self.gate.last_batch().is_none_or(|last| last <= awaited), "a batch put off");
        let counted: usize = self.connections.iter().map(|open| open.buffer_bytes as usize).sum();
        assert_eq!(self.buffer_bytes, counted);
        let checks = self.connections.iter().filter_map(|open| open.authentication.as_ref());
        let timers = self.connections.iter().filter(|open| open.timer().is_some()).count()
            + checks.filter(|check| check.timer.is_some()).count()
            + self.sessions.iter().filter(|(_, session)| session.absence.ends_at.is_some()).count()
            + self.sessions.iter().filter(|(_, session)| session.absence.will_at.is_some()).count()
            + self.connections.iter().filter(|open| is_waiting(&open.allowance)).count()
            + self.listener_allowances.iter().filter(|listener| is_waiting(listener)).count()
            + self.schedule.count()
            + usize::from(self.queue_expiry.is_armed())
            + usize::from(self.retained_expiry.is_armed());
        assert!(self.timers.len() <= timers, "each timer has an owner");
        let throttled = self.connections.iter().filter(|open| is_waiting(&open.allowance));
        throttled.for_each(|open| assert!(open.paused || open.state == State::Closing));
        self.check_shares();
        self.retained.check_counters();
        self.schedule.check_counters();
        self.held.check_counters();
        for open in self.connections.iter() {
            let first = open.deferred.front();
            assert!(first.is_none_or(|first| first.waits_for.is_some()), "the first one waits");
        }
        let replies = self.gate.replies();
        for open in self.connections.iter() {
            assert_eq!(open.gated, replies.get(&open.id).copied().unwrap_or_default());
        }
        let of_sessions = self.sessions.iter().map(|(_, session)| session.subscriptions.len());
        let of_readers = if self.has_readers() { self.reader_filters() } else { 0 };
        let subscriptions = of_sessions.sum::<usize>() + of_readers;
        assert_eq!(self.metrics().subscriptions, subscriptions as u64);
        let connected = self.sessions.iter().filter(|(_, s)| s.connection.is_some()).count();
        assert_eq!(self.metrics.clients_connected, connected as u64);
        assert_eq!(self.clients.len(), self.sessions.len());
        assert_eq!(self.session_keys.len(), self.sessions.len());
    }

    /// Versions of retained messages that others may still have an older one for; for tests, not
    /// part of the interface. None once the shards have heard of each other.
    #[doc(hidden)]
    #[must_use]
    pub fn remembered_versions(&self) -> usize {
        self.peers.versions()
    }

    /// Membership is known on both sides.
    fn check_shares(&self) {
        let memberships: usize = self.sessions.iter().map(|(_, s)| s.shares.len()).sum();
        assert_eq!(memberships, self.shares.member_count());
        for (index, session) in &self.sessions {
            let key = index as SessionKey;
            let shared = session.subscriptions.iter().filter(|(f, _)| inner_filter(f).is_some());
            assert_eq!(shared.count(), session.shares.len());
            for share in &*session.shares {
                assert!(self.shares.member(*share, key).is_some());
            }
        }
    }

    fn check_session(&self, key: SessionKey, session: &Session) {
        assert_eq!(self.session_of(&session.client_id), Some(key));
        assert_eq!(self.session_keys.get(&session.id), Some(&key));
        let costs = session.subscriptions.iter().map(|(filter, _)| cost(filter));
        assert_eq!(session.subscription_bytes, costs.sum::<usize>());
        session.inflight.check_counters();
        session.identifiers.check_count();
        let queue = session.queue.iter();
        let bytes: usize = queue.map(|entry| self.log.bytes_of(entry.sequence)).sum();
        assert_eq!(session.queue_bytes, bytes);
        let replays = session.queue.iter().filter(|entry| entry.replay).count();
        assert_eq!(session.replays as usize, replays);
        let held_back = session.queue.iter().filter(|entry| entry.is_held_back()).count();
        assert_eq!(session.held_back as usize, held_back);
        assert!(session.queue.iter().is_sorted_by_key(|entry| entry.sequence));
        let several = session.queue.iter().chain(session.inflight.holding());
        let several = several.filter(|entry| entry.identifier == SEVERAL).count();
        assert_eq!(session.identifiers.len(), several, "lists of identifiers that are in use");
        let state = session
            .claimed_by
            .map(|id| self.connections.get(id).expect("a session knows an open connection").state);
        match session.connection {
            Some(_) => assert_eq!(state, Some(State::Open(key))),
            None => assert!(state.is_none_or(|state| state == State::Connecting(key))),
        }
    }
}

fn is_waiting(allowance: &Option<Box<Allowance>>) -> bool {
    allowance.as_ref().is_some_and(|allowance| allowance.waits_until.is_some())
}
