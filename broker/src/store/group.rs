//! What is left of a group of batches when each key is written once.
//!
//! Responsible for leaving out what later changes of the same group make needless, before the
//! database engine is touched. It knows nothing of what the file holds, so it never drops the
//! removal of a key: the row may be older than the group.

use std::collections::BTreeMap;
use std::ops::Range;

use weir_core::{
    Batch, Change, Cursor, Destination, InflightState, Links, Message, Sequence, SessionId,
    SessionRecord, ShardId, SubscriptionRecord, Target,
};
use weir_mqtt::PacketId;

use crate::store::schema::{
    PacketKey, ReaderKey, SessionKey, packet_key, packet_key_parts, reader_key, reader_key_parts,
    session_key, session_key_parts,
};

/// The changes of a group, one per key and in the order of the keys. `None` removes a row.
#[derive(Debug, Default)]
pub(crate) struct Group<'a> {
    pub(crate) logged: Vec<Logged<'a>>,
    /// Per shard that is in the group: how far its log can be trimmed.
    pub(crate) log_starts: BTreeMap<ShardId, LogStart>,
    /// Per shard: positions behind the start of its log for which no session waits, in order and
    /// apart from each other.
    pub(crate) released: BTreeMap<ShardId, Vec<Range<Sequence>>>,
    /// Sessions whose rows go before anything else of the group is written.
    pub(crate) removed_sessions: Vec<SessionKey>,
    pub(crate) sessions: Vec<(SessionKey, &'a SessionRecord)>,
    pub(crate) cursors: Vec<(SessionKey, &'a Cursor)>,
    pub(crate) subscriptions: Vec<((SessionKey, &'a str), Option<&'a SubscriptionRecord>)>,
    pub(crate) inflight: Vec<(PacketKey, Option<InflightState>)>,
    pub(crate) received: Vec<(PacketKey, Option<()>)>,
    pub(crate) retained: Vec<(&'a str, Option<&'a Message>)>,
    pub(crate) reader_cursors: Vec<(ReaderKey, Sequence)>,
    /// Positions below which none is given again.
    pub(crate) reserved: BTreeMap<ShardId, Sequence>,
    pub(crate) rule_snapshot: Option<&'a [Vec<u8>]>,
    /// Those after the snapshot, if there is one.
    pub(crate) rule_deltas: Vec<&'a [u8]>,
}

/// A message that is to be written to the log.
#[derive(Debug)]
pub(crate) struct Logged<'a> {
    pub(crate) shard: ShardId,
    pub(crate) sequence: Sequence,
    pub(crate) message: &'a Message,
    pub(crate) targets: &'a [Target],
}

/// How far a shard got in the group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogStart {
    /// The highest start that a batch names.
    pub(crate) start: Sequence,
    /// The position after the last append, zero without one.
    pub(crate) next: Sequence,
}

impl<'a> Group<'a> {
    /// Coalesces `batches`, the oldest first.
    pub(crate) fn of(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut gathered = Gathered::default();
        for batch in batches {
            let shard = gathered.group.log_starts.entry(batch.shard).or_default();
            shard.start = shard.start.max(batch.log_start);
            for change in &batch.changes {
                gathered.add(batch.shard, change);
            }
        }
        gathered.finish()
    }

    /// How many rows it writes or removes, as far as it knows.
    pub(crate) fn records(&self) -> usize {
        self.logged.len()
            + self.removed_sessions.len()
            + self.sessions.len()
            + self.cursors.len()
            + self.subscriptions.len()
            + self.inflight.len()
            + self.received.len()
            + self.retained.len()
            + self.reader_cursors.len()
            + self.reserved.len()
            + usize::from(self.rule_snapshot.is_some())
            + self.rule_deltas.len()
    }

