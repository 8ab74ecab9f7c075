//! The journal beside a store file, looked at from outside.
//!
//! The records that count are found as a start finds them. Of a damaged journal every record that
//! is whole is taken, in the order in which they were written: what lies between them is lost.

use std::fs::File;
use std::io;
use std::path::Path;

use redb::StorageBackend as _;
use redb::backends::FileBackend;
use serde::Serialize;

use crate::store::error::{StoreError, engine, io_error};
use crate::store::files::{FILE_NAME, JOURNAL_NAME};
use crate::store::journal::{JournalRecord, records};

/// What was found in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JournalFindings {
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Groups that are in it and not in the tables.
    pub records: u64,
    /// Some that were committed cannot be read.
    pub is_damaged: bool,
}

/// What the database says about its journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// What the journal calls the store.
    pub(crate) store_id: Option<u64>,
    /// The epoch whose records the database does not hold.
    pub(crate) epoch: Option<u64>,
}

/// Reads the journal of a database. A copy of a store has none, and whatever lies beside it is
/// not its own.
///
/// # Errors
/// When it belongs to another store, or cannot be read.
pub(crate) fn read(
    database: &Path,
    named: Named,
) -> Result<(JournalFindings, Vec<JournalRecord>), StoreError> {
    let nothing = (JournalFindings::default(), Vec::new());
    if database.file_name().is_none_or(|name| name != FILE_NAME) {
        return Ok(nothing);
    }
    let path = database.with_file_name(JOURNAL_NAME);
    let failed = |error| io_error(path.clone(), error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
        Err(error) => return Err(failed(error)),
    };
    let backend = FileBackend::new(file).map_err(|error| engine(&path, error))?;
    let bytes = backend.len().map_err(failed)?;
    let mut head = [0; HEAD_BYTES];
    let there = usize::try_from(bytes).map_or(HEAD_BYTES, |bytes| bytes.min(HEAD_BYTES));
    backend.read(0, &mut head[..there]).map_err(failed)?;
    let found = records(&backend).map_err(failed)?;
    let is_ours = |record: &JournalRecord| named.store_id.is_none_or(|id| record.store_id == id);
    if !found.iter().all(is_ours) {
        return Err(StoreError::ForeignJournal { path });
    }
    let mut findings = JournalFindings { bytes, ..JournalFindings::default() };
    let epoch = named.epoch.or_else(|| found.iter().map(|record| record.epoch).max());
    let mut taken = Vec::new();
    for record in found {
        if Some(record.epoch) >= epoch && record.batches().is_err() {
            // It is whole and says nothing sensible.
            findings.is_damaged = true;
            continue;
        }
        let is_next = Some(record.epoch) == epoch
            && record.number == findings.records
            && record.follows(taken.last());
        if is_next && !findings.is_damaged {
            findings.records += 1;
            taken.push(record);
        } else if Some(record.epoch) >= epoch {
            findings.is_damaged = true;
            taken.push(record);
        }
    }
    if there > 0 && !head.starts_with(MAGIC) && head != [0; HEAD_BYTES] {
        // It is a record of ours whose beginning was hit, or no journal at all.
        let id = named.store_id.map(u64::to_le_bytes);
        if taken.is_empty() && id.is_none_or(|id| head[STORE_ID..][..id.len()] != id) {
            return Err(StoreError::NotAStore { path });
        }
        findings.is_damaged = true;
    }
    findings.records = taken.len() as u64;
    taken.sort_by_key(|record| (record.epoch, record.number));
    Ok((findings, taken))
}

const MAGIC: &[u8] = b"weirjrnl";
/// The header of a record, and where the name of the store is in it.
const HEAD_BYTES: usize = 48;
const STORE_ID: usize = 16;
