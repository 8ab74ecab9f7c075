//! Opening the store, and every reason why it cannot be opened.
//!
//! A new file gets its name only when it is complete, so that a power cut during the very first
//! start leaves nothing that the next start would stumble over. There is no way on without the
//! file: a store in memory would look like one and keep nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use redb::backends::FileBackend;
use redb::{Builder, Database, StorageBackend, TableError, TableHandle as _, WriteTransaction};

use crate::store::backend::{CountingBackend, DiskCounters, Files, OpenFiles};
use crate::store::error::{StoreError, engine, engine_panic, io_error};
use crate::store::files::{
    FILE_NAME, JOURNAL_NAME, NEW_FILE_NAME, RANDOM, check_magic, claim_new, create_directory, lock,
    new_store_id, open_file, open_files_again, sync_directory,
};
use crate::store::group::Group;
use crate::store::journal::{Found, Journal};
use crate::store::options::{Condition, StoreOptions};
use crate::store::overlay::Overlay;
use crate::store::position::Positions;
use crate::store::quiet::catch_quietly;
use crate::store::schema::{
    self, FORMAT_VERSION, META_BOOT_EPOCH, META_FORMAT_VERSION, META_JOURNAL_EPOCH, META_STORE_ID,
};
use crate::store::{Store, Tightness, Totals, meta, rows, upgrade};

/// A page of the database engine.
const PAGE_BYTES: u64 = 4096;

impl Store {
    /// Opens the store in `data_dir`, or makes both.
    ///
    /// # Errors
    /// Each variant of [`StoreError`] says what is in the way and how to remove it.
    pub fn open(data_dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        create_directory(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        let is_new = match fs::metadata(&path) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(io_error(path, error)),
        };
        if !is_new {
            let file = open_file(&path, false)?;
            check_magic(&file, &path)?;
            lock(&file, &path)?;
            return Self::open_files(file, path, data_dir, &options);
        }
        let new_path = data_dir.join(NEW_FILE_NAME);
        let file = open_file(&new_path, true)?;
        claim_new(&file, &new_path)?;
        let store = Self::open_files(file, path.clone(), data_dir, &options)?;
        fs::rename(&new_path, &path).map_err(|error| io_error(path, error))?;
        sync_directory(data_dir)?;
        Ok(store)
    }

    /// Opens a store that ends with the process, for a broker that is told to keep nothing.
    ///
    /// # Errors
    /// When the engine cannot be set up.
    pub fn in_memory(options: StoreOptions) -> Result<Self, StoreError> {
        Self::with_backend(redb::backends::InMemoryBackend::new(), options)
    }

    /// Opens a store without a journal on any backend of the database engine. It is for backends
    /// that end with the process: what is in the journal of a store is passed over.
    ///
    /// # Errors
    /// As [`Store::open`], without those about directories.
    pub fn with_backend(
        database: impl StorageBackend,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Self::open_backends(database, None, Disks::default(), PathBuf::from(FILE_NAME), &options)
    }

    /// Opens a store on any two backends of the database engine, one for the database and one
    /// for the journal: simulated disks, or files.
    ///
    /// # Errors
    /// As [`Store::open`], without those about directories.
    pub fn with_backends(
        database: impl StorageBackend,
        journal: impl StorageBackend,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let disks = Disks::default();
        let journal = CountingBackend::new(journal, Arc::clone(&disks.journal));
        let path = PathBuf::from(FILE_NAME);
        let journal: Box<dyn StorageBackend> = Box::new(journal);
        Self::open_backends(database, Some((journal, 1)), disks, path, &options)
    }

    /// Opens a store on disks that can be opened again after a failure: `open` gives the one of
    /// the database and the one of the journal, as they are found without anything that a system
    /// remembers of them.
    ///
    /// # Errors
    /// As [`Store::open`], without those about directories.
    pub fn with_disks<D: StorageBackend, J: StorageBackend>(
        open: impl Fn() -> io::Result<(D, J)> + Send + Sync + 'static,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let path = PathBuf::from(FILE_NAME);
        let open_files = move || {
            let (database, journal) = open().map_err(|error| io_error(FILE_NAME.into(), error))?;
            Ok(Files { database: Box::new(database), journal: Box::new(journal) })
        };
        let Files { database, journal } = open_files()?;
        let disks = Disks::default();
        let database = CountingBackend::boxed(database, Arc::clone(&disks.database));
        let journal = CountingBackend::boxed(journal, Arc::clone(&disks.journal));
        let journal: Box<dyn StorageBackend> = Box::new(journal);
        let store = Self::open_counting(database, Some((journal, 1)), disks, path, &options)?;
        Ok(store.with_files(Box::new(open_files)))
    }

