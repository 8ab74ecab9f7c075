//! What is committed and not in the database yet, so that readers see all of the log.
//!
//! Responsible for the groups that are in the journal only: a checkpoint takes them from here.
//! Committed positions of a shard only grow, so everything here is behind what the database
//! holds. It is bounded, as the journal is.

use std::collections::BTreeMap;

use weir_core::{Batch, Change, Message, Sequence, ShardId, Target};

use crate::store::group::{Group, LogStart};
use crate::store::position::{LogStats, Positions};
use crate::store::schema::{ReaderKey, reader_key};

/// The groups that the database does not hold, and where the log in the database ends.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Where the log of each shard begins and ends in the database.
    pub(crate) positions: Positions,
    /// Counts the checkpoints, so that one between two looks is noticed.
    checkpoints: u64,
    batches: Vec<Batch>,
    logs: BTreeMap<ShardId, PendingLog>,
    reader_cursors: BTreeMap<ReaderKey, Sequence>,
    bytes: usize,
}

/// The messages of a shard.
#[derive(Debug, Default)]
struct PendingLog {
    /// Nobody waits for what is below.
    start: Sequence,
    /// The position after the last one, zero without one.
    next: Sequence,
    /// Position, batch and change of each message, in the order of positions.
    places: Vec<(Sequence, usize, usize)>,
}

/// A committed message that waits for its targets.
pub(crate) struct PendingMessage<'a> {
    pub(crate) sequence: Sequence,
    pub(crate) message: &'a Message,
    pub(crate) targets: &'a [Target],
}

impl Overlay {
    pub(crate) fn new(positions: Positions) -> Self {
        Self { positions, ..Self::default() }
    }

    /// Takes what is left of a group that is in the journal; `bytes` is about what it holds in
    /// memory, and `ends` where the group's part of each log begins and ends.
    pub(crate) fn add(
        &mut self,
        batches: Vec<Batch>,
        bytes: usize,
        ends: &BTreeMap<ShardId, LogStart>,
    ) {
        self.bytes += bytes;
        for (shard, ends) in ends {
            let log = self.logs.entry(*shard).or_default();
            log.start = log.start.max(ends.start);
            log.next = log.next.max(ends.next);
        }
        for batch in batches {
            let log = self.logs.entry(batch.shard).or_default();
            for (at, change) in batch.changes.iter().enumerate() {
                match change {
                    Change::LogAppended { sequence, .. } => {
                        log.places.push((*sequence, self.batches.len(), at));
                    }
                    Change::ReaderMoved { reader, done } => {
                        self.reader_cursors.insert(reader_key(batch.shard, *reader), *done);
                    }
                    _ => {}
                }
            }
            self.batches.push(batch);
        }
    }

    /// All of it is in the database now, whose log ends at `positions`.
    pub(crate) fn checkpointed(&mut self, positions: Positions) {
        *self = Self { positions, checkpoints: self.checkpoints + 1, ..Self::default() };
    }

    /// Where the logs end, those that are here included. What is here and not waited for any
    /// more may never come to the database; its positions are taken all the same.
    pub(crate) fn positions_after(&self) -> Positions {
        let mut positions = self.positions.clone();
        for (shard, log) in &self.logs {
            let position = positions.shards.entry(*shard).or_default();
            position.next = position.next.max(log.next);
        }
        positions
    }

    /// Changes with each checkpoint.
    pub(crate) fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// The groups, the oldest first.
    pub(crate) fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// About what the groups hold in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all positions of a group are behind those that are committed.
    pub(crate) fn goes_before(&self, group: &Group<'_>) -> bool {
        let mut shards = group.logged.chunk_by(|one, next| one.shard == next.shard);
        shards.all(|of_shard| {
            let grows = of_shard.is_sorted_by(|one, next| one.sequence < next.sequence);
            let first = of_shard.first();
            grows && first.is_none_or(|first| first.sequence >= self.log_stats(first.shard).next)
        })
    }

    pub(crate) fn log_stats(&self, shard: ShardId) -> LogStats {
        let written = self.positions.shards.get(&shard);
        let mut stats = written
            .map(|position| LogStats { first: position.first, next: position.next })
            .unwrap_or_default();
        if let Some(pending) = self.logs.get(&shard) {
            stats.next = stats.next.max(pending.next);
        }
        stats
    }

    /// How many messages somebody may wait for.
    pub(crate) fn log_records(&self) -> u64 {
        let waiting = |log: &PendingLog| log.places.len() - log.place_of(log.start);
        self.logs.values().map(|log| waiting(log) as u64).sum()
    }

    pub(crate) fn message(&self, shard: ShardId, sequence: Sequence) -> Option<&Message> {
        let log = self.logs.get(&shard)?;
        let place = log.places.get(log.place_of(sequence))?;
        (place.0 == sequence).then(|| self.at(place).message)
    }

    /// The messages of a shard after a position, in order.
    pub(crate) fn messages_after(
        &self,
        shard: ShardId,
        after: Sequence,
    ) -> impl Iterator<Item = PendingMessage<'_>> {
        let places = self.logs.get(&shard).map_or(&[][..], |log| {
            log.places.get(log.place_of(after.next())..).unwrap_or_default()
        });
        places.iter().map(|place| self.at(place))
    }

    pub(crate) fn reader_cursor(&self, key: &ReaderKey) -> Option<Sequence> {
        self.reader_cursors.get(key).copied()
    }

    fn at(&self, (sequence, batch, change): &(Sequence, usize, usize)) -> PendingMessage<'_> {
        let Change::LogAppended { message, targets, .. } = &self.batches[*batch].changes[*change]
        else {
            unreachable!("places are those of messages");
        };
        PendingMessage { sequence: *sequence, message, targets }
    }
}

impl PendingLog {
    /// The place of the first message at or above a position.
    fn place_of(&self, sequence: Sequence) -> usize {
        self.places.partition_point(|(at, ..)| *at < sequence)
    }
}
