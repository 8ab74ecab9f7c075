//! A new store with what an old one holds: the rows of its tables, and the groups of its journal.

use std::path::Path;

use weir_core::{Batch, Change};

use super::examine::Source;
use super::fill::Filler;
use super::row::Table;
use crate::store::error::StoreError;
use crate::store::{Store, StoreOptions};

/// Makes the new store in an empty directory. Nothing of it is in its journal.
pub(crate) fn rebuild(source: &Source, place: &Path) -> Result<Store, StoreError> {
    let options = StoreOptions { verify: false, ..StoreOptions::default() };
    let store = Store::open(place, options.clone())?;
    let mut filler = Filler::new(&store);
    for table in Table::ALL {
        source.rows(table, |key, value, _| filler.put(table, key, value));
    }
    filler.finish()?;
    if source.journal.is_empty() {
        return Ok(store);
    }
    // Opened once more it knows where its logs end.
    drop(store);
    let store = Store::open(place, options)?;
    for record in &source.journal {
        // A record that is whole and says nothing sensible was not written by this version.
        let batches =
            record.batches().map_err(|error| error.at("journal", &record.number.to_be_bytes()))?;
        store.commit(&batches.into_iter().map(|batch| news(&store, batch)).collect::<Vec<_>>())?;
    }
    store.checkpoint()?;
    Ok(store)
}

/// What the store does not have: a journal whose place in time is not known may be older than
/// the tables.
fn news(store: &Store, mut batch: Batch) -> Batch {
    let next = store.log_stats(batch.shard).next;
    batch.changes.retain(|change| match change {
        Change::LogAppended { sequence, .. } => *sequence >= next,
        _ => true,
    });
    batch
}
