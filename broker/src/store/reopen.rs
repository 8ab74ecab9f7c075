//! The way back after a failed commit or read, without a restart.
//!
//! A flush that has failed may have left pages in the memory of the system that are not on the
//! disk and look as if they were. So nothing of that is believed: the files are let go and opened
//! anew, what the system remembers of them is dropped, and the database is checked from the disk.
//! Everything that was acknowledged since its last checkpoint is still in memory; one transaction
//! writes it again. Only when that has reached the disk is the store believed to work.
//!
//! Each transaction names the epoch of the journal that follows it, so the database itself says
//! whether the one that failed is in it: see `docs/decisions/0010-recovery-without-a-restart.md`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::store::backend::{CountingBackend, Files, OpenFiles};
use crate::store::error::StoreError;
use crate::store::group::Group;
use crate::store::journal::Journal;
use crate::store::open::open_database;
use crate::store::position::Positions;
use crate::store::{Store, commit, meta, schema};

/// How often the files are opened while somebody still reads the old ones.
const OPENINGS_MAX: u32 = 20;
/// Between two of them; a read takes less.
const BETWEEN_OPENINGS: Duration = Duration::from_millis(50);

/// What became of the group whose commit failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LastGroup {
    /// It is not in the store: commit it again.
    IsMissing,
    /// It is in the store, and on the disk by now.
    IsThere,
}

/// What is known of the last transaction, should it fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastTransaction {
    /// A group was in it that is not in the journal.
    has_group: bool,
    /// An earlier one failed, was found in the database all the same, and nobody was told.
    found_group: bool,
}

impl LastTransaction {
    /// Another one begins.
    pub(crate) fn begin(&mut self, has_group: bool) {
        self.has_group = has_group;
    }
}

impl Store {
    /// After a commit has failed, opens the files anew, writes again what was committed since
    /// the last checkpoint, and lets commits go on. Reads fail meanwhile. Nothing happens to a
    /// store that has not failed.
    ///
    /// # Errors
    /// When that does not work; it can be tried again. A store that another process has changed
    /// meanwhile, or that fails its checks, stays failed until the next start.
    pub fn reopen(&self) -> Result<LastGroup, StoreError> {
        let mut journal = self.journal();
        if self.has_failed() {
            self.open_anew(&mut journal)?;
        }
        let found = std::mem::take(&mut self.last_transaction().found_group);
        Ok(if found { LastGroup::IsThere } else { LastGroup::IsMissing })
    }

    /// Runs `work`, which reads. After an error of the disk the engine refuses everything until
    /// the files are opened anew. The journal does not need the engine, so commits may go on for
    /// long and notice nothing: the next one who reads does it.
    pub(crate) fn reading<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.refuses_reads() {
            let mut journal = self.journal();
            if self.refuses_reads() {
                // Without its files it takes no commit either.
                self.open_anew(&mut journal).inspect_err(|_| self.set_failed(true))?;
            }
        }
        let opening = self.opening.load(Ordering::Acquire);
        let result = self.guarded(work);
        // After a commit that has failed, whoever commits opens them.
        if result.as_ref().is_err_and(StoreError::is_of_disk) && !self.has_failed() {
            self.refused_opening.fetch_max(opening, Ordering::AcqRel);
        }
        result
    }

    /// Whether a read of the files as they are open now has failed; that one of them failed which
    /// were open before says nothing.
    fn refuses_reads(&self) -> bool {
        self.refused_opening.load(Ordering::Acquire) == self.opening.load(Ordering::Acquire)
    }

    fn open_anew(&self, journal: &mut Option<Journal>) -> Result<(), StoreError> {
        self.guarded(|| self.take_up(journal))?;
        self.opening.fetch_add(1, Ordering::AcqRel);
        self.set_failed(false);
        Ok(())
    }

    fn take_up(&self, journal: &mut Option<Journal>) -> Result<(), StoreError> {
        let failed = || StoreError::Failed { path: self.path.clone() };
        let open_files = self.open_files.as_ref().ok_or_else(failed)?;
        let journal = journal.as_mut().ok_or_else(failed)?;
        *self.database_mut() = None;
        journal.let_go();
        let (database, backend) = self.open_again(open_files)?;
        let found = self.check_identity(&database, journal.store_id())?;
        let before = journal.epoch();
        if found.epoch != before && found.epoch != before + 1 {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        journal.take_up(backend)?;
        *self.database_mut() = Some(database);
        if found.epoch == before + 1 {
            // The transaction that failed is there: all that was pending, and its group.
            self.overlay_mut().checkpointed(found.positions);
            journal.begin(found.epoch);
            let mut last = self.last_transaction();
            last.found_group |= std::mem::take(&mut last.has_group);
        }
        // Also when nothing is pending: it shows that the disk takes a write and a flush.
        commit::to_database(self, Some(journal), &[], Group::default()).map(|_| ())
    }

    /// Opens and checks the database. Whoever was reading may still hold the old file.
    fn open_again(
        &self,
        open_files: &OpenFiles,
    ) -> Result<(Database, Box<dyn StorageBackend>), StoreError> {
        let mut openings = 1;
        loop {
            let Files { database, journal } = open_files()?;
            let database = CountingBackend::boxed(database, Arc::clone(&self.disk));
            let journal = CountingBackend::boxed(journal, Arc::clone(&self.journal_disk));
            match open_database(database, &self.path, self.cache_bytes, true) {
                Ok(opened) if opened.is_damaged => {
                    let detail = "it failed its check when it was opened again".to_owned();
                    return Err(StoreError::Corrupt { path: self.path.clone(), detail });
                }
                Ok(opened) => return Ok((opened.database, Box::new(journal))),
                Err(StoreError::Locked { .. }) if openings < OPENINGS_MAX => {
                    openings += 1;
                    thread::sleep(BETWEEN_OPENINGS);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Refuses a database that is not the one that this process had open.
    fn check_identity(&self, database: &Database, store_id: u64) -> Result<Identity, StoreError> {
        let read = || -> Result<Option<Identity>, redb::Error> {
            let transaction = database.begin_write()?;
            let positions = Positions::load(&transaction)?;
            let number = |name: &str| meta::number(&transaction, name);
            let is_ours = number(schema::META_STORE_ID)? == Some(store_id)
                && number(schema::META_BOOT_EPOCH)? == Some(self.boot_epoch);
            let epoch = number(schema::META_JOURNAL_EPOCH)?.filter(|_| is_ours);
            Ok(epoch.map(|epoch| Identity { epoch, positions }))
        };
        let found = read().map_err(|error| self.engine(error))?;
        found.ok_or_else(|| StoreError::Replaced { path: self.path.clone() })
    }
}

/// What the database says of itself.
struct Identity {
    epoch: u64,
    positions: Positions,
}
