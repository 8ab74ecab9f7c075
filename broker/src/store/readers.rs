//! The readers inside the broker: their numbers, and how far they are.
//!
//! A number belongs to a name for as long as the file lives, because records name readers by
//! number. A reader that the configuration does not name any more keeps its number and its
//! cursor, and what waits only for it is passed over.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use redb::ReadableTable as _;
use weir_core::{ReaderId, Sequence, ShardId};

use crate::store::error::StoreError;
use crate::store::{Store, schema};

/// How many names a file can hold.
const READERS_MAX: usize = 1 << 16;

impl Store {
    /// Gives each name its number, the same as ever before, in the order of `names`.
    ///
    /// # Errors
    /// When the file cannot be written, or holds as many names as it can.
    pub fn register_readers(&self, names: &[&str]) -> Result<Vec<ReaderId>, StoreError> {
        self.check_alive()?;
        let ids = self.guarded(|| {
            self.number_readers(names).map_err(|error| self.engine(error))?.ok_or_else(|| {
                StoreError::TooManyReaders { path: self.path.clone(), limit: READERS_MAX }
            })
        })?;
        self.readers().extend(ids.iter().copied());
        Ok(ids)
    }

    /// Whether a name has its number already.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn has_reader(&self, name: &str) -> Result<bool, StoreError> {
        self.guarded(|| {
            let transaction = self.read()?;
            let table =
                transaction.open_table(schema::READER).map_err(|error| self.engine(error))?;
            let known = table.get(name.as_bytes()).map_err(|error| self.engine(error))?;
            Ok(known.is_some())
        })
    }

    /// The number of a name that reads something else than the log, and whose place there is kept
    /// like that of a reader. Nothing in the log waits for it.
    ///
    /// # Errors
    /// As for [`Store::register_readers`].
    #[cfg(feature = "nats")]
    pub(crate) fn number_place(&self, name: &str) -> Result<ReaderId, StoreError> {
        self.check_alive()?;
        let ids = self.guarded(|| {
            self.number_readers(&[name]).map_err(|error| self.engine(error))?.ok_or_else(|| {
                StoreError::TooManyReaders { path: self.path.clone(), limit: READERS_MAX }
            })
        })?;
        Ok(*ids.first().expect("each name has a number"))
    }

    /// The last position that a reader is done with in the log of a shard; zero before the
    /// first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader_cursor(&self, shard: ShardId, reader: ReaderId) -> Result<Sequence, StoreError> {
        self.guarded(|| {
            let key = schema::reader_key(shard, reader);
            let (transaction, pending) = {
                let overlay = self.overlay();
                (self.read()?, overlay.reader_cursor(&key))
            };
            if let Some(done) = pending {
                return Ok(done);
            }
            let table = transaction
                .open_table(schema::READER_CURSOR)
                .map_err(|error| self.engine(error))?;
            let Some(done) = table.get(&key[..]).map_err(|error| self.engine(error))? else {
                return Ok(Sequence(0));
            };
            let done = schema::number(done.value()).map_err(|e| e.at("reader_cursor", &key))?;
            Ok(Sequence(done))
        })
    }

    pub(crate) fn readers(&self) -> MutexGuard<'_, BTreeSet<ReaderId>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes only when a name is new. None when there is no number left.
    fn number_readers(&self, names: &[&str]) -> Result<Option<Vec<ReaderId>>, redb::Error> {
        let number = |value: &[u8]| schema::fixed(value).map(|bytes| u16::from_le_bytes(*bytes));
        let transaction = self.begin_write()?;
        let mut ids = Vec::with_capacity(names.len());
        let mut is_changed = false;
        {
            let mut table = transaction.open_table(schema::READER)?;
            let mut taken = BTreeSet::new();
            for row in table.iter()? {
                taken.insert(number(row?.1.value())?);
            }
            for name in names {
                let known = table.get(name.as_bytes())?.map(|id| number(id.value())).transpose()?;
                let id = match known {
                    Some(id) => id,
                    None => {
                        let Some(id) = (0..=u16::MAX).find(|id| !taken.contains(id)) else {
                            return Ok(None);
                        };
                        table.insert(name.as_bytes(), &id.to_le_bytes()[..])?;
                        taken.insert(id);
                        is_changed = true;
                        id
                    }
                };
                ids.push(ReaderId(id));
            }
        }
        if is_changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Some(ids))
    }
}
