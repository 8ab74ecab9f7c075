//! Messages on disk that wait for the broker.
//!
//! One file in the data directory, `bridge.redb`. Table `messages`: the number of a message, to a
//! record of flags (1 byte: bits 0-1 QoS, bit 2 retain), time of storing (8 bytes, big-endian, ms
//! since the Unix epoch, 0 = not known), length of the topic (2 bytes, big-endian), topic, payload.
//! Table `totals`: `bytes` = the length of all records. Each change is one transaction, and durable
//! when it has returned.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bytes::Bytes;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
};
use thiserror::Error;

use super::outbox::{Entry, Message};
use crate::session::QoS;

/// The file and what is known of it.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    database: Database,
    length: u64,
    bytes: u64,
    next: u64,
}

/// Why the queue cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Its directory cannot be made.
    #[error("cannot create the directory `{}`", path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another program has the file open.
    #[error("`{}` is in use: another bridge runs with this data directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the queue on disk cannot be used")]
    Store {
        /// What the store says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the file is at fault, not the machine.
        is_damaged: bool,
    },
}

impl<E: Into<redb::Error>> From<E> for QueueError {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::Store { is_damaged: is_damage(&error), source: Box::new(error) }
    }
}

impl DiskQueue {
    /// Opens the queue of a directory, which is made if it is not there. A file that is damaged is
    /// put aside, under a name that is given back, and the queue begins empty.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Option<PathBuf>), QueueError> {
        fs::create_dir_all(folder)
            .map_err(|source| QueueError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(FILE);
        match Self::open_file(&path) {
            Ok(queue) => Ok((queue, None)),
            Err(QueueError::Store { is_damaged: true, .. }) => {
                let aside = folder.join(format!("{FILE}.damaged"));
                fs::rename(&path, &aside)
                    .map_err(|source| QueueError::Folder { path: aside.clone(), source })?;
                Ok((Self::open_file(&path)?, Some(aside)))
            }
            Err(error) => Err(error),
        }
    }

    fn open_file(path: &Path) -> Result<Self, QueueError> {
        let database = Database::create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => QueueError::InUse { path: path.to_owned() },
            error => error.into(),
        })?;
        let change = database.begin_write()?;
        let (length, bytes, next) = {
            let messages = change.open_table(MESSAGES)?;
            let totals = change.open_table(TOTALS)?;
            let bytes = totals.get(BYTES)?.map_or(0, |bytes| bytes.value());
            let next = messages.last()?.map_or(0, |(number, _)| number.value() + 1);
            (messages.len()?, bytes, next)
        };
        change.commit()?;
        Ok(Self { database, length, bytes, next })
    }

    /// Appends messages and removes others, in one transaction. Then the oldest go until `bytes_max`
    /// is kept; how many went is given back.
    pub(crate) fn change(
        &mut self,
        append: &[Entry],
        remove: &[u64],
        bytes_max: u64,
    ) -> Result<u64, QueueError> {
        let change = self.database.begin_write()?;
        let (length, bytes, dropped) = {
            let mut messages = change.open_table(MESSAGES)?;
            let mut bytes = self.bytes;
            for number in remove {
                if let Some(record) = messages.remove(number)? {
                    bytes = bytes.saturating_sub(record.value().len() as u64);
                }
            }
            for entry in append {
                let record = encode(entry);
                bytes += record.len() as u64;
                messages.insert(entry.number, record.as_slice())?;
            }
            let dropped = drop_oldest(&mut messages, &mut bytes, bytes_max)?;
            change.open_table(TOTALS)?.insert(BYTES, bytes)?;
            (messages.len()?, bytes, dropped)
        };
        change.commit()?;
        self.length = length;
        self.bytes = bytes;
        let last = append.iter().map(|entry| entry.number + 1).max();
        self.next = self.next.max(last.unwrap_or(0));
        Ok(dropped)
    }

    /// The first messages whose number is at least `first`, at most `count`.
    pub(crate) fn read(&self, first: u64, count: usize) -> Result<Vec<Entry>, QueueError> {
        let read = self.database.begin_read()?;
        let messages = read.open_table(MESSAGES)?;
        let mut entries = Vec::new();
        for message in messages.range(first..)?.take(count) {
            let (number, record) = message?;
            // A record is read as it was written: the file has checksums.
            entries.extend(decode(number.value(), record.value()));
        }
        Ok(entries)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The length of all records.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number that no message has had.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }
}

fn drop_oldest(
    messages: &mut Table<'_, u64, &'static [u8]>,
    bytes: &mut u64,
    bytes_max: u64,
) -> Result<u64, QueueError> {
    let mut dropped = 0;
    while *bytes > bytes_max {
        let Some((_, record)) = messages.pop_first()? else { break };
        *bytes = bytes.saturating_sub(record.value().len() as u64);
        dropped += 1;
    }
    Ok(dropped)
}

/// Whether the file is at fault, not the machine.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => true,
        redb::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    let Message { topic, payload, qos, retain, .. } = &entry.message;
    let qos = match qos {
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
        _ => 0,
    };
    let mut record = Vec::with_capacity(HEADER_BYTES + topic.len() + payload.len());
    record.push(qos | u8::from(*retain) << 2);
    record.extend(entry.stored_unix_ms.to_be_bytes());
    // Topics are made of names and a root, which are far shorter.
    let length = u16::try_from(topic.len()).expect("the configuration limits topics");
    record.extend(length.to_be_bytes());
    record.extend(topic.as_bytes());
    record.extend(payload);
    record
}

fn decode(number: u64, record: &[u8]) -> Option<Entry> {
    let (flags, rest) = record.split_first()?;
    let (stored, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (topic, payload) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let qos = match flags & 0b11 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    let message = Message {
        topic: std::str::from_utf8(topic).ok()?.into(),
        payload: Bytes::copy_from_slice(payload),
        qos,
        retain: flags & 0b100 != 0,
        is_kept: true,
    };
    Some(Entry { number, stored_unix_ms: u64::from_be_bytes(*stored), message })
}

const FILE: &str = "bridge.redb";
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");
const BYTES: &str = "bytes";
const HEADER_BYTES: usize = 11;