    /// The same changes as one batch for each shard; what belongs to no shard is in the first.
    pub(crate) fn to_batches(&self) -> Vec<Batch> {
        let mut batches: BTreeMap<ShardId, Batch> = BTreeMap::new();
        for (shard, ends) in &self.log_starts {
            let batch = Batch {
                shard: *shard,
                number: 0,
                changes: Vec::new(),
                log_start: ends.start,
                is_awaited: false,
                links: Links::default(),
            };
            batches.insert(*shard, batch);
        }
        let mut add = |shard: ShardId, change: Change| {
            let batch = batches.get_mut(&shard).expect("each shard of a group has its ends in it");
            batch.changes.push(change);
        };
        for key in &self.removed_sessions {
            let (shard, session) = session_key_parts(key);
            add(shard, Change::SessionRemoved { session });
        }
        for (key, record) in &self.sessions {
            let (shard, session) = session_key_parts(key);
            add(shard, Change::SessionPut { session, record: (*record).clone() });
        }
        for (key, cursor) in &self.cursors {
            let (shard, session) = session_key_parts(key);
            add(shard, Change::CursorMoved { session, cursor: (*cursor).clone() });
        }
        for ((key, filter), subscription) in &self.subscriptions {
            let (shard, session) = session_key_parts(key);
            let filter = (*filter).into();
            add(
                shard,
                match subscription {
                    Some(options) => {
                        Change::SubscriptionPut { session, filter, options: **options }
                    }
                    None => Change::SubscriptionRemoved { session, filter },
                },
            );
        }
        for (key, state) in &self.inflight {
            let (shard, session, packet_id) = packet_parts(key);
            add(
                shard,
                match *state {
                    Some(state) => Change::InflightPut { session, packet_id, state },
                    None => Change::InflightRemoved { session, packet_id },
                },
            );
        }
        for (key, state) in &self.received {
            let (shard, session, packet_id) = packet_parts(key);
            add(
                shard,
                match state {
                    Some(()) => Change::ReceivedPut { session, packet_id },
                    None => Change::ReceivedRemoved { session, packet_id },
                },
            );
        }
        for (shard, ranges) in &self.released {
            add(*shard, Change::LogReleased { ranges: ranges.clone() });
        }
        for (key, done) in &self.reader_cursors {
            let (shard, reader) = reader_key_parts(key);
            add(shard, Change::ReaderMoved { reader, done: *done });
        }
        for (shard, end) in &self.reserved {
            add(*shard, Change::PositionsReserved { end: *end });
        }
        for logged in &self.logged {
            add(
                logged.shard,
                Change::LogAppended {
                    sequence: logged.sequence,
                    message: logged.message.clone(),
                    targets: logged.targets.into(),
                },
            );
        }
        let mut batches: Vec<Batch> = batches.into_values().collect();
        if let Some(first) = batches.first_mut() {
            first.changes.extend(self.changes_of_no_shard());
        }
        batches
    }

    fn changes_of_no_shard(&self) -> impl Iterator<Item = Change> {
        let retained = self.retained.iter().map(|(topic, message)| match message {
            Some(message) => Change::RetainedPut { message: (*message).clone() },
            None => Change::RetainedRemoved { topic: (*topic).into() },
        });
        let snapshot =
            self.rule_snapshot.map(|shards| Change::RuleSnapshot { shards: shards.to_vec() });
        let deltas =
            self.rule_deltas.iter().map(|delta| Change::RuleDelta { delta: delta.to_vec() });
        retained.chain(snapshot).chain(deltas)
    }
}

/// A group that is being made. Each change of a session carries its place among all changes, so
/// that the end of a session takes the earlier ones with it and leaves the later ones.
#[derive(Default)]
struct Gathered<'a> {
    group: Group<'a>,
    place: usize,
    removed_at: BTreeMap<SessionKey, usize>,
    sessions: Latest<SessionKey, &'a SessionRecord>,
    cursors: Latest<SessionKey, &'a Cursor>,
    subscriptions: Latest<(SessionKey, &'a str), Option<&'a SubscriptionRecord>>,
    inflight: Latest<PacketKey, Option<InflightState>>,
    received: Latest<PacketKey, Option<()>>,
    retained: Latest<&'a str, Option<&'a Message>>,
    reader_cursors: Latest<ReaderKey, Sequence>,
}

impl<'a> Gathered<'a> {
    fn add(&mut self, shard: ShardId, change: &'a Change) {
        self.place += 1;
        let at = self.place;
        let key = |session: SessionId| session_key(shard, session);
        let packet = |session, packet_id| packet_key(&key(session), packet_id);
        match change {
            Change::LogAppended { sequence, message, targets } => {
                let logged = Logged { shard, sequence: *sequence, message, targets };
                let ends = self.group.log_starts.entry(shard).or_default();
                ends.next = ends.next.max(sequence.next());
                self.group.logged.push(logged);
            }
            Change::LogReleased { ranges } => {
                self.group.released.entry(shard).or_default().extend_from_slice(ranges);
            }
            Change::CursorMoved { session, cursor } => {
                self.cursors.put(key(*session), at, cursor);
            }
            // Nothing of them is written.
            Change::HeldReleased { .. } | Change::MessageHeld { .. } => {}
            Change::PositionsReserved { end } => {
                let reserved = self.group.reserved.entry(shard).or_default();
                *reserved = (*reserved).max(*end);
            }
            Change::InflightPut { session, packet_id, state } => {
                self.inflight.put(packet(*session, *packet_id), at, Some(*state));
            }
            Change::InflightRemoved { session, packet_id } => {
                self.inflight.put(packet(*session, *packet_id), at, None);
            }
            Change::ReaderMoved { reader, done } => {
                self.reader_cursors.put(reader_key(shard, *reader), at, *done);
            }
            Change::ReceivedPut { session, packet_id } => {
                self.received.put(packet(*session, *packet_id), at, Some(()));
            }
            Change::ReceivedRemoved { session, packet_id } => {
                self.received.put(packet(*session, *packet_id), at, None);
            }
            Change::RetainedPut { message } => {
                self.retained.put(message.topic(), at, Some(message));
            }
            Change::RetainedRemoved { topic } => self.retained.put(topic, at, None),
            Change::RuleDelta { delta } => self.group.rule_deltas.push(delta),
            Change::RuleSnapshot { shards } => {
                self.group.rule_snapshot = Some(shards);
                self.group.rule_deltas.clear();
            }
            Change::SessionPut { session, record } => {
                self.sessions.put(key(*session), at, record);
            }
            Change::SessionRemoved { session } => {
                self.removed_at.insert(key(*session), at);
            }
            Change::SubscriptionPut { session, filter, options } => {
                self.subscriptions.put((key(*session), filter), at, Some(options));
            }
            Change::SubscriptionRemoved { session, filter } => {
                self.subscriptions.put((key(*session), filter), at, None);
            }
        }
    }

