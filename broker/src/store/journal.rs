//! The file in front of the database: groups that are committed and not in the database yet.
//!
//! One group is one record, appended and flushed once. A record begins at the start of a block
//! and fills its last one, so what was flushed is never written again and a torn write cannot
//! reach it. Records belong to an epoch: the database names the one whose records it does not
//! hold yet, and a checkpoint that stores them names the next. The journal then begins anew at
//! its start, with nothing to erase. The file keeps its length, so that an append changes no
//! metadata once the file has grown.

use std::io;
use std::path::PathBuf;

use redb::StorageBackend;
use weir_core::Batch;

use crate::checksum::Checksum;
use crate::store::error::{MalformedRecord, StoreError, io_error};

mod payload;

/// What a file system and flash write as a whole; records fill whole ones.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The file grows by this much, rarely.
const GROWTH_BYTES: u64 = 1024 * 1024;
/// No record has more; a header that says otherwise is no header.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
const MAGIC: [u8; 8] = *b"weirjrnl";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;

/// The journal of an open store.
#[derive(Debug)]
pub(crate) struct Journal {
    backend: Box<dyn StorageBackend>,
    path: PathBuf,
    store_id: u64,
    epoch: u64,
    /// The number of the next record within its epoch.
    number: u64,
    /// Where the next record goes.
    offset: u64,
    /// The length of the file.
    len: u64,
    /// How long it may become.
    bytes_max: u64,
    /// The next record; kept for its memory.
    record: Vec<u8>,
}

/// What a journal holds of one epoch.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The batches of its records, in order.
    pub(crate) batches: Vec<Batch>,
    /// How many records they come from.
    pub(crate) records: u64,
    /// The highest epoch of which there is a record, or the one that was looked for.
    pub(crate) last_epoch: u64,
    /// Something of it cannot be read, and it is not the end of an append that was interrupted.
    pub(crate) is_damaged: bool,
}

/// A record of a journal that is whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalRecord {
    /// The store that it belongs to.
    pub store_id: u64,
    /// Which of the journal's many beginnings it followed.
    pub epoch: u64,
    /// Its place in the epoch, from zero.
    pub number: u64,
    /// Where it is in the file.
    pub offset: u64,
    payload: Vec<u8>,
}

impl JournalRecord {
    /// The changes of the group, as batches without numbers.
    ///
    /// # Errors
    /// When the content is not what this version writes, although it is what was written.
    pub fn batches(&self) -> Result<Vec<Batch>, MalformedRecord> {
        payload::decode(&self.payload)
    }

    /// Whether it begins where another record ends, or the file begins.
    pub(crate) fn follows(&self, before: Option<&Self>) -> bool {
        self.offset == before.map_or(0, Self::end)
    }

    fn end(&self) -> u64 {
        self.offset + padded(HEADER_BYTES + self.payload.len()) as u64
    }
}

impl Journal {
    /// Takes over a file, which may be empty, for a store of this name.
    pub(crate) fn new(
        backend: Box<dyn StorageBackend>,
        path: PathBuf,
        store_id: u64,
        bytes_max: u64,
    ) -> Result<Self, StoreError> {
        let len = backend.len().map_err(|error| io_error(path.clone(), error))?;
        let mut begin = [0; MAGIC.len()];
        if len > 0 {
            let bytes = usize::try_from(len).map_or(begin.len(), |len| len.min(begin.len()));
            backend.read(0, &mut begin[..bytes]).map_err(|error| io_error(path.clone(), error))?;
        }
        if begin != MAGIC && begin != [0; MAGIC.len()] {
            return Err(StoreError::NotAStore { path });
        }
        Ok(Self {
            backend,
            path,
            store_id,
            epoch: 0,
            number: 0,
            offset: 0,
            len,
            bytes_max,
            record: Vec::new(),
        })
    }

    /// Closes the file, until there is another one.
    pub(crate) fn let_go(&mut self) {
        self.backend = Box::new(redb::backends::InMemoryBackend::new());
    }

    /// Goes on with the file opened anew. What it holds counts no more once the next transaction
    /// of the database is done.
    pub(crate) fn take_up(&mut self, backend: Box<dyn StorageBackend>) -> Result<(), StoreError> {
        self.len = backend.len().map_err(|error| self.error(error))?;
        self.backend = backend;
        Ok(())
    }

    /// The name of the store.
    pub(crate) fn store_id(&self) -> u64 {
        self.store_id
    }

    /// The store has another name already.
    pub(crate) fn belong_to(&mut self, store_id: u64) {
        self.store_id = store_id;
    }

