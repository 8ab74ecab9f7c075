//! One group of batches: one record of the journal, or one transaction of the database.
//!
//! A small group goes to the journal. A checkpoint writes what gathered there into the database
//! in one transaction, and what all receivers acknowledged meanwhile is not written at all. A
//! large group is a checkpoint itself: the journal would only double what is written.

use std::ops::Range;
use std::sync::atomic::Ordering;

use redb::Durability;
use weir_core::{Batch, Change, Sequence};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::group::Group;
use crate::store::journal::Journal;
use crate::store::position::Positions;
use crate::store::rows::{self, Committed};

/// A group of this many changes goes past the journal.
const RECORD_CHANGES_MAX: usize = 256;
/// A group with this much content goes past the journal.
const RECORD_BYTES_MAX: usize = 64 * 1024;

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
    let committed = rows::write(&transaction, group, &readers, positions, epoch)?;
    if committed.records == 0 && epoch.is_none() {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(committed)
}
