//! Copies of a store.
//!
//! A copy is a store of its own: one file that passes the checks and that a broker can start
//! with. It is made beside its target and gets the name when it is complete and on the disk, so
//! there never is half a copy, and never instead of a file that was there.
//!
//! A running broker hands its rows out as a stream: per row the number of the table and the
//! lengths and bytes of key and value, in the end the number of rows and a checksum of all before
//! it. The rows are those of one moment. The stream is spoken between programs of one version
//! only, and its first line says which.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::examine::{Source, open_alone, open_shared};
use super::fill::{Filler, rows};
use super::rebuild::rebuild;
use super::row::Table;
use crate::store::error::{StoreError, io_error};
use crate::store::files::FILE_NAME;
use crate::store::{Store, StoreOptions};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// What was to be copied is damaged.
    #[error(
        "{} is damaged ({problem}); a start of the broker salvages what can be read",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first of what is wrong.
        problem: String,
    },
    /// The target is there already.
    #[error("{} is there already; name another file, or move it away", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The store cannot be read, or the copy not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows do not come as they should.
    #[error("the broker ended the copy early, or speaks another version: {0}")]
    Stream(#[source] io::Error),
}

/// Copies a store that no process has open.
///
/// # Errors
/// Each variant of [`BackupError`] says what to do.
pub fn copy(path: &Path, target: &Path) -> Result<(), BackupError> {
    let source = Source::read(open_shared(path)?, path)?;
    if let Some(problem) = source.examination.problems.first() {
        let (path, problem) = (path.to_path_buf(), problem.clone());
        return Err(BackupError::Damaged { path, problem });
    }
    let copy = Copy::begin(target)?;
    let made = rebuild(&source, &copy.place)?;
    copy.finish(made)
}

/// Makes a copy of what a running broker hands out.
pub(crate) fn receive(stream: &mut dyn Read, target: &Path) -> Result<(), BackupError> {
    let copy = Copy::begin(target)?;
    let store =
        Store::open(&copy.place, StoreOptions { verify: false, ..StoreOptions::default() })?;
    let mut filler = Filler::new(&store);
    let mut incoming = Incoming { stream, hash: XxHash3_128::with_seed(0), rows: 0 };
    incoming.begin()?;
    while let Some((table, key, value)) = incoming.row()? {
        table.decode(&key, &value).map_err(|error| error.at(table.name(), &key))?;
        filler.put(table, &key, &value);
    }
    filler.finish()?;
    copy.finish(store)
}

impl Store {
    /// Hands out all rows of this moment, in pieces, with all that was committed before. It ends
    /// early when nobody wants more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn hand_out(&self, mut send: impl FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        self.checkpoint()?;
        self.guarded(|| {
            let transaction = self.read()?;
            let mut hash = XxHash3_128::with_seed(0);
            let (mut piece, mut count, mut is_wanted) = (FIRST_LINE.to_vec(), 0_u64, true);
            for (number, table) in (0..).zip(Table::ALL) {
                rows(self, &transaction, table, |key, value| {
                    if !is_wanted {
                        return Ok(());
                    }
                    let length = |bytes: &[u8]| {
                        u32::try_from(bytes.len()).expect("a row is shorter than 4 GiB")
                    };
                    piece.push(number);
                    piece.extend_from_slice(&length(key).to_le_bytes());
                    piece.extend_from_slice(&length(value).to_le_bytes());
                    piece.extend_from_slice(key);
                    piece.extend_from_slice(value);
                    count += 1;
                    if piece.len() >= PIECE_BYTES {
                        hash.write(&piece);
                        is_wanted = send(std::mem::take(&mut piece));
                    }
                    Ok(())
                })?;
            }
            piece.push(END);
            piece.extend_from_slice(&count.to_le_bytes());
            hash.write(&piece);
            piece.extend_from_slice(&hash.finish_128().to_le_bytes());
            if is_wanted {
                send(piece);
            }
            Ok(())
        })
    }
}

/// A copy on its way.
struct Copy {
    target: PathBuf,
    /// The directory in which it is made.
    place: PathBuf,
}

impl Copy {
    fn begin(target: &Path) -> Result<Self, BackupError> {
        let target = target.to_path_buf();
        if fs::symlink_metadata(&target).is_ok() {
            return Err(BackupError::Exists { path: target });
        }
        let mut place = target.clone().into_os_string();
        place.push(format!(".part-{}", std::process::id()));
        let place = PathBuf::from(place);
        fs::create_dir(&place).map_err(|error| io_error(place.clone(), error))?;
        Ok(Self { target, place })
    }

    /// Checks the copy and gives it its name.
    fn finish(self, store: Store) -> Result<(), BackupError> {
        drop(store);
        let path = self.place.join(FILE_NAME);
        let made = Source::read(open_alone(&path)?, &path)?.examination;
        if let Some(problem) = made.problems.into_iter().next() {
            return Err(BackupError::Damaged { path, problem });
        }
        // A link is made only where nothing is. Not every file system has links.
        match fs::hard_link(&path, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists { path: self.target.clone() });
            }
            Err(_) => fs::rename(&path, &self.target)
                .map_err(|error| io_error(self.target.clone(), error))?,
        }
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| io_error(self.target.clone(), error))?;
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// A table, a key and a value.
type RawRow = (Table, Vec<u8>, Vec<u8>);

/// Rows from a stream, with the checksum of what came so far.
struct Incoming<'s> {
    stream: &'s mut dyn Read,
    hash: XxHash3_128,
    rows: u64,
}

impl Incoming<'_> {
    fn begin(&mut self) -> Result<(), BackupError> {
        let line = self.array::<{ FIRST_LINE.len() }>()?;
        if line == *FIRST_LINE { Ok(()) } else { Err(broken("it does not begin as it should")) }
    }

    fn row(&mut self) -> Result<Option<RawRow>, BackupError> {
        let [number] = self.array()?;
        if number == END {
            self.end()?;
            return Ok(None);
        }
        let table = Table::ALL.get(usize::from(number)).copied();
        let table = table.ok_or_else(|| broken("it has a table that is not known"))?;
        let key_bytes = u32::from_le_bytes(self.array()?);
        let value_bytes = u32::from_le_bytes(self.array()?);
        let row = (table, self.bytes(key_bytes)?, self.bytes(value_bytes)?);
        self.rows += 1;
        Ok(Some(row))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let rows = u64::from_le_bytes(self.array()?);
        let expected = self.hash.finish_128();
        let mut checksum = [0; 16];
        self.stream.read_exact(&mut checksum).map_err(BackupError::Stream)?;
        if rows != self.rows || u128::from_le_bytes(checksum) != expected {
            return Err(broken("its checksum is wrong"));
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(BackupError::Stream)?;
        self.hash.write(&bytes);
        Ok(bytes)
    }

    /// A length that lies does not reserve memory.
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        let mut part = (&mut *self.stream).take(u64::from(count));
        part.read_to_end(&mut bytes).map_err(BackupError::Stream)?;
        if bytes.len() as u64 != u64::from(count) {
            return Err(broken("it ends in the middle of a row"));
        }
        self.hash.write(&bytes);
        Ok(bytes)
    }
}

fn broken(reason: &'static str) -> BackupError {
    BackupError::Stream(io::Error::new(io::ErrorKind::InvalidData, reason))
}

const FIRST_LINE: &[u8; 14] = b"weir-copy-v1\r\n";
/// In the place of the number of a table.
const END: u8 = 0xff;
/// About as much is handed out at a time.
const PIECE_BYTES: usize = 64 * 1024;
