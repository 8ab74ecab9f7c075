//! One group of batches: one record of the journal, or one transaction of the database.
//!
//! A small group goes to the journal. A checkpoint writes what gathered there into the database
//! in one transaction, and what all receivers acknowledged meanwhile is not written at all. A
//! large group is a checkpoint itself: the journal would only double what is written.
//!
//! The log is trimmed in steps, because each trimming touches pages at the front of the log that
//! an append does not: a step waits until it frees enough to be worth them. Messages below the
//! start of the log may therefore come back after a restart; nobody waits for them.
//!
//! Behind a start that stays, because a session is away for long, the core names what no session
//! waits for. It is removed in the same way, but for what a reader is not done with: a record
//! says which readers it is for.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::atomic::Ordering;

use redb::{Durability, ReadableTable as _, Table, WriteTransaction};
use weir_core::{Batch, Change, ReaderId, Sequence, ShardId};

use crate::store::error::StoreError;
use crate::store::group::{Group, Logged};
use crate::store::journal::Journal;
use crate::store::position::{LogPosition, Positions};
use crate::store::release::Removed;
use crate::store::{Store, meta, record, release, schema};

/// A trimming frees this many messages at least, unless they are large.
const TRIM_RECORDS_MIN: u64 = 256;
/// A trimming waits for no more than this many appended bytes.
const TRIM_BYTES_MIN: u64 = 256 * 1024;
/// A trimming frees no more than this many messages, so that no commit becomes long by it.
const TRIM_RECORDS_MAX: u64 = 32 * 1024;

/// A group of this many changes goes past the journal.
const RECORD_CHANGES_MAX: usize = 256;
/// A group with this much content goes past the journal.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What a group came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Committed {
    /// Changes that were written, those of a checkpoint included; zero when the group changed
    /// nothing and was not written.
    pub records: u64,
    /// What they hold, bytes.
    pub record_bytes: u64,
}

pub(crate) fn commit(store: &Store, batches: &[Batch]) -> Result<Committed, StoreError> {
    let mut journal = store.journal();
    store.check_alive()?;
    let result = match journal.as_mut() {
        Some(journal) => to_journal(store, journal, batches),
        None => to_database(store, None, batches, Group::of(batches)),
    };
    if result.is_ok() {
        store.held().committed(batches);
    }
    match &result {
        Ok(committed) if committed.records > 0 => {
            store.totals.commits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(_) => {}
        Err(_) => store.set_failed(true),
    }
    result
}

/// Writes what is pending into the database.
pub(crate) fn checkpoint(store: &Store) -> Result<(), StoreError> {
    let mut journal = store.journal();
    store.check_alive()?;
    if store.overlay().batches().is_empty() {
        return Ok(());
    }
    let result = to_database(store, journal.as_mut(), &[], Group::default());
    if result.is_err() {
        store.set_failed(true);
    }
    result.map(|_| ())
}

/// Appends a record, or makes a checkpoint with the group in it when that is better or due.
fn to_journal(
    store: &Store,
    journal: &mut Journal,
    batches: &[Batch],
) -> Result<Committed, StoreError> {
    let group = Group::of(batches);
    let records = group.records();
    if records == 0 && group.released.is_empty() {
        return Ok(Committed::default());
    }
    if !store.overlay().goes_before(&group) {
        return Err(StoreError::PositionTaken { path: store.path.clone() });
    }
    if records >= RECORD_CHANGES_MAX {
        return to_database(store, Some(journal), batches, group);
    }
    let left = group.to_batches();
    let record_bytes = journal.prepare(&left);
    let ranges: usize = group.released.values().map(Vec::len).sum();
    let memory_bytes = record_bytes
        + (records + group.released.len()) * size_of::<Change>()
        + ranges * size_of::<Range<Sequence>>();
    let is_large = record_bytes >= RECORD_BYTES_MAX;
    let memory_after = store.overlay().bytes() + memory_bytes;
    let is_due = !journal.has_room()
        || memory_after as u64 > 2 * journal.bytes_max()
        || store.is_tight(memory_bytes);
    if is_large || is_due {
        return to_database(store, Some(journal), batches, group);
    }
    let committed = if records == 0 {
        // What nobody waits for is named again after a crash; it needs no record.
        Committed::default()
    } else {
        journal.append()?;
        Committed { records: records as u64, record_bytes: record_bytes as u64 }
    };
    store.overlay_mut().add(left, memory_bytes, &group.log_starts);
    store.totals.add(committed);
    Ok(committed)
}

/// Writes what is pending and the batches, which come to `group`, in one transaction. Readers see
/// one or the other meanwhile, never neither.
pub(crate) fn to_database<'b>(
    store: &Store,
    journal: Option<&mut Journal>,
    batches: &'b [Batch],
    group: Group<'b>,
) -> Result<Committed, StoreError> {
    let is_tight = store.is_tight(0);
    let overlay = store.overlay();
    let is_checkpoint = !overlay.batches().is_empty();
    // Also when nothing is pending: the records of an epoch follow the transaction that names it
    // and no other, so that they are not taken for those of a database that lost one.
    let epoch = journal.as_ref().map(|journal| journal.epoch() + 1);
    let group =
        if is_checkpoint { Group::of(overlay.batches().iter().chain(batches)) } else { group };
    let mut after = overlay.positions_after();
    after.is_tight = is_tight;
    store.last_transaction().begin(!batches.is_empty());
    let result = store
        .guarded(|| write(store, &group, &mut after, epoch).map_err(|error| store.engine(error)));
    drop(group);
    drop(overlay);
    let committed = result?;
    store.overlay_mut().checkpointed(after);
    store.totals.add(committed);
    if let (Some(journal), Some(epoch)) = (journal, epoch) {
        journal.begin(epoch);
    }
    if is_checkpoint {
        store.totals.checkpoints.fetch_add(1, Ordering::Relaxed);
    }
    Ok(committed)
}

