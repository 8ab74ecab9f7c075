//! The state file of the gateway: what is kept across restarts, written before it is promised.
//!
//! A log of records, of which the last one of each client counts. One write and one `fdatasync`
//! for each turn that changed something; a torn end is cut off when the file is opened. The file
//! is written anew when it is opened and when most of it is out of date, to a second file that
//! then takes its name.
//!
//! Rejected: a database, because all of the state is in memory anyway, changes are rare and small,
//! and a log writes least to flash.
//!
//! ```text
//! file    magic, record*
//! magic   "weir-sn\x01"
//! record  length u32 | checksum u64 | client id length u16 | client id | kind u8 | content
//! ```
//! Numbers are big-endian. The length is that of what follows the checksum, and the checksum is
//! FNV-1a of the same bytes. Kind 1 has a content, which the gateway defines; 0 deletes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::gateway::{Saved, SavedError};

/// An open state file.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    file: File,
    records: BTreeMap<Box<str>, Box<[u8]>>,
    /// Bytes of the file, and of the records in it that count.
    length: u64,
    live: u64,
    scratch: Vec<u8>,
}

/// What a change does to the record of a client; `None` deletes it.
pub type Change = (Box<str>, Option<Vec<u8>>);

/// Why the state file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The system does not let it be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another file is there.
    #[error("{} is not a state file of this gateway; choose another path", .0.display())]
    NotAStateFile(PathBuf),
    /// A record cannot be understood.
    #[error("{}: record of client {client_id:?}: {source}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Whose record.
        client_id: Box<str>,
        /// What is wrong with it.
        source: SavedError,
    },
}

impl StateFile {
    /// Opens the file, or makes it, and gives what it holds.
    ///
    /// # Errors
    /// It cannot be read or written, or it is not a state file.
    pub fn open(path: &Path) -> Result<(Self, Vec<Saved>), StateError> {
        let in_path = |source| StateError::Io { path: path.into(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(in_path(error)),
        };
        let records = parse(&bytes).ok_or_else(|| StateError::NotAStateFile(path.into()))?;
        let mut saved = Vec::with_capacity(records.len());
        for (client_id, record) in &records {
            saved.push(Saved::decode(client_id, record).map_err(|source| {
                let (path, client_id) = (path.into(), client_id.clone());
                StateError::Record { path, client_id, source }
            })?);
        }
        let (file, length) = write_anew(path, &records).map_err(in_path)?;
        let (path, scratch) = (path.into(), Vec::new());
        Ok((Self { path, file, records, length, live: length, scratch }, saved))
    }

    /// Writes changes and returns when they are on disk.
    ///
    /// # Errors
    /// The system does not write them. What the file holds then is unknown: nothing that depends
    /// on the changes may be promised.
    pub fn commit(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<(), StateError> {
        self.scratch.clear();
        for (client_id, record) in changes {
            let before = self.scratch.len();
            write_record(&mut self.scratch, &client_id, record.as_deref());
            let added = (self.scratch.len() - before) as u64;
            let replaced = match record {
                Some(record) => {
                    self.live += added;
                    self.records.insert(client_id.clone(), record.into())
                }
                None => self.records.remove(&client_id),
            };
            if let Some(replaced) = replaced {
                self.live -= record_length(&client_id, &replaced);
            }
        }
        self.length += self.scratch.len() as u64;
        self.write().map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    fn write(&mut self) -> io::Result<()> {
        if self.length > self.live * GARBAGE_FACTOR + GARBAGE_MIN {
            (self.file, self.length) = write_anew(&self.path, &self.records)?;
            self.live = self.length;
            return Ok(());
        }
        self.file.write_all(&self.scratch)?;
        self.file.sync_data()
    }
}

/// What counts in a file; `None` if it is another file. What does not end, or does not match its
/// checksum, was not finished when the power went, and nothing after it was either.
fn parse(bytes: &[u8]) -> Option<BTreeMap<Box<str>, Box<[u8]>>> {
    let mut records = BTreeMap::new();
    // Not even the first bytes were finished.
    if MAGIC.starts_with(bytes) {
        return Some(records);
    }
    let mut rest = bytes.strip_prefix(MAGIC)?;
    while let Some((client_id, record)) = read_record(&mut rest) {
        match record {
            Some(record) => records.insert(client_id.into(), record.into()),
            None => records.remove(client_id),
        };
    }
    Some(records)
}

fn read_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, Option<&'a [u8]>)> {
    let (length, mut after) = rest.split_first_chunk::<4>()?;
    let (checksum, body_and_after) = after.split_first_chunk::<8>()?;
    after = body_and_after;
    let (body, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    if fnv_1a(body) != u64::from_be_bytes(*checksum) {
        return None;
    }
    let (id_length, body) = body.split_first_chunk::<2>()?;
    let (client_id, body) = body.split_at_checked(u16::from_be_bytes(*id_length).into())?;
    let (kind, content) = body.split_first()?;
    *rest = after;
    let client_id = str::from_utf8(client_id).ok()?;
    Some((client_id, (*kind == 1).then_some(content)))
}

fn write_record(out: &mut Vec<u8>, client_id: &str, record: Option<&[u8]>) {
    let start = out.len();
    out.extend([0; HEADER_LENGTH]);
    let id_length = u16::try_from(client_id.len()).expect("a client id came in one packet");
    out.extend(id_length.to_be_bytes());
    out.extend(client_id.as_bytes());
    out.push(record.is_some().into());
    out.extend(record.unwrap_or_default());
    let (header, body) = out[start..].split_at_mut(HEADER_LENGTH);
    let length = u32::try_from(body.len()).expect("a client has few and short topics");
    header[..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&fnv_1a(body).to_be_bytes());
}

fn record_length(client_id: &str, record: &[u8]) -> u64 {
    (HEADER_LENGTH + 2 + client_id.len() + 1 + record.len()) as u64
}

/// Writes a file with nothing but these records in the place of the one there is, and gives it
/// with its length.
fn write_anew(path: &Path, records: &BTreeMap<Box<str>, Box<[u8]>>) -> io::Result<(File, u64)> {
    let mut bytes = MAGIC.to_vec();
    for (client_id, record) in records {
        write_record(&mut bytes, client_id, Some(record));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    let file = OpenOptions::new().append(true).open(path)?;
    Ok((file, bytes.len() as u64))
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const MAGIC: &[u8] = b"weir-sn\x01";
const HEADER_LENGTH: usize = 12;
/// The file is written anew when it is this many times as long as what counts in it, and this
/// many bytes longer.
const GARBAGE_FACTOR: u64 = 4;
const GARBAGE_MIN: u64 = 256 * 1024;

#[cfg(test)]
mod tests;
