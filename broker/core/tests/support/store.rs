//! The store as the core's documentation describes it, in memory: what a core finds again is what
//! was committed, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use weir_core::{
    Batch, Change, Cursor, Destination, InflightState, Message, QueuedRecord, ReaderId, Recovered,
    RecoveredSession, Sequence, SessionId, SessionRecord, ShardId, SubscriptionRecord, Target,
};
use weir_mqtt::PacketId;

/// The stores of all shards; to a test that knows of one it is that of the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Vec<Store>);

impl Stores {
    /// As many as there are shards; there are never fewer than before.
    pub(crate) fn resize(&mut self, shards: u8) {
        assert!(usize::from(shards) >= self.0.len(), "a shard with sessions stays");
        self.0.resize_with(shards.into(), Store::default);
    }

    /// Makes a batch durable.
    pub(crate) fn apply(&mut self, batch: Batch) {
        let is_linked = self.0.len() > 1;
        self.0[usize::from(batch.shard.0)].apply(batch, is_linked);
    }

    /// What a shard finds again. What is retained is the same for all.
    pub(crate) fn recovered(&mut self, shard: ShardId, memory: usize) -> Recovered {
        let retained = self.0[0].retained.values().cloned().collect();
        Recovered { retained, ..self.0[usize::from(shard.0)].recovered(memory) }
    }

    /// The messages of a shard at these positions.
    pub(crate) fn read(&self, shard: ShardId, sequences: &[Sequence]) -> Vec<(Sequence, Message)> {
        self.0[usize::from(shard.0)].read(sequences)
    }

    /// The kept sessions and the shard of each.
    pub(crate) fn clients(&self) -> Vec<(Box<str>, ShardId)> {
        let stores = (0..).map(ShardId).zip(&self.0);
        stores
            .flat_map(|(shard, store)| {
                store.sessions.values().map(move |stored| (stored.record.client_id.clone(), shard))
            })
            .collect()
    }
}

impl Deref for Stores {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0[0]
    }
}

impl DerefMut for Stores {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.0[0]
    }
}

/// What is durable of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    next_sequence: Sequence,
    last_batch: u64,
    pub(crate) sessions: BTreeMap<SessionId, StoredSession>,
    pub(crate) log: BTreeMap<Sequence, (Message, Vec<Target>)>,
    pub(crate) retained: BTreeMap<String, Message>,
    pub(crate) readers: BTreeMap<ReaderId, Sequence>,
    /// What readers find in the log and the process alone keeps.
    pub(crate) held: BTreeMap<Sequence, Message>,
    reserved: Sequence,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredSession {
    pub(crate) record: SessionRecord,
    pub(crate) cursor: Cursor,
    pub(crate) subscriptions: BTreeMap<Box<str>, SubscriptionRecord>,
    pub(crate) inflight: BTreeMap<PacketId, InflightState>,
    pub(crate) received: BTreeSet<PacketId>,
}

impl Store {
    /// Makes a batch durable, as a whole.
    pub(crate) fn apply(&mut self, batch: Batch, may_be_empty: bool) {
        assert_eq!(batch.number, self.last_batch + 1, "batches come one by one");
        assert!(
            may_be_empty || !batch.changes.is_empty(),
            "an empty batch would be a write for nothing"
        );
        self.last_batch = batch.number;
        for change in batch.changes {
            self.apply_change(change);
        }
        while self.log.first_key_value().is_some_and(|(first, _)| *first < batch.log_start) {
            self.log.pop_first();
        }
    }

    /// The process ends; batches are counted anew.
    /// Messages are handed over up to `memory` bytes; the others stay here.
    pub(crate) fn recovered(&mut self, mut memory: usize) -> Recovered {
        self.last_batch = 0;
        self.held.clear();
        Recovered {
            next_sequence: self.next_sequence.max(self.reserved),
            sessions: self.sessions.iter().map(|(id, stored)| stored.recovered(*id)).collect(),
            log: self
                .log
                .iter()
                .map(|(sequence, (message, targets))| {
                    let (bytes, is_shared) = (message.len(), targets.iter().any(Target::is_shared));
                    let is_handed_over = is_shared || bytes <= memory;
                    memory = memory.saturating_sub(bytes);
                    QueuedRecord {
                        sequence: *sequence,
                        bytes,
                        expires_at_ms: message.parts().expires_at_ms,
                        message: is_handed_over.then(|| message.clone()),
                        targets: targets.clone(),
                    }
                })
                .collect(),
            retained: self.retained.values().cloned().collect(),
            readers: self.readers.iter().map(|(reader, done)| (*reader, *done)).collect(),
        }
    }

    /// The messages at these positions.
    pub(crate) fn read(&self, sequences: &[Sequence]) -> Vec<(Sequence, Message)> {
        let found = sequences.iter().filter_map(|at| Some((*at, self.log.get(at)?.0.clone())));
        found.collect()
    }