/// One transaction. With an epoch it stores as well that the journal is done with the one before.
fn write(
    store: &Store,
    group: &Group<'_>,
    positions: &mut Positions,
    epoch: Option<u64>,
) -> Result<Committed, redb::Error> {
    let mut transaction = store.begin_write()?;
    transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
    let readers = store.readers().clone();
    let committed = write_group(&transaction, group, &readers, positions, epoch)?;
    if committed.records == 0 && epoch.is_none() {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(committed)
}

/// Writes a group, and the epoch that follows if it comes from the journal.
pub(crate) fn write_group(
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
            let mut removed = Removed::default();
            if let Some(value) = sessions.remove(&session[..])? {
                removed.count(session.len() + value.value().len());
            }
            if let Some(value) = cursors.remove(&session[..])? {
                removed.count(session.len() + value.value().len());
            }
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
            let before = table.insert(&key[..], value.as_slice())?;
            let before = before.map(|before| key.len() + before.value().len());
            self.wrote(key.len() + value.len(), before);
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
            let before = table.insert(&key[..], value.as_slice())?;
            let before = before.map(|before| key.len() + before.value().len());
            self.wrote(key.len() + value.len(), before);
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
                    let bytes = key.len() + value.len();
                    let is_there = table.insert(key.as_slice(), &value[..])?.is_some();
                    self.wrote(bytes, is_there.then_some(bytes));
                }
                None => {
                    let value = table.remove(key.as_slice())?;
                    self.removed_row(value.map(|value| key.len() + value.value().len()));
                }
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
            let bytes = key.len() + size_of::<u64>();
            match state {
                Some(state) => {
                    let value = record::encode_inflight(*state).to_le_bytes();
                    let is_there = table.insert(&key[..], &value[..])?.is_some();
                    self.wrote(bytes, is_there.then_some(bytes));
                }
                None => {
                    let is_there = table.remove(&key[..])?.is_some();
                    self.removed_row(is_there.then_some(bytes));
                }
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
                Some(()) => {
                    let is_there = table.insert(&key[..], &[][..])?.is_some();
                    self.wrote(key.len(), is_there.then_some(key.len()));
                }
                None => {
                    let is_there = table.remove(&key[..])?.is_some();
                    self.removed_row(is_there.then_some(key.len()));
                }
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
                Some(message) => {
                    let before = table.insert(topic.as_bytes(), message.as_record())?;
                    let before = before.map(|before| topic.len() + before.value().len());
                    self.wrote(topic.len() + message.len(), before);
                }
                None => {
                    let value = table.remove(topic.as_bytes())?;
                    self.removed_row(value.map(|value| topic.len() + value.value().len()));
                }
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
            let bytes = key.len() + size_of::<u64>();
            let is_there = table.insert(&key[..], &done.0.to_le_bytes()[..])?.is_some();
            self.wrote(bytes, is_there.then_some(bytes));
        }
        Ok(())
    }

    fn rules(&mut self, group: &Group<'_>, positions: &mut Positions) -> Result<(), redb::Error> {
        if let Some(shards) = group.rule_snapshot {
            let mut table = self.transaction.open_table(schema::RULE_SNAPSHOT)?;
            for (place, shard) in (0_u32..).zip(shards) {
                let key = schema::rule_snapshot_key(place);
                let before = table.insert(&key[..], shard.as_slice())?;
                let before = before.map(|before| key.len() + before.value().len());
                self.wrote(key.len() + shard.len(), before);
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
            table.insert(&key[..], *delta)?;
            positions.next_rule_delta += 1;
            self.wrote(key.len() + delta.len(), None);
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
        let bytes = size_of::<u8>() + size_of::<u64>();
        let next = position.next.max(position.reserved).0.to_le_bytes();
        let is_there = table.insert(&[shard.0][..], &next[..])?.is_some();
        self.wrote(bytes, is_there.then_some(bytes));
        Ok(())
    }

    /// Positions only grow, so all of a shard's messages go into the one gap after its last; in
    /// large groups that costs half of a look-up for each. A position that does not grow would
    /// overwrite a message: it fails the commit.
    fn append(
        &mut self,
        table: &mut Table<'_, &'static [u8], &'static [u8]>,
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
            self.wrote(key.len() + value.len(), None);
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

    /// A row was written, in the place of one that took `before` bytes if there was one.
    fn wrote(&mut self, bytes: usize, before: Option<usize>) {
        self.committed.records += 1;
        self.committed.record_bytes += bytes as u64;
        self.row_bytes = (self.row_bytes + bytes as u64).saturating_sub(before.unwrap_or(0) as u64);
    }

    /// A row was removed that took so many bytes, if there was one.
    fn removed_row(&mut self, bytes: Option<usize>) {
        let mut removed = Removed::default();
        bytes.map(|bytes| removed.count(bytes));
        self.removed(removed);
    }

    fn removed(&mut self, removed: Removed) {
        self.committed.records += removed.rows;
        self.row_bytes = self.row_bytes.saturating_sub(removed.bytes);
    }
}