    fn open_files(
        file: File,
        path: PathBuf,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let journal_path = data_dir.join(JOURNAL_NAME);
        let is_new = !journal_path.exists();
        let journal = open_file(&journal_path, true)?;
        if is_new {
            sync_directory(data_dir)?;
        }
        let disks = Disks::default();
        let database = FileBackend::new(file).map_err(|error| engine(&path, error))?;
        let journal = FileBackend::new(journal).map_err(|error| engine(&journal_path, error))?;
        let journal = CountingBackend::new(journal, Arc::clone(&disks.journal));
        let new_id = new_store_id().map_err(|error| io_error(RANDOM.into(), error))?;
        let open_files = {
            let path = path.clone();
            move || open_files_again(&path, &journal_path)
        };
        let store =
            Self::open_backends(database, Some((Box::new(journal), new_id)), disks, path, options)?;
        Ok(store.with_files(Box::new(open_files)))
    }

    fn open_backends(
        database: impl StorageBackend,
        journal: Option<(Box<dyn StorageBackend>, u64)>,
        disks: Disks,
        path: PathBuf,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let database = CountingBackend::new(database, Arc::clone(&disks.database));
        Self::open_counting(database, journal, disks, path, options)
    }

    fn open_counting(
        database: CountingBackend,
        journal: Option<(Box<dyn StorageBackend>, u64)>,
        disks: Disks,
        path: PathBuf,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        // The engine asserts some of what a corrupt file can break; that is an error like others.
        catch_quietly(|| Self::open_engine(database, journal, disks, &path, options))
            .unwrap_or_else(|payload| Err(engine_panic(&path, payload.as_ref())))
    }

    fn with_files(mut self, open_files: OpenFiles) -> Self {
        self.open_files = Some(open_files);
        self
    }

    fn open_engine(
        backend: impl StorageBackend,
        journal: Option<(Box<dyn StorageBackend>, u64)>,
        disks: Disks,
        path: &Path,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let opened = open_database(backend, path, options.cache_bytes, options.verify)?;
        let Opened { database, is_interrupted, is_damaged } = opened;
        // The database is locked by now, and with it the journal.
        let journal_path = path.with_file_name(JOURNAL_NAME);
        let mut journal = journal
            .map(|(backend, new_store_id)| {
                Journal::new(backend, journal_path, new_store_id, options.journal_bytes_max)
            })
            .transpose()?;
        let prepared = prepare(&database, journal.as_mut(), path)?;
        let condition = if is_damaged || prepared.is_damaged {
            Condition::Damaged
        } else if is_interrupted || prepared.replayed > 0 {
            Condition::Interrupted
        } else {
            Condition::Clean
        };
        Ok(Self {
            database: RwLock::new(Some(database)),
            cache_bytes: options.cache_bytes,
            open_files: None,
            last_transaction: Mutex::default(),
            tightness: Tightness::default(),
            path: path.to_path_buf(),
            boot_epoch: prepared.boot_epoch,
            condition,
            disk: disks.database,
            journal_disk: disks.journal,
            totals: Totals::default(),
            failed: AtomicBool::new(false),
            opening: AtomicU64::new(1),
            refused_opening: AtomicU64::new(0),
            journal: Mutex::new(journal),
            overlay: RwLock::new(Overlay::new(prepared.positions)),
            held: Mutex::default(),
            readers: Mutex::new(BTreeSet::new()),
        })
    }
}

/// A database that was opened.
pub(crate) struct Opened {
    pub(crate) database: Database,
    /// Its last user did not close it.
    pub(crate) is_interrupted: bool,
    /// It failed its check and was repaired.
    pub(crate) is_damaged: bool,
}

/// Opens a database, which its engine repairs if its last user did not close it; that checks all
/// of it too.
pub(crate) fn open_database(
    backend: impl StorageBackend,
    path: &Path,
    cache_bytes: usize,
    verify: bool,
) -> Result<Opened, StoreError> {
    fill_last_page(&backend).map_err(|error| io_error(path.to_path_buf(), error))?;
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let mut database = Builder::new()
        .set_cache_size(cache_bytes)
        .set_repair_callback({
            let is_interrupted = Arc::clone(&is_interrupted);
            move |_| is_interrupted.store(true, Ordering::Relaxed)
        })
        .create_with_backend(backend)
        .map_err(|error| engine(path, error))?;
    let is_interrupted = is_interrupted.load(Ordering::Relaxed);
    let is_damaged = !is_interrupted
        && verify
        && !database.check_integrity().map_err(|error| engine(path, error))?;
    Ok(Opened { database, is_interrupted, is_damaged })
}

/// The engine refuses a file that does not end with a whole page, as a power cut while it grew may
/// leave one. What was durable ends before that.
fn fill_last_page(backend: &impl StorageBackend) -> io::Result<()> {
    let len = backend.len()?;
    let whole = len.next_multiple_of(PAGE_BYTES);
    if whole == len { Ok(()) } else { backend.set_len(whole) }
}

/// What goes to the two files is counted apart.
#[derive(Default)]
struct Disks {
    database: Arc<DiskCounters>,
    journal: Arc<DiskCounters>,
}