    fn finish(self) -> Group<'a> {
        let mut group = self.group;
        let removed_at = &self.removed_at;
        let lives = |session: &SessionKey, at: usize| {
            removed_at.get(session).is_none_or(|removed_at| *removed_at < at)
        };
        group.reader_cursors = self.reader_cursors.finish(|_, _| true);
        group.released.values_mut().for_each(merge);
        let (starts, released) = (&group.log_starts, &group.released);
        let readers = &group.reader_cursors;
        group.logged.retain(|logged| {
            starts.get(&logged.shard).is_none_or(|ends| ends.start <= logged.sequence)
                && !released.get(&logged.shard).is_some_and(|ranges| {
                    contains(ranges, logged.sequence) && is_read(logged, readers)
                })
        });
        group.logged.sort_by_key(|logged| (logged.shard, logged.sequence));
        group.sessions = self.sessions.finish(lives);
        group.cursors = self.cursors.finish(lives);
        group.subscriptions = self.subscriptions.finish(|(session, _), at| lives(session, at));
        group.inflight = self.inflight.finish(|key, at| lives(&session_of(key), at));
        group.received = self.received.finish(|key, at| lives(&session_of(key), at));
        group.retained = self.retained.finish(|_, _| true);
        group.removed_sessions = self.removed_at.into_keys().collect();
        group
    }
}

/// The changes of one table with their place; the last one of a key counts.
struct Latest<K, V>(Vec<(K, usize, V)>);

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Latest<K, V> {
    fn put(&mut self, key: K, at: usize, value: V) {
        self.0.push((key, at, value));
    }

    fn finish(mut self, keep: impl Fn(&K, usize) -> bool) -> Vec<(K, V)> {
        self.0.retain(|(key, at, _)| keep(key, *at));
        // The newest of a key comes first, and `dedup` keeps the first.
        self.0.sort_unstable_by(|(a, a_at, _), (b, b_at, _)| a.cmp(b).then(b_at.cmp(a_at)));
        self.0.dedup_by(|(later, ..), (first, ..)| later == first);
        self.0.into_iter().map(|(key, _, value)| (key, value)).collect()
    }
}

/// Puts ranges in order and joins those that touch.
pub(crate) fn merge(ranges: &mut Vec<Range<Sequence>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|later, first| {
        let touches = later.start <= first.end;
        if touches {
            first.end = first.end.max(later.end);
        }
        touches
    });
}

/// Whether a position is in one of some merged ranges.
fn contains(ranges: &[Range<Sequence>], sequence: Sequence) -> bool {
    let after = ranges.partition_point(|range| range.start <= sequence);
    after.checked_sub(1).is_some_and(|at| sequence < ranges[at].end)
}

/// Whether each reader that a message of the group is for is done with it by the end of the
/// group. Before the message was appended none was, so nothing outside of the group counts.
fn is_read(logged: &Logged<'_>, readers: &[(ReaderKey, Sequence)]) -> bool {
    logged.targets.iter().all(|target| match target.destination {
        Destination::Reader(reader) => {
            let key = reader_key(logged.shard, reader);
            let place = readers.binary_search_by_key(&key, |(key, _)| *key);
            place.is_ok_and(|place| logged.sequence <= readers[place].1)
        }
        Destination::Session(_) => true,
    })
}

fn packet_parts(key: &PacketKey) -> (ShardId, SessionId, PacketId) {
    let (shard, _) = session_key_parts(&session_of(key));
    let (session, packet_id) = packet_key_parts(key).expect("it was made of an identifier");
    (shard, session, packet_id)
}

fn session_of(key: &PacketKey) -> SessionKey {
    let [shard, a, b, c, d, ..] = *key;
    [shard, a, b, c, d]
}

#[cfg(test)]
mod tests;
