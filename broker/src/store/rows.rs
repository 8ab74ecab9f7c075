//! The rows of a group, in one transaction of the database.
//!
//! The log is trimmed in steps, because each trimming touches pages at the front of the log that
//! an append does not: a step waits until it frees enough to be worth them. Messages below the
//! start of the log may therefore come back after a restart; nobody waits for them.
//!
//! Behind a start that stays, because a session is away for long, the core names what no session
//! waits for. It is removed in the same way, but for what a reader is not done with: a record
//! says which readers it is for.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{ReadableTable as _, WriteTransaction};
use weir_core::{ReaderId, Sequence, ShardId};

use crate::store::group::{Group, Logged};
use crate::store::position::{LogPosition, Positions};
use crate::store::release::Removed;
use crate::store::{meta, record, release, schema};

type Table<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// A trimming frees this many messages at least, unless they are large.
const TRIM_RECORDS_MIN: u64 = 256;
/// A trimming waits for no more than this many appended bytes.
const TRIM_BYTES_MIN: u64 = 256 * 1024;
/// A trimming frees no more than this many messages, so that no commit becomes long by it.
const TRIM_RECORDS_MAX: u64 = 32 * 1024;

/// What a group came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Committed {
    /// Changes that were written, those of a checkpoint included; zero when the group changed
    /// nothing and was not written.
    pub records: u64,
    /// What they hold, bytes.
    pub record_bytes: u64,
}

/// Writes a group, and the epoch that follows if it comes from the journal.
pub(crate) fn write(
    transaction: &WriteTransaction,
    group: &Group<'_>,
    readers: &BTreeSet<ReaderId>,
    positions: &mut Positions,
    epoch: Option<u64>,
) -> Result<Committed, redb::Error> {
    let mut writing = Writing {
        transaction,
        readers,
        committed: Committed::default(),
        row_bytes: positions.row_bytes,
        is_tight: positions.is_tight,
    };
    writing.removed_sessions(group)?;
    writing.sessions(group)?;
    writing.cursors(group)?;
    writing.subscriptions(group)?;
    writing.inflight(group)?;
    writing.received(group)?;
    writing.retained(group)?;
    writing.reader_cursors(group)?;
    writing.rules(group, positions)?;
    writing.log(group, positions)?;
    if let Some(epoch) = epoch {
        writing.taken_positions(group, positions)?;
        meta::put(transaction, schema::META_JOURNAL_EPOCH, epoch)?;
    }
    positions.row_bytes = writing.row_bytes;
    if writing.committed.records > 0 || epoch.is_some() {
        meta::put(transaction, schema::META_ROW_BYTES, positions.row_bytes)?;
    }
    Ok(writing.committed)
}

/// A transaction that counts.
struct Writing<'t> {
    transaction: &'t WriteTransaction,
    readers: &'t BTreeSet<ReaderId>,
    committed: Committed,
    /// What all rows take.
    row_bytes: u64,
    /// Whatever can go goes at once.
    is_tight: bool,
}

