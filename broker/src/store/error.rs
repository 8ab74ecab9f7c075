//! What can go wrong with the store, in words for the operator.
//!
//! A message says what happened, where, and what to do next. Errors of the database engine are
//! sorted here, so that nobody above has to know its types.

use std::io;
use std::path::{Path, PathBuf};

use weir_core::RecordError;

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record is not what its table holds.
    #[error(
        "the store holds a bad record in table {table} under key {key}: {source}; \
         restore a backup, or set `on_damage = \"salvage\"` in [store] to start with the rest"
    )]
    BadRecord {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal.
        key: String,
        /// What is wrong with it.
        source: MalformedRecord,
    },
    /// The file fails the checks of the database engine.
    #[error(
        "the store {} is corrupt ({detail}); restore a backup, or set `on_damage = \"salvage\"` in \
         [store] to start with what can be read", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        detail: String,
    },
    /// The data directory does not exist and cannot be made.
    #[error(
        "the data directory {} cannot be created: {source}; create it and give it to the user \
         that runs weir, or set `data_dir` to another one", path.display()
    )]
    DirectoryNotCreated {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no room for what has to be written.
    #[error(
        "the disk that holds {} is full; make room, or set `data_dir` to a directory on another \
         disk, and restart", path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store does not write any more because it failed before.
    #[error(
        "the store {} stopped after an earlier error; read that one in the log and cure it, and \
         it goes on by itself", path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
    },
    /// The journal beside the file belongs to another store.
    #[error(
        "the journal {} belongs to another store; put back the store file that it was written \
         beside, or move it away to go on without what it holds", path.display()
    )]
    ForeignJournal {
        /// The journal.
        path: PathBuf,
    },
    /// The system refuses to read or write the file.
    #[error(
        "the store {} cannot be read or written: {source}; check the disk and its mount, and \
         restart", path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the file open.
    #[error(
        "the store {} is in use by another process; stop the other weir, or set `data_dir` to a \
         directory of its own", path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else, or the store of another program.
    #[error(
        "{} is not a store of weir; move it away, or set `data_dir` to another directory",
        path.display()
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A damaged store cannot be salvaged. Everything is as it was.
    #[error(
        "the store {} is damaged, and what can be read of it cannot be written beside it: {source}",
        path.display()
    )]
    NotSalvaged {
        /// The damaged file.
        path: PathBuf,
        /// Why not.
        source: Box<StoreError>,
    },
    /// The data directory, or the file in it, may not be written.
    #[error(
        "{} may not be written: {source}; give it to the user that runs weir, or set `data_dir` \
         to another directory", path.display()
    )]
    NotWritable {
        /// The directory or the file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A message was given a position that another one has. It is a fault of the program.
    #[error(
        "the store {} was given a message at a position that is taken; report this, and restart",
        path.display()
    )]
    PositionTaken {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that was open before.
    #[error(
        "the store {} was changed or replaced by somebody else while it could not be written; \
         restart weir to go on with what it holds now", path.display()
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// Every number for a reader is taken.
    #[error(
        "the store {} has names for {limit} readers already; remove upstreams or start with an \
         empty store", path.display()
    )]
    TooManyReaders {
        /// The file.
        path: PathBuf,
        /// How many names it can hold.
        limit: usize,
    },
    /// The file was written by another generation of the database engine.
    #[error(
        "the store {} was written by another database engine (file format {found}); run the \
         version of weir that wrote it, or move the file away to start empty", path.display()
    )]
    UnknownEngineFormat {
        /// The file.
        path: PathBuf,
        /// The version of the engine's own format.
        found: u8,
    },
    /// The file was written by a version of weir with another format.
    #[error(
        "the store {} has format version {found} and this weir knows {known}; run the version \
         of weir that wrote it, or move the file away to start empty", path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u64,
        /// The version that this program reads and writes.
        known: u64,
    },
}

impl StoreError {
    /// Whether the file is not what was written: then there is something to salvage.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::BadRecord { .. } | Self::Corrupt { .. })
    }

    /// Whether the disk has failed, now or before.
    pub(crate) fn is_of_disk(&self) -> bool {
        matches!(
            self,
            Self::DiskFull { .. }
                | Self::Failed { .. }
                | Self::Io { .. }
                | Self::NotWritable { .. }
        )
    }
}

/// What is wrong with the bytes of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedRecord {
    /// It ends before its content does.
    #[error("it is cut short")]
    CutShort,
    /// The message in it is malformed.
    #[error("its message is malformed: {0}")]
    Message(#[from] RecordError),
    /// A text in it is not UTF-8.
    #[error("it holds a text that is not UTF-8")]
    NotUtf8,
    /// A number in it is outside of its range.
    #[error("it holds a number that is out of range")]
    OutOfRange,
    /// Bytes follow its content.
    #[error("bytes follow its content")]
    TrailingBytes,
    /// A flag or a kind in it does not exist.
    #[error("it holds a flag or a kind that does not exist")]
    UnknownKind,
}

impl MalformedRecord {
    /// Says where the record was found.
    pub(crate) fn at(self, table: &'static str, key: &[u8]) -> StoreError {
        StoreError::BadRecord { table, key: hexadecimal(key), source: self }
    }
}

/// In a transaction, where a row that is too short or too long is as bad as a page that is.
impl From<MalformedRecord> for redb::Error {
    fn from(error: MalformedRecord) -> Self {
        Self::Corrupted(format!("a row: {error}"))
    }
}

/// An error of the database engine together with the file in which it happened.
pub(crate) fn engine(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let path = path.to_path_buf();
    match error.into() {
        redb::Error::Io(source) => io_error(path, source),
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked { path },
        redb::Error::DatabaseClosed | redb::Error::PreviousIo => StoreError::Failed { path },
        redb::Error::UpgradeRequired(found) => StoreError::UnknownEngineFormat { path, found },
        other => StoreError::Corrupt { path, detail: other.to_string() },
    }
}

/// A panic of the database engine: it asserts what its checks of the file did not find.
pub(crate) fn engine_panic(path: &Path, payload: &(dyn std::any::Any + Send)) -> StoreError {
    let detail = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the database engine panicked");
    StoreError::Corrupt { path: path.to_path_buf(), detail: detail.to_owned() }
}

/// An error of the system, sorted by what the operator can do about it.
pub(crate) fn io_error(path: PathBuf, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::NotWritable { path, source }
        }
        io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => {
            StoreError::DiskFull { path, source }
        }
        // The engine reads past the end of a file that was cut off.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            StoreError::Corrupt { path, detail: source.to_string() }
        }
        _ => StoreError::Io { path, source },
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
    }
    text
}