    /// What waits for a reader behind its cursor.
    pub(crate) fn unread(&self, reader: ReaderId) -> Vec<(Sequence, String)> {
        let done = self.readers.get(&reader).copied().unwrap_or_default();
        let rows = self.log.range(done.next()..).filter(|(_, (_, targets))| {
            targets.iter().any(|target| target.destination == Destination::Reader(reader))
        });
        let payload = |message: &Message| String::from_utf8_lossy(message.payload()).into_owned();
        rows.map(|(sequence, (message, _))| (*sequence, payload(message))).collect()
    }

    fn apply_change(&mut self, change: Change) {
        match change {
            Change::LogAppended { sequence, message, targets } => {
                assert!(!targets.is_empty(), "nobody waits for {sequence:?}");
                assert!(sequence >= self.next_sequence, "{sequence:?} was given before");
                self.next_sequence = sequence.next();
                self.log.insert(sequence, (message, targets.into_vec()));
            }
            Change::HeldReleased { sequences } => {
                for sequence in sequences {
                    assert!(self.held.remove(&sequence).is_some(), "{sequence:?} is not held");
                }
            }
            Change::MessageHeld { sequence, message, targets } => {
                assert!(!targets.is_empty(), "nobody waits for {sequence:?}");
                assert!(sequence < self.reserved, "{sequence:?} is not reserved");
                assert!(self.held.keys().all(|held| *held < sequence), "positions grow");
                self.held.insert(sequence, message);
            }
            Change::PositionsReserved { end } => {
                assert!(end > self.reserved, "a write for nothing");
                self.reserved = end;
            }
            Change::LogReleased { ranges } => {
                assert!(!ranges.is_empty(), "a change that changes nothing");
                let readers = &self.readers;
                self.log.retain(|sequence, (_, targets)| {
                    let is_awaited = |target: &Target| match target.destination {
                        Destination::Reader(reader) => readers.get(&reader) < Some(sequence),
                        Destination::Session(_) => false,
                    };
                    !ranges.iter().any(|range| range.contains(sequence))
                        || targets.iter().any(is_awaited)
                });
            }
            Change::CursorMoved { session, cursor } => {
                assert!(cursor.inflight.is_sorted(), "positions ascend");
                assert!(cursor.inflight.iter().all(|position| *position < cursor.start));
                self.session(session).cursor = cursor;
            }
            Change::InflightPut { session, packet_id, state } => {
                self.session(session).inflight.insert(packet_id, state);
            }
            Change::InflightRemoved { session, packet_id } => {
                self.session(session).inflight.remove(&packet_id);
            }
            Change::ReaderMoved { reader, done } => {
                self.readers.insert(reader, done);
            }
            Change::ReceivedPut { session, packet_id } => {
                self.session(session).received.insert(packet_id);
            }
            Change::ReceivedRemoved { session, packet_id } => {
                self.session(session).received.remove(&packet_id);
            }
            Change::RetainedPut { message } => {
                self.retained.insert(message.topic().to_owned(), message);
            }
            Change::RetainedRemoved { topic } => {
                self.retained.remove(&*topic);
            }
            Change::RuleDelta { .. } | Change::RuleSnapshot { .. } => {}
            Change::SessionPut { session, record } => match self.sessions.get_mut(&session) {
                Some(stored) => stored.record = record,
                None => {
                    self.sessions.insert(session, StoredSession::new(record));
                }
            },
            Change::SessionRemoved { session } => {
                assert!(self.sessions.remove(&session).is_some(), "{session:?} is not known");
            }
            Change::SubscriptionPut { session, filter, options } => {
                self.session(session).subscriptions.insert(filter, options);
            }
            Change::SubscriptionRemoved { session, filter } => {
                self.session(session).subscriptions.remove(&filter);
            }
        }
    }

    fn session(&mut self, session: SessionId) -> &mut StoredSession {
        self.sessions.get_mut(&session).expect("the session was put before")
    }
}

impl StoredSession {
    fn new(record: SessionRecord) -> Self {
        Self {
            record,
            cursor: Cursor::default(),
            subscriptions: BTreeMap::new(),
            inflight: BTreeMap::new(),
            received: BTreeSet::new(),
        }
    }

    fn recovered(&self, session: SessionId) -> RecoveredSession {
        RecoveredSession {
            session,
            record: self.record.clone(),
            cursor: self.cursor.clone(),
            subscriptions: self.subscriptions.iter().map(|(f, o)| (f.clone(), *o)).collect(),
            inflight: self.inflight.iter().map(|(id, state)| (*id, *state)).collect(),
            received: self.received.iter().copied().collect(),
        }
    }
}
