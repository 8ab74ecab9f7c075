//! The file of a history that grows.
//!
//! It knows what the disk has for certain: behind a flush that failed nothing else is believed,
//! because the system may have forgotten what it could not write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use weir_core::{MessageParts, Sequence};

use super::record;
use super::segment::{self, SegmentHeader};

/// Makes sure that a file is on the disk.
pub(crate) type Flush = fn(&File) -> io::Result<()>;

/// A file to which messages are added.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) header: SegmentHeader,
    pub(super) last_received_ms: u64,
    /// None until something is written.
    file: Option<File>,
    /// What is written.
    bytes: u64,
    /// What is on the disk for certain.
    flushed_bytes: u64,
    /// What is not written yet.
    buffer: Vec<u8>,
    buffered: Pending,
    /// What is written and not flushed.
    written: Pending,
    /// Behind what is written there may be something else.
    is_ragged: bool,
}

/// Messages on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) messages: u64,
    /// Positions of those that the log holds.
    pub(super) logged: Vec<Sequence>,
}

/// Messages that the disk did not take.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) messages: Pending,
    pub(super) error: io::Error,
}

impl Active {
    /// One that begins with the next message.
    pub(super) fn new(header: SegmentHeader) -> Self {
        Self {
            buffer: header.encode(),
            header,
            last_received_ms: header.first_received_ms,
            file: None,
            bytes: 0,
            flushed_bytes: 0,
            buffered: Pending::default(),
            written: Pending::default(),
            is_ragged: false,
        }
    }

    /// One that goes on behind the last message that is whole. What a process that was killed has
    /// written need not be on the disk.
    pub(super) fn again(
        directory: &Path,
        header: SegmentHeader,
        bytes: u64,
        last_received_ms: u64,
        flush: Flush,
    ) -> io::Result<Self> {
        let path = segment::path(directory, header.first);
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(bytes)?;
        flush(&file)?;
        Ok(Self {
            file: Some(file),
            bytes,
            flushed_bytes: bytes,
            buffer: Vec::new(),
            last_received_ms,
            ..Self::new(header)
        })
    }

    /// Appends a message, in memory for now; answers its checksum.
    pub(super) fn append(
        &mut self,
        number: u64,
        sequence: Option<Sequence>,
        message: &MessageParts<'_>,
    ) -> u64 {
        let checksum =
            record::append(&mut self.buffer, self.header.salt, number, sequence, message);
        self.buffered.messages += 1;
        self.buffered.logged.extend(sequence);
        self.last_received_ms = self.last_received_ms.max(message.received_at_ms);
        checksum
    }

    /// Gives what was appended to the system.
    pub(super) fn write(&mut self, directory: &Path) -> Result<(), Lost> {
        let written = self.write_buffer(directory);
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        let messages = std::mem::take(&mut self.buffered);
        if let Err(error) = written {
            // What was written of it is the beginning of nothing.
            self.is_ragged = self.cut(directory, self.bytes).is_err() || self.bytes == 0;
            return Err(Lost { messages, error });
        }
        self.bytes += bytes;
        self.written.messages += messages.messages;
        self.written.logged.extend(messages.logged);
        Ok(())
    }

    /// Makes sure that what was logged and written is on the disk. After an error the file ends
    /// where it was flushed last, and nothing may be added.
    pub(super) fn flush(&mut self, directory: &Path, flush: Flush) -> Result<(), Lost> {
        let Some(file) = self.file.as_ref().filter(|_| !self.written.logged.is_empty()) else {
            return Ok(());
        };
        let flushed = flush(file);
        let messages = std::mem::take(&mut self.written);
        if let Err(error) = flushed {
            // If it cannot be cut off either, messages may be there twice rather than not at all.
            if self.cut(directory, self.flushed_bytes).is_ok() {
                self.bytes = self.flushed_bytes;
            }
            self.is_ragged = true;
            return Err(Lost { messages, error });
        }
        self.flushed_bytes = self.bytes;
        Ok(())
    }

    /// What it takes when all is written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.buffer.len() as u64
    }

    /// Whether something is not written.
    pub(super) fn has_buffered(&self) -> bool {
        self.buffered.messages > 0
    }

    /// Whether so much waits that it had better be written.
    pub(super) fn is_buffer_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES_MAX
    }

    /// Whether nothing may be added any more.
    pub(super) fn is_ragged(&self) -> bool {
        self.is_ragged
    }

    fn write_buffer(&mut self, directory: &Path) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return file.write_all(&self.buffer);
        }
        let path = segment::path(directory, self.header.first);
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(&self.buffer)?;
        // So that the name is on the disk as well.
        File::open(directory)?.sync_all()?;
        self.file = Some(file);
        Ok(())
    }

    /// Lets it end there; without anything it goes.
    fn cut(&self, directory: &Path, bytes: u64) -> io::Result<()> {
        match &self.file {
            Some(file) if bytes > 0 => file.set_len(bytes),
            _ => fs::remove_file(segment::path(directory, self.header.first)),
        }
    }
}

/// Written at once when so much waits.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
