//! The durable state of the broker: a database, a journal before it, one writer, groups of
//! batches.
//!
//! Responsible for keeping what shards and rules hand over as [`Batch`]es and for giving it back
//! after a restart. It decides nothing about the protocol. What [`Store::commit`] has answered
//! survives SIGKILL and a power cut, and a group is there as a whole or not at all. Reads never
//! wait for the writer. The database engine is named nowhere outside of this module.
//!
//! ```
//! # use std::sync::Arc;
//! use weir_broker::store::{Store, StoreOptions, Writer, WriterOptions};
//! use weir_core::ShardId;
//!
//! # let directory = std::env::temp_dir().join(format!("weir-doc-{}", std::process::id()));
//! let store = Arc::new(Store::open(&directory, StoreOptions::default())?);
//! let recovered = store.recover(ShardId(0), 1_000_000)?;
//! assert!(recovered.sessions.is_empty());
//!
//! let writer = Writer::start(Arc::clone(&store), WriterOptions::default(), |report| {
//!     // `report` names the batches that are safe now; the shards open their gates.
//!     let _ = report;
//! })?;
//! writer.stop();
//! # drop(store);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A module uses modules listed below it, never above.
mod maintain;

mod loader;
mod writer;

mod reopen;

mod commit;
mod open;
mod read_log;
mod readers;
mod recover;

mod rows;

mod overlay;
mod release;

mod group;
mod journal;
mod position;

mod meta;
mod upgrade;

mod files;

mod backend;
mod record;
mod schema;

mod error;
mod held;
mod latency;
mod options;
mod queue;

mod links;
mod quiet;
mod room;

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTableMetadata, WriteTransaction};
use weir_core::{Batch, ReaderId};

pub use self::error::{MalformedRecord, StoreError};
pub(crate) use self::files::FILE_NAME;
pub use self::journal::{JournalRecord, records as journal_records};
pub use self::links::{Taken, ready};
pub(crate) use self::loader::Loader;
pub use self::maintain::{
    BackupError, Compacted, Examination, ExportError, ExportTable, JournalFindings, Salvage,
    SalvagedTable, SessionFindings, TableFindings, compact, copy, examine, export,
};
pub(crate) use self::maintain::{kept, receive};
pub use self::options::{Condition, StoreOptions};
pub use self::position::LogStats;
pub use self::queue::Refused;
pub(crate) use self::queue::batch_bytes;
pub use self::recover::RuleState;
pub use self::reopen::LastGroup;
pub use self::room::{RoomLimits, RoomWatch, Shortage, free_disk};
pub use self::rows::Committed;
pub use self::writer::{BatchSender, Writer, WriterOptions, WriterState, WriterStatus};

use self::backend::{DiskCounters, OpenFiles};
use self::held::Held;
use self::journal::Journal;
use self::overlay::Overlay;
use self::reopen::LastTransaction;

/// The open store. Everything takes `&self`; share it in an `Arc`.
pub struct Store {
    /// None while a store that has failed is opened anew.
    database: RwLock<Option<Database>>,
    cache_bytes: usize,
    /// None for a store that ends with the process.
    open_files: Option<OpenFiles>,
    last_transaction: Mutex<LastTransaction>,
    tightness: Tightness,
    /// The file, for messages to the operator.
    path: PathBuf,
    boot_epoch: u64,
    condition: Condition,
    disk: Arc<DiskCounters>,
    journal_disk: Arc<DiskCounters>,
    totals: Totals,
    /// Set by a commit that fails; nothing is written until the store is opened anew.
    failed: AtomicBool,
    /// How often the files were opened, from one.
    opening: AtomicU64,
    /// The last opening in which a read has failed; zero for none.
    refused_opening: AtomicU64,
    /// Held for the whole of a commit. A store in memory has no journal.
    journal: Mutex<Option<Journal>>,
    /// What the database does not hold yet. Only who holds the journal changes it, and for a
    /// moment only, so that nobody waits for the disk who wants to read.
    overlay: RwLock<Overlay>,
    /// What readers find in the log and nobody writes.
    held: Mutex<Held>,
    /// The readers that this process has named.
    readers: Mutex<BTreeSet<ReaderId>>,
}

/// When room is so short that each byte counts.
#[derive(Debug)]
struct Tightness {
    at: AtomicU64,
    now: AtomicBool,
}

impl Default for Tightness {
    fn default() -> Self {
        Self { at: AtomicU64::new(u64::MAX), now: AtomicBool::new(false) }
    }
}

/// What was committed since the store was opened.
#[derive(Debug, Default)]
struct Totals {
    checkpoints: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
    record_bytes: AtomicU64,
}

impl Totals {
    fn add(&self, committed: Committed) {
        self.records.fetch_add(committed.records, Ordering::Relaxed);
        self.record_bytes.fetch_add(committed.record_bytes, Ordering::Relaxed);
    }
}