/// What the start has found and done.
struct Prepared {
    boot_epoch: u64,
    positions: Positions,
    /// Records of the journal that are in the database now.
    replayed: u64,
    /// The journal cannot be read as a whole.
    is_damaged: bool,
}

/// Checks the format, counts the start, makes the tables, so that reading finds them, and takes
/// over what the journal holds: all in one transaction, so that a crash in between changes
/// nothing.
fn prepare(
    database: &Database,
    journal: Option<&mut Journal>,
    path: &Path,
) -> Result<Prepared, StoreError> {
    let transaction = database.begin_write().map_err(|error| engine(path, error))?;
    check_format(&transaction, path)?;
    create_tables(&transaction).map_err(|error| wrong_table(path, error))?;
    let (boot_epoch, epoch) = count_start(&transaction).map_err(|error| engine(path, error))?;
    let mut found = Found { last_epoch: epoch, ..Found::default() };
    if let Some(journal) = journal {
        let named = store_id(&transaction, journal.store_id());
        journal.belong_to(named.map_err(|error| engine(path, error))?);
        found = journal.read(epoch)?;
        // An epoch that the journal has seen, because the database is older than it was, must not
        // begin once more: what is left of the first one would count as its continuation.
        journal.begin(found.last_epoch + 1);
    }
    let mut positions = Positions::load(&transaction).map_err(|error| engine(path, error))?;
    let group = Group::of(&found.batches);
    // A journal lets go of nothing, so no reader has to be known.
    rows::write(&transaction, &group, &BTreeSet::new(), &mut positions, Some(found.last_epoch + 1))
        .map_err(|error| engine(path, error))?;
    // As after a start that finds it in the database: what was reserved may have been given.
    for position in positions.shards.values_mut() {
        position.next = position.next.max(position.reserved);
    }
    transaction.commit().map_err(|error| engine(path, error))?;
    let Found { records, is_damaged, .. } = found;
    Ok(Prepared { boot_epoch, positions, replayed: records, is_damaged })
}

/// Makes a file of an older version one of this version; refuses what is neither.
fn check_format(transaction: &WriteTransaction, path: &Path) -> Result<(), StoreError> {
    let tables = transaction.list_tables().map_err(|error| engine(path, error))?;
    let names: Vec<String> = tables.map(|table| table.name().to_owned()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let not_ours = || StoreError::NotAStore { path: path.to_path_buf() };
    if !names.iter().any(|name| name == schema::META.name()) {
        return Err(not_ours());
    }
    let is_of_now = match transaction.open_table(schema::META) {
        Ok(_) => true,
        Err(TableError::TableTypeMismatch { .. }) => false,
        Err(error) => return Err(wrong_table(path, error)),
    };
    let (version, known) = if is_of_now {
        let version = meta::number(transaction, META_FORMAT_VERSION);
        (version.map_err(|error| engine(path, error))?, FORMAT_VERSION..=FORMAT_VERSION)
    } else {
        let version = upgrade::version(transaction).map_err(|error| wrong_table(path, error))?;
        (version, upgrade::OLDER_VERSIONS)
    };
    let found = version.ok_or_else(not_ours)?;
    if !known.contains(&found) {
        let known = FORMAT_VERSION;
        return Err(StoreError::UnknownFormat { path: path.to_path_buf(), found, known });
    }
    if !is_of_now {
        upgrade::upgrade(transaction).map_err(|error| engine(path, error))?;
        tracing::info!(from = found, to = FORMAT_VERSION, "the store is of a new format now");
    }
    Ok(())
}

/// Counts the start, and answers the number of it and the epoch of the journal whose records the
/// database does not hold.
fn count_start(transaction: &WriteTransaction) -> Result<(u64, u64), redb::Error> {
    let boot_epoch = meta::number(transaction, META_BOOT_EPOCH)?.unwrap_or(0).saturating_add(1);
    let epoch = meta::number(transaction, META_JOURNAL_EPOCH)?.unwrap_or(0);
    meta::put(transaction, META_FORMAT_VERSION, FORMAT_VERSION)?;
    meta::put(transaction, META_BOOT_EPOCH, boot_epoch)?;
    Ok((boot_epoch, epoch))
}

/// What the journal calls the store; a store that has no name gets the new one.
fn store_id(transaction: &WriteTransaction, new_id: u64) -> Result<u64, redb::Error> {
    let known = meta::number(transaction, META_STORE_ID)?;
    if known.is_none() {
        meta::put(transaction, META_STORE_ID, new_id)?;
    }
    Ok(known.unwrap_or(new_id))
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), TableError> {
    schema::TABLES.iter().try_for_each(|table| transaction.open_table(*table).map(drop))
}

/// A table of ours with other columns is a file of another program.
fn wrong_table(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::TableIsMultimap(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => {
            StoreError::NotAStore { path: path.to_path_buf() }
        }
        error => engine(path, error),
    }
}
