//! One file of a history: a header, then records. It is named by the number of its first message.
//!
//! A file is written at its end only, and any process may read it meanwhile. What a crash has cut
//! off at the end is not a record; what is damaged before others is passed over and counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use weir_core::{Sequence, parse_message};

use super::record::{MARK, RECORD_HEADER_BYTES, RecordHeader, Stored, message_checksum};
use crate::checksum::Checksum;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: u64 = 80;

/// What the header of a file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    /// The number of its first message.
    pub(crate) first: u64,
    /// Messages of the same history that were kept before it.
    pub(crate) messages_before: u64,
    /// When its first message was received, milliseconds since the Unix epoch.
    pub(crate) first_received_ms: u64,
    /// When the youngest message of the file before it was received; 0 when there was none.
    pub(crate) received_before_ms: u64,
    /// The last message of the same history before it that was logged.
    pub(crate) logged_before: Logged,
    /// What the checksums of its records begin with; drawn at random.
    pub(crate) salt: u64,
}

/// A message of the log. The store may have been replaced since, so the position alone does not say
/// which one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Logged {
    /// Its position; 0 when there is none.
    pub(crate) sequence: Sequence,
    /// Of the message.
    pub(crate) checksum: u64,
}

impl SegmentHeader {
    /// The bytes of the header.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in [
            self.first,
            self.messages_before,
            self.first_received_ms,
            self.received_before_ms,
            self.logged_before.sequence.0,
            self.logged_before.checksum,
            self.salt,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let mut sum = Checksum::default();
        sum.add(&bytes);
        bytes.extend_from_slice(&sum.value().to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?));
        let header = Self {
            first: number(16)?,
            messages_before: number(24)?,
            first_received_ms: number(32)?,
            received_before_ms: number(40)?,
            logged_before: Logged { sequence: Sequence(number(48)?), checksum: number(56)? },
            salt: number(64)?,
        };
        (header.encode() == bytes).then_some(header)
    }

    /// The header of the file `first` in a directory; none when the file has none that is whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(directory: &Path, first: u64) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let file = File::open(path(directory, first))?;
        file.take(HEADER_BYTES).read_to_end(&mut bytes)?;
        Ok(Self::decode(&bytes).filter(|header| header.first == first))
    }
}

/// The path of the file whose first message has this number.
pub(crate) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.{EXTENSION}"))
}

/// The numbers by which the files of a directory are named, ascending; none when there is no
/// directory.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(&format!(".{EXTENSION}")));
        numbers.extend(name.and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the records of a file one after the other.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    salt: u64,
    /// Bytes of the file from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Where in the buffer the next record is looked for.
    next: usize,
    /// Behind the last record that was read.
    read_to: u64,
    /// Gaps of damaged bytes between records.
    damaged: u64,
    /// Bytes of messages whose checksum was looked at.
    #[cfg(test)]
    pub(super) checked: usize,
}

impl Records {
    /// The records of a file from `offset` on, where one ends or the first begins; none when its
    /// header is not whole.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub(crate) fn open(directory: &Path, first: u64, offset: u64) -> io::Result<Option<Self>> {
        let Some(SegmentHeader { salt, .. }) = SegmentHeader::read(directory, first)? else {
            return Ok(None);
        };
        let file = OpenOptions::new().read(true).open(path(directory, first))?;
        let mut records = Self {
            file,
            salt,
            buffer: Vec::new(),
            buffer_at: 0,
            next: 0,
            read_to: offset.max(HEADER_BYTES),
            damaged: 0,
            #[cfg(test)]
            checked: 0,
        };
        records.go_back()?;
        Ok(Some(records))
    }

    /// The next record that is whole; none at the end of what is written. There it can be called
    /// again, and goes on with what was written since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Stored<'_>>> {
        let Some((header, record)) = self.find()? else {
            self.go_back()?;
            return Ok(None);
        };
        let begin = self.buffer_at + (record.start - RECORD_HEADER_BYTES) as u64;
        self.damaged += u64::from(begin > self.read_to);
        self.read_to = self.buffer_at + record.end as u64;
        self.next = record.end;
        let record = &self.buffer[record];
        let parts = parse_message(record).map_err(io::Error::other)?;
        Ok(Some(Stored { header, record, parts }))
    }

    /// Where the record that was read last ends.
    pub(crate) fn offset(&self) -> u64 {
        self.read_to
    }

    /// How often something between records could not be read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Looks for a record from `next` on, and answers where its message stands in the buffer.
    fn find(&mut self) -> io::Result<Option<(RecordHeader, Range<usize>)>> {
        loop {
            if !self.fill(RECORD_HEADER_BYTES)? {
                return Ok(None);
            }
            let bytes = self.buffer[self.next..].first_chunk().expect("so many bytes are there");
            let Some(header) = RecordHeader::decode(bytes, self.salt) else {
                self.pass_to_mark();
                continue;
            };
            let record_bytes = RECORD_HEADER_BYTES + header.message_bytes;
            // It goes on behind the end, so nothing else begins before that.
            if !self.fill(record_bytes)? {
                return Ok(None);
            }
            let message = self.next + RECORD_HEADER_BYTES..self.next + record_bytes;
            #[cfg(test)]
            {
                self.checked += message.len();
            }
            if message_checksum(&self.buffer[message.clone()]) == header.message_checksum {
                return Ok(Some((header, message)));
            }
            // What is damaged is in the message: its length is right.
            self.next += record_bytes;
        }
    }

    /// No record begins at `next`, so one is looked for behind it.
    fn pass_to_mark(&mut self) {
        let rest = &self.buffer[self.next + 1..];
        let mark = rest.windows(MARK.len()).position(|bytes| bytes == MARK);
        // The last bytes may be the begin of a mark.
        self.next += 1 + mark.unwrap_or(rest.len().saturating_sub(MARK.len() - 1));
    }

    /// Makes so many bytes from `next` on stand in the buffer; false when the file has fewer.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() - self.next >= bytes {
            return Ok(true);
        }
        self.buffer.drain(..self.next);
        self.buffer_at += self.next as u64;
        self.next = 0;
        while self.buffer.len() < bytes {
            let wanted = READ_BYTES.max(bytes - self.buffer.len()) as u64;
            if (&self.file).take(wanted).read_to_end(&mut self.buffer)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next record is looked for behind the last one again: what stands there may be the begin
    /// of one that is being written.
    fn go_back(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.read_to))?;
        self.buffer.clear();
        (self.buffer_at, self.next) = (self.read_to, 0);
        Ok(())
    }
}

const EXTENSION: &str = "history";
const MAGIC: [u8; 8] = *b"weirhist";
const VERSION: u32 = 1;
/// Read at a time.
const READ_BYTES: usize = 64 * 1024;
