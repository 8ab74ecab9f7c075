//! Opening the store, and every reason why it cannot be opened.
//!
//! A new file gets its name only when it is complete, so that a power cut during the very first
//! start leaves nothing that the next start would stumble over. There is no way on without the
//! file: a store in memory would look like one and keep nothing.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend};

use crate::store::backend::{CountingBackend, DiskCounters};
use crate::store::error::{StoreError, engine, engine_panic, io_error};
use crate::store::options::{Condition, StoreOptions};
use crate::store::position::Positions;
use crate::store::quiet::catch_quietly;
use crate::store::{Store, Totals, schema};

/// The name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "weir.redb";
/// Its name until it is complete.
const NEW_FILE_NAME: &str = "weir.redb.new";
/// How each file of the database engine begins.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

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
            return Self::open_file(file, path, &options);
        }
        let new_path = data_dir.join(NEW_FILE_NAME);
        let file = open_file(&new_path, true)?;
        claim_new(&file, &new_path)?;
        let store = Self::open_file(file, path.clone(), &options)?;
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

    /// Opens the store on any backend of the database engine: memory, or a simulated disk.
    ///
    /// # Errors
    /// As [`Store::open`], without those about directories.
    pub fn with_backend(
        backend: impl StorageBackend,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Self::open_backend(backend, PathBuf::from(FILE_NAME), &options)
    }

    fn open_file(file: File, path: PathBuf, options: &StoreOptions) -> Result<Self, StoreError> {
        let backend = FileBackend::new(file).map_err(|error| engine(&path, error))?;
        Self::open_backend(backend, path, options)
    }

    fn open_backend(
        backend: impl StorageBackend,
        path: PathBuf,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let disk = Arc::new(DiskCounters::default());
        let backend = CountingBackend::new(backend, Arc::clone(&disk));
        // The engine asserts some of what a corrupt file can break; that is an error like others.
        catch_quietly(|| Self::open_engine(backend, &path, disk, options))
            .unwrap_or_else(|payload| Err(engine_panic(&path, payload.as_ref())))
    }

    fn open_engine(
        backend: impl StorageBackend,
        path: &Path,
        disk: Arc<DiskCounters>,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let mut database = Builder::new()
            .set_cache_size(options.cache_bytes)
            .set_repair_callback({
                let is_interrupted = Arc::clone(&is_interrupted);
                move |_| is_interrupted.store(true, Ordering::Relaxed)
            })
            .create_with_backend(backend)
            .map_err(|error| engine(path, error))?;
        let condition = if is_interrupted.load(Ordering::Relaxed) {
            Condition::Interrupted
        } else if !options.verify
            || database.check_integrity().map_err(|error| engine(path, error))?
        {
            Condition::Clean
        } else {
            Condition::Damaged
        };
        let boot_epoch = prepare(&database, path)?;
        let transaction = database.begin_read().map_err(|error| engine(path, error))?;
        let positions = Positions::load(&transaction).map_err(|error| engine(path, error))?;
        drop(transaction);
        Ok(Self {
            database,
            path: path.to_path_buf(),
            boot_epoch,
            condition,
            disk,
            totals: Totals::default(),
            failed: AtomicBool::new(false),
            committing: Mutex::new(()),
            positions: Mutex::new(positions),
            readers: Mutex::new(BTreeSet::new()),
        })
    }
}

/// Checks the format, counts the start, and makes the tables, so that reading finds them.
fn prepare(database: &Database, path: &Path) -> Result<u64, StoreError> {
    let transaction = database.begin_write().map_err(|error| engine(path, error))?;
    let is_empty = transaction.list_tables().map_err(|error| engine(path, error))?.next().is_none();
    let boot_epoch = {
        let mut meta =
            transaction.open_table(schema::META).map_err(|error| wrong_table(path, error))?;
        let version = meta
            .get(schema::META_FORMAT_VERSION)
            .map_err(|error| engine(path, error))?
            .map(|version| version.value());
        match version {
            Some(schema::FORMAT_VERSION) => {}
            Some(found) => {
                return Err(StoreError::UnknownFormat {
                    path: path.to_path_buf(),
                    found,
                    known: schema::FORMAT_VERSION,
                });
            }
            None if is_empty => {}
            None => return Err(StoreError::NotAStore { path: path.to_path_buf() }),
        }
        let epoch = meta
            .get(schema::META_BOOT_EPOCH)
            .map_err(|error| engine(path, error))?
            .map_or(0, |epoch| epoch.value())
            .saturating_add(1);
        meta.insert(schema::META_FORMAT_VERSION, schema::FORMAT_VERSION)
            .map_err(|error| engine(path, error))?;
        meta.insert(schema::META_BOOT_EPOCH, epoch).map_err(|error| engine(path, error))?;
        epoch
    };
    create_tables(&transaction).map_err(|error| wrong_table(path, error))?;
    transaction.commit().map_err(|error| engine(path, error))?;
    Ok(boot_epoch)
}

fn create_tables(transaction: &redb::WriteTransaction) -> Result<(), redb::TableError> {
    transaction.open_table(schema::CURSOR)?;
    transaction.open_table(schema::INFLIGHT_OUT)?;
    transaction.open_table(schema::LOG)?;
    transaction.open_table(schema::POSITION)?;
    transaction.open_table(schema::READER)?;
    transaction.open_table(schema::READER_CURSOR)?;
    transaction.open_table(schema::RECEIVED_QOS2)?;
    transaction.open_table(schema::RETAINED)?;
    transaction.open_table(schema::RULE_DELTA)?;
    transaction.open_table(schema::RULE_SNAPSHOT)?;
    transaction.open_table(schema::SESSION)?;
    transaction.open_table(schema::SUBSCRIPTION)?;
    Ok(())
}

/// A table of ours with other columns is a file of another program.
fn wrong_table(path: &Path, error: redb::TableError) -> StoreError {
    match error {
        redb::TableError::Storage(error) => engine(path, error),
        _ => StoreError::NotAStore { path: path.to_path_buf() },
    }
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(StoreError::DirectoryNotCreated { path: path.to_path_buf(), source });
        }
        Err(_) => {}
    }
    fs::create_dir_all(path)
        .map_err(|source| StoreError::DirectoryNotCreated { path: path.to_path_buf(), source })?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

fn open_file(path: &Path, create: bool) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
        .map_err(|error| io_error(path.to_path_buf(), error))
}

/// Throws away what an interrupted first start left behind, but not what another process is
/// making at this moment or has finished meanwhile. The lock is kept: the engine takes it again
/// on the same open file.
fn claim_new(file: &File, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let locked = || StoreError::Locked { path: path.to_path_buf() };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(locked()),
        Err(fs::TryLockError::Error(error)) => return Err(io_error(path.to_path_buf(), error)),
    }
    let ours = file.metadata().map_err(|error| io_error(path.to_path_buf(), error))?;
    if fs::metadata(path).map_or(true, |named| named.ino() != ours.ino()) {
        return Err(locked());
    }
    file.set_len(0).map_err(|error| io_error(path.to_path_buf(), error))
}

/// The engine would say no more than "invalid data"; a file of ours is never shorter than this.
fn check_magic(file: &File, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::FileExt as _;
    let mut magic = [0; MAGIC.len()];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == MAGIC => Ok(()),
        Ok(()) => Err(StoreError::NotAStore { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StoreError::NotAStore { path: path.to_path_buf() })
        }
        Err(error) => Err(io_error(path.to_path_buf(), error)),
    }
}

/// A new name in a directory is durable only after this.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| io_error(path.to_path_buf(), error))
}
