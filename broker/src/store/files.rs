//! The files of a store in its data directory: made, opened, and for this process alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;

use crate::store::backend::Files;
use crate::store::error::{StoreError, engine, io_error};

/// The name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "weir.redb";
/// Of a data directory that is made: its group may read it, others not.
const DIRECTORY_MODE: u32 = 0o750;
/// The name of the journal beside it.
pub(crate) const JOURNAL_NAME: &str = "weir.journal";
/// Where chance comes from.
pub(super) const RANDOM: &str = "/dev/urandom";
/// Its name until it is complete.
pub(super) const NEW_FILE_NAME: &str = "weir.redb.new";
/// How long a file may be held by somebody else, and how often it is tried meanwhile.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LOCKS: Duration = Duration::from_millis(10);
/// How each file of the database engine begins.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

pub(super) fn create_directory(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(StoreError::DirectoryNotCreated { path: path.to_path_buf(), source });
        }
        Err(_) => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = parent.map_or(Ok(()), fs::create_dir_all);
    // What clients have sent is for nobody else on this machine.
    made.and_then(|()| DirBuilder::new().mode(DIRECTORY_MODE).create(path))
        .map_err(|source| StoreError::DirectoryNotCreated { path: path.to_path_buf(), source })?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

pub(super) fn open_file(path: &Path, create: bool) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
        .map_err(|error| io_error(path.to_path_buf(), error))
}

/// A number that no other store has and that nobody outside knows, so that no payload passes for
/// a record of the journal.
pub(super) fn new_store_id() -> io::Result<u64> {
    let mut bytes = [0; size_of::<u64>()];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The files of a store that was open before, without what the system remembers of them: after a
/// flush that failed that may be what the disk does not hold.
pub(super) fn open_files_again(path: &Path, journal_path: &Path) -> Result<Files, StoreError> {
    let file = open_file(path, false)?;
    check_magic(&file, path)?;
    forget(&file);
    let journal = open_file(journal_path, true)?;
    forget(&journal);
    let database = FileBackend::new(file).map_err(|error| engine(path, error))?;
    let journal = FileBackend::new(journal).map_err(|error| engine(journal_path, error))?;
    Ok(Files { database: Box::new(database), journal: Box::new(journal) })
}

/// Advice, which a system need not follow; whatever it says is no reason not to go on.
fn forget(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

/// Throws away what an interrupted first start left behind, but not what another process is
/// making at this moment or has finished meanwhile.
pub(super) fn claim_new(file: &File, path: &Path) -> Result<(), StoreError> {
    lock(file, path)?;
    file.set_len(0).map_err(|error| io_error(path.to_path_buf(), error))
}

/// Makes sure that nobody else has the file open as a store, and that it still has its name: whoever
/// held it may have put another one in its place. The lock is kept: the engine takes it again on the
/// same open file. Whoever has just ended may still hold it for a moment, and so does a child that
/// another thread of the program starts, until it runs a program of its own.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    wait_for_lock(file, path)?;
    let ours = file.metadata().map_err(|error| io_error(path.to_path_buf(), error))?;
    match fs::metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => Ok(()),
        _ => Err(StoreError::Locked { path: path.to_path_buf() }),
    }
}

fn wait_for_lock(file: &File, path: &Path) -> Result<(), StoreError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::Error(error)) => return Err(io_error(path.to_path_buf(), error)),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(BETWEEN_LOCKS);
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_path_buf() });
            }
        }
    }
}

/// The engine would say no more than "invalid data"; a file of ours is never shorter than this.
pub(super) fn check_magic(file: &File, path: &Path) -> Result<(), StoreError> {
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
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| io_error(path.to_path_buf(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::mosquitto::Directory;

    /// What is written to it would be lost.
    #[test]
    fn a_file_that_another_one_has_taken_the_place_of_is_not_used() {
        let directory = Directory::new("replaced");
        let [path, next] = [FILE_NAME, NEW_FILE_NAME].map(|name| directory.0.join(name));
        let file = open_file(&path, true).expect("the directory is ours");
        lock(&file, &path).expect("nobody has it");
        open_file(&next, true).expect("the directory is ours");
        fs::rename(&next, &path).expect("the directory is ours");
        assert!(matches!(lock(&file, &path), Err(StoreError::Locked { .. })));
        fs::remove_file(&path).expect("the directory is ours");
        assert!(matches!(lock(&file, &path), Err(StoreError::Locked { .. })));
    }
}