    /// What the file holds of an epoch of its store.
    pub(crate) fn read(&self, epoch: u64) -> Result<Found, StoreError> {
        let records = records(&*self.backend).map_err(|error| self.error(error))?;
        let mut found = Found { last_epoch: epoch, ..Found::default() };
        let mut end = 0;
        for record in &records {
            found.last_epoch = found.last_epoch.max(record.epoch);
            if record.store_id != self.store_id {
                return Err(StoreError::ForeignJournal { path: self.path.clone() });
            }
            let is_next =
                record.offset == end && record.epoch == epoch && record.number == found.records;
            if is_next && !found.is_damaged {
                let batches = record
                    .batches()
                    .map_err(|error| error.at("journal", &record.number.to_be_bytes()))?;
                found.batches.extend(batches);
                found.records += 1;
                end = record.end();
            } else {
                // One that was flushed is lost before it, or the database is older than it was.
                found.is_damaged |= record.epoch >= epoch;
            }
        }
        Ok(found)
    }

    /// Begins anew: what is in the file counts no more once the database names this epoch.
    pub(crate) fn begin(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.number = 0;
        self.offset = 0;
    }

    /// The epoch of the next record.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Makes the next record and answers how many bytes of content it has.
    pub(crate) fn prepare(&mut self, batches: &[Batch]) -> usize {
        self.record.clear();
        self.record.resize(HEADER_BYTES, 0);
        payload::encode(batches, &mut self.record);
        self.record.len() - HEADER_BYTES
    }

    /// Whether the record that was prepared fits without a checkpoint.
    pub(crate) fn has_room(&self) -> bool {
        self.offset + padded(self.record.len()) as u64 <= self.bytes_max
    }

    /// How long the file may become.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Puts the record that was prepared on the disk.
    pub(crate) fn append(&mut self) -> Result<(), StoreError> {
        self.finish_record();
        let end = self.offset + self.record.len() as u64;
        self.write(end).map_err(|error| self.error(error))?;
        self.offset = end;
        self.number += 1;
        Ok(())
    }

    fn finish_record(&mut self) {
        let payload_bytes = u32::try_from(self.record.len() - HEADER_BYTES)
            .expect("a record fits the journal, which is smaller");
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&payload_bytes.to_le_bytes());
        header.extend_from_slice(&self.store_id.to_le_bytes());
        header.extend_from_slice(&self.epoch.to_le_bytes());
        header.extend_from_slice(&self.number.to_le_bytes());
        let mut checksum = Checksum::default();
        checksum.add(&header);
        checksum.add(&self.record[HEADER_BYTES..]);
        header.extend_from_slice(&checksum.value().to_le_bytes());
        self.record[..HEADER_BYTES].copy_from_slice(&header);
        self.record.resize(padded(self.record.len()), 0);
    }

    fn write(&mut self, end: u64) -> io::Result<()> {
        if end > self.len {
            let len = end.next_multiple_of(GROWTH_BYTES).min(self.bytes_max);
            self.backend.set_len(len)?;
            self.len = len;
        }
        self.backend.write(self.offset, &self.record)?;
        self.backend.sync_data()
    }

    fn error(&self, error: io::Error) -> StoreError {
        io_error(self.path.clone(), error)
    }
}

/// Every record in the file that is whole, of whatever store and epoch, in the order of the
/// file. For the store itself, and for tools that look at a damaged one.
pub fn records(backend: &dyn StorageBackend) -> io::Result<Vec<JournalRecord>> {
    let len = backend.len()?;
    let mut records = Vec::new();
    let mut offset = 0;
    while offset < len {
        offset = match record_at(backend, offset, len)? {
            Some(record) => {
                let end = record.end();
                records.push(record);
                end
            }
            None => offset + BLOCK_BYTES as u64,
        };
    }
    Ok(records)
}

fn record_at(
    backend: &dyn StorageBackend,
    offset: u64,
    len: u64,
) -> io::Result<Option<JournalRecord>> {
    if len - offset < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    backend.read(offset, &mut header)?;
    let Some((payload_bytes, mut record)) = read_header(&header, offset) else { return Ok(None) };
    let payload_at = offset + HEADER_BYTES as u64;
    if payload_bytes > PAYLOAD_BYTES_MAX || payload_at + payload_bytes as u64 > len {
        return Ok(None);
    }
    record.payload.resize(payload_bytes, 0);
    backend.read(payload_at, &mut record.payload)?;
    let mut checksum = Checksum::default();
    let (covered, expected) = header.split_at(HEADER_BYTES - size_of::<u64>());
    checksum.add(covered);
    checksum.add(&record.payload);
    Ok((checksum.value().to_le_bytes() == expected).then_some(record))
}

/// The length of the content, and the record without it.
fn read_header(header: &[u8; HEADER_BYTES], offset: u64) -> Option<(usize, JournalRecord)> {
    let (magic, rest) = header.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (payload_bytes, rest) = rest.split_first_chunk()?;
    let (store_id, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (number, _) = rest.split_first_chunk()?;
    if *magic != MAGIC || u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    let record = JournalRecord {
        store_id: u64::from_le_bytes(*store_id),
        epoch: u64::from_le_bytes(*epoch),
        number: u64::from_le_bytes(*number),
        offset,
        payload: Vec::new(),
    };
    Some((u32::from_le_bytes(*payload_bytes) as usize, record))
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

#[cfg(test)]
mod tests;