/// Figures about the store, counted since it was opened where nothing else is said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreStats {
    /// How often what was in the journal went to the database.
    pub checkpoints: u64,
    /// Groups that were written.
    pub commits: u64,
    /// Changes that were written; one that goes through the journal to the database counts twice.
    pub records: u64,
    /// What they hold, bytes.
    pub record_bytes: u64,
    /// Bytes that went to the disk, in both files.
    pub bytes_written: u64,
    /// Those of them that went to the journal.
    pub journal_bytes_written: u64,
    /// Flushes of the disk, of both files.
    pub syncs: u64,
    /// Length of the database now, bytes.
    pub file_bytes: u64,
    /// Length of the journal now, bytes.
    pub journal_bytes: u64,
    /// Messages in the log of all shards now.
    pub log_records: u64,
    /// Messages that wait for readers in memory alone now.
    pub held_records: u64,
}

impl Store {
    /// Commits all batches as one group and returns when they are on the disk. A group that
    /// changes nothing is not written.
    ///
    /// # Errors
    /// When the group could not be written. It is then unknown whether it is on the disk, and
    /// every later commit fails too, until [`Store::reopen`] or a restart has found out.
    pub fn commit(&self, batches: &[Batch]) -> Result<Committed, StoreError> {
        commit::commit(self, batches)
    }

    /// Writes what is in the journal only into the database. Commits do so by themselves when it
    /// is time; whoever wants all in the database at once asks for it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        commit::checkpoint(self)
    }

    /// Counts up by one at each start, from one.
    pub fn boot_epoch(&self) -> u64 {
        self.boot_epoch
    }

    /// In what condition the file was found.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// True once a commit has failed, until [`Store::reopen`] has worked.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Figures for metrics.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let log_records = self.reading(|| {
            let (transaction, pending) = {
                let overlay = self.overlay();
                (self.read()?, overlay.log_records())
            };
            let log = transaction.open_table(schema::LOG).map_err(|error| self.engine(error))?;
            Ok(log.len().map_err(|error| self.engine(error))? + pending)
        })?;
        let of_both = |counter: fn(&DiskCounters) -> &AtomicU64| {
            counter(&self.disk).load(Ordering::Relaxed)
                + counter(&self.journal_disk).load(Ordering::Relaxed)
        };
        Ok(StoreStats {
            checkpoints: self.totals.checkpoints.load(Ordering::Relaxed),
            commits: self.totals.commits.load(Ordering::Relaxed),
            records: self.totals.records.load(Ordering::Relaxed),
            record_bytes: self.totals.record_bytes.load(Ordering::Relaxed),
            bytes_written: of_both(|disk| &disk.bytes_written),
            journal_bytes_written: self.journal_disk.bytes_written.load(Ordering::Relaxed),
            syncs: of_both(|disk| &disk.syncs),
            file_bytes: self.disk.file_bytes.load(Ordering::Relaxed),
            journal_bytes: self.journal_disk.file_bytes.load(Ordering::Relaxed),
            log_records,
            held_records: self.held().count() as u64,
        })
    }

    /// What the records take, keys and values, and what is in the journal only.
    pub fn used_bytes(&self) -> u64 {
        let overlay = self.overlay();
        overlay.positions.row_bytes + overlay.bytes() as u64
    }

    /// Bytes of the database on the disk that hold nothing and will be written before the file
    /// grows: at least so many, since records take less than twice their bytes.
    pub fn reusable_bytes(&self) -> u64 {
        let on_disk = std::fs::metadata(&self.path).map_or(0, |file| file.blocks() * 512);
        on_disk.saturating_sub(2 * self.used_bytes())
    }

    /// From so many bytes on every group goes to the database at once and everything that nobody
    /// waits for goes from it, so that what the records take is exact.
    pub fn set_tight_at(&self, bytes: u64) {
        self.tightness.at.store(bytes, Ordering::Relaxed);
    }

    /// The same from now on, or not any more.
    pub fn set_tight(&self, is_tight: bool) {
        self.tightness.now.store(is_tight, Ordering::Relaxed);
    }

    fn is_tight(&self, more: usize) -> bool {
        self.tightness.now.load(Ordering::Relaxed)
            || self.used_bytes() + more as u64 >= self.tightness.at.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(StoreError::Failed { path: self.path.clone() });
        };
        database.begin_read().map_err(|error| self.engine(error))
    }

    fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        Ok(database.begin_write()?)
    }

    fn database_mut(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_transaction(&self) -> MutexGuard<'_, LastTransaction> {
        self.last_transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_failed(&self, has_failed: bool) {
        self.failed.store(has_failed, Ordering::Release);
    }

    fn engine(&self, error: impl Into<redb::Error>) -> StoreError {
        error::engine(&self.path, error)
    }

    /// Runs `work`, which uses the database engine. The engine asserts some of what a corrupt
    /// file can break; that is an error like others.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|payload| Err(error::engine_panic(&self.path, payload.as_ref())))
    }

    fn check_alive(&self) -> Result<(), StoreError> {
        if self.has_failed() {
            return Err(StoreError::Failed { path: self.path.clone() });
        }
        Ok(())
    }

    /// A panic during a commit leaves the store failed or the journal as it was.
    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken together with a transaction that reads, it shows all that is committed.
    fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn overlay_mut(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was committed is safe in the journal; a stopped store is one plain file all the same.
impl Drop for Store {
    fn drop(&mut self) {
        if self.has_failed() || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "the journal stays as it is until the next start");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .field("boot_epoch", &self.boot_epoch)
            .field("failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}
