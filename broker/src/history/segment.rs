//! One file of a history: a header, then records. It is named by the number of its first message.
//!
//! A file is written at its end only, and any process may read it meanwhile. What a crash has cut
//! off at the end is not a record; what is damaged before others is passed over and counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::record::{Header, MARK, RECORD_HEADER_BYTES, Stored};
use crate::checksum::Checksum;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: u64 = 56;

/// What the header of a file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    /// The number of its first message.
    pub(crate) first: u64,
    /// Messages of the same history that were kept before it.
    pub(crate) messages_before: u64,
    /// When its first message was received, milliseconds since the Unix epoch.
    pub(crate) first_received_ms: u64,
    /// What its checksums begin with; drawn at random.
    pub(crate) salt: u64,
}

impl SegmentHeader {
    /// The bytes of the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in [self.first, self.messages_before, self.first_received_ms, self.salt] {
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
            salt: number(40)?,
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
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
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
        let offset = offset.max(HEADER_BYTES);
        let mut file = OpenOptions::new().read(true).open(path(directory, first))?;
        file.seek(SeekFrom::Start(offset))?;
        let (buffer, next) = (Vec::new(), 0);
        let (buffer_at, read_to) = (offset, offset);
        Ok(Some(Self { file, salt, buffer, buffer_at, next, read_to, damaged: 0 }))
    }

    /// The next record that is whole; none at the end of what is written. There it can be called
    /// again, and goes on with what was written since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Stored<'_>>> {
        self.next = self.at(self.read_to);
        let Some(record) = self.find()? else { return Ok(None) };
        if self.buffer_at + self.next as u64 > self.read_to {
            self.damaged += 1;
        }
        self.read_to = self.buffer_at + record.end as u64;
        let (header, message) = self.buffer[self.next..record.end]
            .split_first_chunk::<RECORD_HEADER_BYTES>()
            .expect("a record that was found has its header");
        Ok(Header::read(header).and_then(|header| header.message(message)))
    }

    /// Where the record that was read last ends.
    pub(crate) fn offset(&self) -> u64 {
        self.read_to
    }

    /// How often something between records could not be read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Looks for a record from `next` on, which stands at its beginning then.
    fn find(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            if !self.fill(RECORD_HEADER_BYTES)? {
                return Ok(None);
            }
            if let Some(end) = self.end_of_record()? {
                return Ok(Some(self.next..end));
            }
            // The first byte is no beginning of a record, so it is looked for behind it.
            let rest = &self.buffer[self.next + 1..];
            let mark = rest.windows(MARK.len()).position(|bytes| bytes == MARK);
            // The last bytes may be the begin of a mark.
            self.next += 1 + mark.unwrap_or(rest.len().saturating_sub(MARK.len() - 1));
        }
    }

    /// Where the record at `next` ends; none when there is none, or not all of it.
    fn end_of_record(&mut self) -> io::Result<Option<usize>> {
        let bytes = *self.buffer[self.next..].first_chunk().expect("so many bytes are there");
        let Some(header) = Header::read(&bytes) else { return Ok(None) };
        let record_bytes = RECORD_HEADER_BYTES + header.message_bytes;
        if !self.fill(record_bytes)? {
            return Ok(None);
        }
        let end = self.next + record_bytes;
        let message = &self.buffer[self.next + RECORD_HEADER_BYTES..end];
        Ok(header.is_of(self.salt, &bytes, message).then_some(end))
    }

    /// Makes so many bytes from `next` on stand in the buffer; false when the file has fewer.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() - self.next >= bytes {
            return Ok(true);
        }
        let kept_from = self.at(self.read_to).min(self.next);
        self.buffer.drain(..kept_from);
        self.buffer_at += kept_from as u64;
        self.next -= kept_from;
        while self.buffer.len() - self.next < bytes {
            let wanted = READ_BYTES.max(self.next + bytes - self.buffer.len()) as u64;
            if (&self.file).take(wanted).read_to_end(&mut self.buffer)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where a place of the file stands in the buffer.
    fn at(&self, offset: u64) -> usize {
        usize::try_from(offset - self.buffer_at).expect("what is read stands in the buffer")
    }
}

const EXTENSION: &str = "history";
const MAGIC: [u8; 8] = *b"weirhist";
const VERSION: u32 = 1;
/// Read at a time.
const READ_BYTES: usize = 64 * 1024;