impl Writing<'_> {
    fn removed_sessions(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.removed_sessions.is_empty() {
            return Ok(());
        }
        let mut sessions = self.transaction.open_table(schema::SESSION)?;
        let mut cursors = self.transaction.open_table(schema::CURSOR)?;
        let mut subscriptions = self.transaction.open_table(schema::SUBSCRIPTION)?;
        let mut inflight = self.transaction.open_table(schema::INFLIGHT_OUT)?;
        let mut received = self.transaction.open_table(schema::RECEIVED_QOS2)?;
        for session in &group.removed_sessions {
            self.remove(&mut sessions, session)?;
            self.remove(&mut cursors, session)?;
            let mut removed = Removed::default();
            let after = schema::session_key_after(session);
            let end = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
            let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&session[..]), end);
            subscriptions.retain_in::<&[u8], _>(range, |key, value| {
                removed.count(key.len() + value.len())
            })?;
            let (first, last) = schema::packet_key_bounds(session);
            for of_packets in [&mut inflight, &mut received] {
                of_packets.retain_in::<&[u8], _>(&first[..]..=&last, |key, value| {
                    removed.count(key.len() + value.len())
                })?;
            }
            self.removed(removed);
        }
        Ok(())
    }

    fn sessions(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.sessions.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::SESSION)?;
        let mut value = Vec::new();
        for (key, session) in &group.sessions {
            value.clear();
            record::encode_session(session, &mut value);
            self.put(&mut table, key, &value)?;
        }
        Ok(())
    }

    fn cursors(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.cursors.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::CURSOR)?;
        let mut value = Vec::new();
        for (key, cursor) in &group.cursors {
            value.clear();
            record::encode_cursor(cursor, &mut value);
            self.put(&mut table, key, &value)?;
        }
        Ok(())
    }

    fn subscriptions(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.subscriptions.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::SUBSCRIPTION)?;
        let mut key = Vec::new();
        for ((session, filter), subscription) in &group.subscriptions {
            schema::put_subscription_key(&mut key, session, filter);
            match subscription {
                Some(subscription) => {
                    let value = record::encode_subscription(subscription);
                    self.put(&mut table, &key, &value)?;
                }
                None => self.remove(&mut table, &key)?,
            }
        }
        Ok(())
    }

    fn inflight(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.inflight.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::INFLIGHT_OUT)?;
        for (key, state) in &group.inflight {
            match state {
                Some(state) => {
                    let value = record::encode_inflight(*state).to_le_bytes();
                    self.put(&mut table, key, &value)?;
                }
                None => self.remove(&mut table, key)?,
            }
        }
        Ok(())
    }

    fn received(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.received.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::RECEIVED_QOS2)?;
        for (key, state) in &group.received {
            match state {
                Some(()) => self.put(&mut table, key, &[])?,
                None => self.remove(&mut table, key)?,
            }
        }
        Ok(())
    }

    fn retained(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.retained.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::RETAINED)?;
        for (topic, message) in &group.retained {
            match message {
                Some(message) => self.put(&mut table, topic.as_bytes(), message.as_record())?,
                None => self.remove(&mut table, topic.as_bytes())?,
            }
        }
        Ok(())
    }

    fn reader_cursors(&mut self, group: &Group<'_>) -> Result<(), redb::Error> {
        if group.reader_cursors.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::READER_CURSOR)?;
        for (key, done) in &group.reader_cursors {
            self.put(&mut table, key, &done.0.to_le_bytes())?;
        }
        Ok(())
    }

    fn rules(&mut self, group: &Group<'_>, positions: &mut Positions) -> Result<(), redb::Error> {
        if let Some(shards) = group.rule_snapshot {
            let mut table = self.transaction.open_table(schema::RULE_SNAPSHOT)?;
            for (place, shard) in (0_u32..).zip(shards) {
                let key = schema::rule_snapshot_key(place);
                self.put(&mut table, &key, shard)?;
            }
            let mut removed = Removed::default();
            let end = schema::rule_snapshot_key(u32::try_from(shards.len()).unwrap_or(u32::MAX));
            table.retain_in::<&[u8], _>(&end[..].., |key, value| {
                removed.count(key.len() + value.len())
            })?;
            let mut deltas = self.transaction.open_table(schema::RULE_DELTA)?;
            deltas.retain(|key, value| removed.count(key.len() + value.len()))?;
            self.removed(removed);
        }
        if group.rule_deltas.is_empty() {
            return Ok(());
        }
        let mut table = self.transaction.open_table(schema::RULE_DELTA)?;
        for delta in &group.rule_deltas {
            let key = schema::rule_delta_key(positions.next_rule_delta);
            self.put(&mut table, &key, delta)?;
            positions.next_rule_delta += 1;
        }
        Ok(())
    }

    /// Appends before it trims, so that the end of the log is known when it is trimmed.
    fn log(&mut self, group: &Group<'_>, positions: &mut Positions) -> Result<(), redb::Error> {
        for (shard, ranges) in &group.released {
            release::note(positions.shards.entry(*shard).or_default(), ranges);
        }
        if !group.logged.is_empty() {
            let mut table = self.transaction.open_table(schema::LOG)?;
            for of_shard in group.logged.chunk_by(|one, next| one.shard == next.shard) {
                let bytes = self.append(&mut table, of_shard)?;
                if let Some(logged) = of_shard.first() {
                    let position = positions.shards.entry(logged.shard).or_default();
                    position.untrimmed_bytes += bytes;
                }
            }
        }
        for (shard, ends) in &group.log_starts {
            let position = positions.shards.entry(*shard).or_default();
            position.next = position.next.max(ends.next);
            self.trim(*shard, ends.start, position)?;
        }
        for (shard, end) in &group.reserved {
            let position = positions.shards.entry(*shard).or_default();
            position.reserved = position.reserved.max(*end);
            self.remember_next(*shard, position)?;
        }
        for (shard, position) in &mut positions.shards {
            self.release(*shard, position)?;
        }
        Ok(())
    }

    /// Removes what nobody waits for behind the start of a log.
    fn release(&mut self, shard: ShardId, position: &mut LogPosition) -> Result<(), redb::Error> {
        if position.released.is_empty() {
            return Ok(());
        }
        let removed = release::remove(self.transaction, shard, position, self.readers)?;
        self.removed(removed);
        if removed.rows == 0 {
            return Ok(());
        }
        let log = self.transaction.open_table(schema::LOG)?;
        let end = schema::log_key(shard, Sequence(u64::MAX));
        let last = log.range::<&[u8]>(..=&end[..])?.next_back().transpose()?;
        let last = last.map(|(key, _)| schema::fixed(key.value()).map(schema::log_key_parts));
        let last = last.transpose()?;
        if last != Some((shard, Sequence(position.next.0 - 1))) {
            self.remember_next(shard, position)?;
        }
        Ok(())
    }

    /// Writes how far a shard has come: what was removed may have been the last that told.
    fn remember_next(&mut self, shard: ShardId, position: &LogPosition) -> Result<(), redb::Error> {
        let mut table = self.transaction.open_table(schema::POSITION)?;
        let next = position.next.max(position.reserved).0.to_le_bytes();
        self.put(&mut table, &[shard.0], &next)
    }

    /// Positions only grow, so all of a shard's messages go into the one gap after its last; in
    /// large groups that costs half of a look-up for each. A position that does not grow would
    /// overwrite a message: it fails the commit.
    fn append(
        &mut self,
        table: &mut Table<'_>,
        of_shard: &[Logged<'_>],
    ) -> Result<u64, redb::Error> {
        let Some(first) = of_shard.first() else { return Ok(0) };
        let end = schema::log_key(first.shard, Sequence(u64::MAX));
        let mut gap = table.upper_bound_mut(Bound::Included(&end[..]))?;
        let mut value = Vec::new();
        let before = self.committed.record_bytes;
        for logged in of_shard {
            value.clear();
            record::encode_logged(logged.message, logged.targets, &mut value);
            let key = schema::log_key(logged.shard, logged.sequence);
            gap.insert_before(&key[..], value.as_slice())?;
            self.wrote(key.len() + value.len(), 0);
        }
        gap.close()?;
        Ok(self.committed.record_bytes - before)
    }

    fn trim(
        &mut self,
        shard: ShardId,
        start: Sequence,
        position: &mut LogPosition,
    ) -> Result<(), redb::Error> {
        let start = start.min(position.next);
        let count = start.0.saturating_sub(position.first.0);
        let worth_it = self.is_tight
            || count >= TRIM_RECORDS_MIN
            || position.untrimmed_bytes >= TRIM_BYTES_MIN;
        if count == 0 || !worth_it {
            return Ok(());
        }
        let end = Sequence(position.first.0 + count.min(TRIM_RECORDS_MAX));
        let mut table = self.transaction.open_table(schema::LOG)?;
        let from = schema::log_key(shard, position.first);
        let to = schema::log_key(shard, end);
        let mut removed = Removed::default();
        table.retain_in::<&[u8], _>(&from[..]..&to, |key, value| {
            removed.count(key.len() + value.len())
        })?;
        position.first = end;
        position.untrimmed_bytes = 0;
        if removed.rows > 0 {
            self.remember_next(shard, position)?;
        }
        self.removed(removed);
        Ok(())
    }

    /// A message that was committed in the journal and is not waited for any more has no row; its
    /// position is taken all the same.
    fn taken_positions(
        &mut self,
        group: &Group<'_>,
        positions: &Positions,
    ) -> Result<(), redb::Error> {
        for (shard, ends) in &group.log_starts {
            let Some(position) = positions.shards.get(shard) else { continue };
            let last = group.logged.iter().rfind(|logged| logged.shard == *shard);
            let has_row = last.is_some_and(|last| last.sequence.next() == position.next);
            if ends.next > Sequence(0) && !has_row {
                self.remember_next(*shard, position)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, table: &mut Table<'_>, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        let before = table.insert(key, value)?;
        let before = before.map_or(0, |before| key.len() + before.value().len());
        self.wrote(key.len() + value.len(), before);
        Ok(())
    }

    fn remove(&mut self, table: &mut Table<'_>, key: &[u8]) -> Result<(), redb::Error> {
        let mut removed = Removed::default();
        if let Some(value) = table.remove(key)? {
            removed.count(key.len() + value.value().len());
        }
        self.removed(removed);
        Ok(())
    }

    /// A row was written, in the place of one that took `before` bytes.
    fn wrote(&mut self, bytes: usize, before: usize) {
        self.committed.records += 1;
        self.committed.record_bytes += bytes as u64;
        self.row_bytes = (self.row_bytes + bytes as u64).saturating_sub(before as u64);
    }

    fn removed(&mut self, removed: Removed) {
        self.committed.records += removed.rows;
        self.row_bytes = self.row_bytes.saturating_sub(removed.bytes);
    }
}
