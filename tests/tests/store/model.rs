//! What the store must hold, kept in plain maps.

use std::collections::{BTreeMap, BTreeSet};

use weir_broker::store::{RuleState, Store, StoreError};
use weir_core::{
    Batch, Change, Cursor, Destination, InflightState, Message, QueuedRecord, ReaderId, Recovered,
    RecoveredSession, Sequence, SessionId, SessionRecord, ShardId, SubscriptionRecord, Target,
};
use weir_mqtt::PacketId;

/// How many messages that nobody waits for the store may keep: it trims in steps.
const UNTRIMMED_MAX: usize = 256;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) shards: BTreeMap<ShardId, ShardModel>,
    pub(crate) retained: BTreeMap<String, Message>,
    pub(crate) rules: RuleState,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardModel {
    pub(crate) next: Sequence,
    pub(crate) log_start: Sequence,
    pub(crate) log: BTreeMap<Sequence, (Message, Vec<Target>)>,
    pub(crate) sessions: BTreeMap<SessionId, SessionModel>,
    pub(crate) readers: BTreeMap<ReaderId, Sequence>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionModel {
    pub(crate) record: SessionRecord,
    pub(crate) cursor: Cursor,
    pub(crate) subscriptions: BTreeMap<Box<str>, SubscriptionRecord>,
    pub(crate) inflight: BTreeMap<PacketId, InflightState>,
    pub(crate) received: BTreeSet<PacketId>,
}

impl Model {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for change in &batch.changes {
            self.change(batch.shard, change);
        }
        let shard = self.shard(batch.shard);
        shard.log_start = shard.log_start.max(batch.log_start);
        shard.log = shard.log.split_off(&shard.log_start);
    }

    pub(crate) fn shard(&mut self, shard: ShardId) -> &mut ShardModel {
        self.shards.entry(shard).or_default()
    }

    /// Panics with the difference when the store holds something else.
    pub(crate) fn check(&self, store: &Store, seed: u64) {
        let difference = self.difference(store).expect("the store can be read");
        assert_eq!(difference, None, "seed {seed}");
    }

    /// What the store holds otherwise than the model.
    pub(crate) fn difference(&self, store: &Store) -> Result<Option<String>, StoreError> {
        for (id, shard) in &self.shards {
            let recovered = store.recover(*id, usize::MAX)?;
            let mut retained: Vec<_> = self.retained.values().cloned().collect();
            retained.sort_by(|a, b| a.topic().cmp(b.topic()));
            if recovered.retained != retained {
                return Ok(Some("the retained messages differ".to_owned()));
            }
            if let Some(difference) = shard.difference(recovered) {
                return Ok(Some(format!("{id:?}: {difference}")));
            }
        }
        if store.rules()? != self.rules {
            return Ok(Some("the state of the rules differs".to_owned()));
        }
        Ok(None)
    }

    fn change(&mut self, id: ShardId, change: &Change) {
        let shard = self.shards.entry(id).or_default();
        match change.clone() {
            Change::LogAppended { sequence, message, targets } => {
                shard.next = shard.next.max(sequence.next());
                shard.log.insert(sequence, (message, targets.to_vec()));
            }
            // The store may remove them, and may forget to: see `ShardModel::difference`.
            Change::LogReleased { ranges } => {
                let positions = ranges.iter().flat_map(|range| range.start.0..range.end.0);
                let is_held = positions.map(Sequence).any(|at| shard.is_held(at));
                assert!(!is_held, "the workload lets go of what nobody waits for");
            }
            Change::CursorMoved { session, cursor } => shard.session(session).cursor = cursor,
            Change::InflightPut { session, packet_id, state } => {
                shard.session(session).inflight.insert(packet_id, state);
            }
            Change::InflightRemoved { session, packet_id } => {
                shard.session(session).inflight.remove(&packet_id);
            }
            Change::ReaderMoved { reader, done } => {
                shard.readers.insert(reader, done);
            }
            Change::ReceivedPut { session, packet_id } => {
                shard.session(session).received.insert(packet_id);
            }
            Change::ReceivedRemoved { session, packet_id } => {
                shard.session(session).received.remove(&packet_id);
            }
            Change::RetainedPut { message } => {
                self.retained.insert(message.topic().to_owned(), message);
            }
            Change::RetainedRemoved { topic } => {
                self.retained.remove(&*topic);
            }
            Change::RuleDelta { delta } => self.rules.deltas.push(delta),
            Change::RuleSnapshot { shards } => {
                self.rules = RuleState { snapshot: shards, deltas: Vec::new() };
            }
            Change::SessionPut { session, record } => {
                let fresh = SessionModel {
                    record: record.clone(),
                    cursor: Cursor::default(),
                    subscriptions: BTreeMap::new(),
                    inflight: BTreeMap::new(),
                    received: BTreeSet::new(),
                };
                shard.sessions.entry(session).or_insert(fresh).record = record;
            }
            Change::SessionRemoved { session } => {
                shard.sessions.remove(&session);
            }
            Change::SubscriptionPut { session, filter, options } => {
                shard.session(session).subscriptions.insert(filter, options);
            }
            Change::SubscriptionRemoved { session, filter } => {
                shard.session(session).subscriptions.remove(&filter);
            }
        }
    }
}

