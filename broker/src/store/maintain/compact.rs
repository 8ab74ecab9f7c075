//! Giving back the pages that a store does not need any more.

use std::fs;
use std::path::Path;

use crate::store::error::{StoreError, io_error};
use crate::store::files::FILE_NAME;
use crate::store::{Store, StoreOptions};

/// What compacting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Length of the file before, bytes.
    pub before: u64,
    /// Length of the file after it, bytes.
    pub after: u64,
}

/// Makes the file of a store in `data_dir` as short as what it holds. The engine moves pages in
/// the file itself, in transactions, so a power cut at any moment leaves a whole store.
///
/// # Errors
/// When there is no store, it is in use, damaged, or cannot be written.
pub fn compact(data_dir: &Path) -> Result<Compacted, StoreError> {
    let path = data_dir.join(FILE_NAME);
    let length = || {
        let found = fs::metadata(&path).map_err(|error| io_error(path.clone(), error))?;
        Ok::<u64, StoreError>(found.len())
    };
    let before = length()?;
    let store = Store::open(data_dir, StoreOptions::default())?;
    let compacted = store.database_mut().as_mut().map(redb::Database::compact).transpose();
    compacted.map_err(|error| store.engine(error))?;
    drop(store);
    Ok(Compacted { before, after: length()? })
}