impl ShardModel {
    /// Whether a session waits for the message at a position.
    pub(crate) fn is_held(&self, sequence: Sequence) -> bool {
        let Some((_, targets)) = self.log.get(&sequence) else { return false };
        targets.iter().any(|target| match target.destination {
            Destination::Reader(_) => false,
            Destination::Session(session) => self.sessions.get(&session).is_some_and(|session| {
                sequence >= session.cursor.start || session.cursor.inflight.contains(&sequence)
            }),
        })
    }

    /// Whether a session or a reader waits for it.
    fn is_awaited(&self, sequence: Sequence) -> bool {
        let Some((_, targets)) = self.log.get(&sequence) else { return false };
        let is_read = |target: &Target| match target.destination {
            Destination::Reader(reader) => self.readers.get(&reader) >= Some(&sequence),
            Destination::Session(_) => true,
        };
        self.is_held(sequence) || !targets.iter().all(is_read)
    }

    pub(crate) fn session(&mut self, session: SessionId) -> &mut SessionModel {
        self.sessions.get_mut(&session).expect("the workload changes sessions that exist")
    }

    fn difference(&self, mut recovered: Recovered) -> Option<String> {
        let untrimmed =
            recovered.log.iter().filter(|record| record.sequence < self.log_start).count();
        if untrimmed > UNTRIMMED_MAX {
            return Some(format!("{untrimmed} messages below the start of the log"));
        }
        recovered.log.retain(|record| record.sequence >= self.log_start);
        // What nobody waits for may be gone; after a crash it may be back.
        let mut log = self.expected_log();
        log.retain(|record| {
            self.is_awaited(record.sequence)
                || recovered.log.binary_search_by_key(&record.sequence, |r| r.sequence).is_ok()
        });
        if recovered.log != log {
            return Some(format!("log {:?} instead of {log:?}", recovered.log));
        }
        let sessions = self.expected_sessions();
        if recovered.sessions != sessions {
            return Some(format!("{:?} instead of {sessions:?}", recovered.sessions));
        }
        let readers: Vec<_> = self.readers.iter().map(|(id, done)| (*id, *done)).collect();
        if recovered.readers != readers {
            return Some(format!("{:?} instead of {readers:?}", recovered.readers));
        }
        let last = log.last().map_or(Sequence(0), |record| record.sequence);
        self.wrong_next(recovered.next_sequence, last)
    }

    /// Positions of messages that were never written may be used again, those that anything in
    /// the store knows may not.
    fn wrong_next(&self, next: Sequence, last_row: Sequence) -> Option<String> {
        let logged = last_row.next();
        let starts = self.sessions.values().map(|session| session.cursor.start);
        let done = self.readers.values().map(|done| done.next());
        let least = starts.chain(done).fold(logged, Sequence::max);
        let most = least.max(self.next);
        (next < least || next > most)
            .then(|| format!("the next position {next:?} is not from {least:?} to {most:?}"))
    }

    fn expected_log(&self) -> Vec<QueuedRecord> {
        let records = self.log.iter().map(|(sequence, (message, targets))| {
            let mut targets = targets.clone();
            targets.retain(|target| match target.destination {
                Destination::Reader(_) => true,
                Destination::Session(session) => self.sessions.contains_key(&session),
            });
            let is_queued =
                targets.iter().any(|t| matches!(t.destination, Destination::Session(_)));
            QueuedRecord {
                sequence: *sequence,
                bytes: message.len(),
                expires_at_ms: message.parts().expires_at_ms,
                message: is_queued.then(|| message.clone()),
                targets,
            }
        });
        records.filter(|record| !record.targets.is_empty()).collect()
    }

    fn expected_sessions(&self) -> Vec<RecoveredSession> {
        let sessions = self.sessions.iter().map(|(id, session)| RecoveredSession {
            session: *id,
            record: session.record.clone(),
            cursor: session.cursor.clone(),
            subscriptions: session
                .subscriptions
                .iter()
                .map(|(filter, options)| (filter.clone(), *options))
                .collect(),
            inflight: session.inflight.iter().map(|(id, state)| (*id, *state)).collect(),
            received: session.received.iter().copied().collect(),
        });
        sessions.collect()
    }
}
