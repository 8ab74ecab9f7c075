//! The messages of one `[[history]]` on disk: files in a directory, of which the last one grows.
//!
//! What is appended waits in memory until [`Entry::write`], and is on the disk for certain after
//! [`Entry::sync`]. Whole files go when there are too many bytes or when all of a file is too old.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use weir_core::{MessageParts, Sequence};

use super::record::{self, message_checksum};
use super::segment::{self, HEADER_BYTES, Records, SegmentHeader};
use crate::config::HistoryConfig;
use crate::status::HistoryStatus;

/// A history that is written.
#[derive(Debug)]
pub(super) struct Entry {
    directory: PathBuf,
    filter: String,
    bytes_max: u64,
    age_max_ms: u64,
    /// Complete files, the oldest first.
    closed: VecDeque<Closed>,
    /// What they take.
    closed_bytes: u64,
    /// The file that grows, if there is one.
    active: Option<Active>,
    /// Messages that were ever kept.
    messages_end: u64,
    dropped: BTreeMap<&'static str, u64>,
    /// The last attempt to write has failed.
    is_failing: bool,
}

/// A file to which nothing is added.
#[derive(Debug)]
struct Closed {
    header: SegmentHeader,
    bytes: u64,
    /// When its last message was received, or a later time.
    last_received_ms: u64,
}

/// The file that grows.
#[derive(Debug)]
struct Active {
    header: SegmentHeader,
    /// None until something is written.
    file: Option<File>,
    /// What is written.
    bytes: u64,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Messages in the buffer.
    buffered: u64,
    last_received_ms: u64,
    /// Something that was logged is not on the disk for certain.
    is_unsynced: bool,
}

/// What a history holds at its end.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The number of the last message; 0 when there is none.
    pub(super) last: u64,
    /// Messages that the log may hold too: position, and checksum of the message.
    pub(super) logged: Vec<(Sequence, u64)>,
}

impl Entry {
    /// Opens the history, which may not be there yet, and mends its end. Its messages behind the
    /// position `done` of the log are those that may be offered again.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub(super) fn open(
        parent: &Path,
        config: &HistoryConfig,
        done: Sequence,
    ) -> io::Result<(Self, Tail)> {
        let directory = parent.join(config.directory());
        fs::create_dir_all(&directory)?;
        let mut entry = Self {
            directory,
            filter: config.filter.clone(),
            bytes_max: config.max_bytes,
            age_max_ms: u64::try_from(config.max_age.as_millis()).unwrap_or(u64::MAX),
            closed: VecDeque::new(),
            closed_bytes: 0,
            active: None,
            messages_end: 0,
            dropped: BTreeMap::new(),
            is_failing: false,
        };
        let tail = entry.read_files(done)?;
        Ok((entry, tail))
    }

    /// Appends a message, in memory for now. `salt` is for a file that begins with it.
    pub(super) fn append(
        &mut self,
        number: u64,
        sequence: Option<Sequence>,
        message: &MessageParts<'_>,
        salt: impl FnOnce() -> u64,
    ) {
        if record::bytes(message) > self.bytes_max / 2 {
            *self.dropped.entry(TOO_LARGE).or_default() += 1;
            return;
        }
        let received_ms = message.received_at_ms;
        if self.active.as_ref().is_some_and(|active| self.is_complete(active, received_ms)) {
            self.close();
        }
        let messages_before = self.messages_end;
        let active = self.active.get_or_insert_with(|| {
            let (first, first_received_ms, salt) = (number, received_ms, salt());
            Active::new(SegmentHeader { first, messages_before, first_received_ms, salt })
        });
        record::append(&mut active.buffer, active.header.salt, number, sequence, message);
        active.buffered += 1;
        active.last_received_ms = active.last_received_ms.max(received_ms);
        active.is_unsynced |= sequence.is_some();
        self.messages_end += 1;
        if active.buffer.len() >= BUFFER_BYTES_MAX {
            self.write();
        }
    }

    /// Gives what was appended to the system. What cannot be written is dropped and counted: the
    /// broker goes on without it.
    pub(super) fn write(&mut self) {
        let Some(active) = &mut self.active else { return };
        if active.buffer.is_empty() {
            return;
        }
        let messages = active.buffered;
        match active.write(&self.directory) {
            Ok(()) => self.is_failing = false,
            Err(error) => self.fail(messages, &error),
        }
        self.drop_oldest();
    }

    /// Makes sure that what was logged is on the disk.
    pub(super) fn sync(&mut self) {
        self.write();
        let Some(active) = self.active.as_mut().filter(|active| active.is_unsynced) else { return };
        active.is_unsynced = false;
        if let Some(Err(error)) = active.file.as_ref().map(File::sync_data) {
            self.fail(0, &error);
        }
    }

    /// Drops files of which all is too old at `unix_ms`.
    pub(super) fn expire(&mut self, unix_ms: u64) {
        let oldest_ms = unix_ms.saturating_sub(self.age_max_ms);
        let is_over = |active: &Active| active.last_received_ms < oldest_ms;
        if self.active.as_ref().is_some_and(is_over) {
            self.close();
        }
        while self.closed.front().is_some_and(|oldest| oldest.last_received_ms < oldest_ms) {
            self.drop_first();
        }
    }

    /// How it is.
    pub(super) fn status(&self) -> HistoryStatus {
        let active = self.active.as_ref();
        let first = self.closed.front().map(|closed| closed.header);
        let first = first.or(active.map(|active| active.header));
        HistoryStatus {
            filter: self.filter.clone(),
            messages: first.map_or(0, |first| self.messages_end - first.messages_before),
            bytes: self.bytes(),
            oldest_at_ms: first.map(|first| first.first_received_ms),
            dropped: self.dropped.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect(),
        }
    }

    fn bytes(&self) -> u64 {
        let bytes = |active: &Active| active.bytes + active.buffer.len() as u64;
        self.closed_bytes + self.active.as_ref().map_or(0, bytes)
    }

    /// Whether a message of this time begins a new file, so that a sixteenth can go at a time.
    fn is_complete(&self, active: &Active, received_ms: u64) -> bool {
        let bytes_max = (self.bytes_max / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let age_ms = received_ms.saturating_sub(active.header.first_received_ms);
        active.bytes + active.buffer.len() as u64 >= bytes_max
            || age_ms > self.age_max_ms / SEGMENTS
    }

    fn close(&mut self) {
        self.sync();
        let Some(active) = self.active.take() else { return };
        if active.file.is_some() {
            let Active { header, bytes, last_received_ms, .. } = active;
            self.closed_bytes += bytes;
            self.closed.push_back(Closed { header, bytes, last_received_ms });
        }
    }

    /// Files go until the rest takes no more than it may. The one that grows takes less, because no
    /// message takes more than half.
    fn drop_oldest(&mut self) {
        while self.bytes() > self.bytes_max && !self.closed.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(oldest) = self.closed.pop_front() else { return };
        self.closed_bytes -= oldest.bytes;
        if let Err(error) = fs::remove_file(segment::path(&self.directory, oldest.header.first)) {
            self.fail(0, &error);
        }
    }

    fn fail(&mut self, messages: u64, error: &io::Error) {
        *self.dropped.entry(FAILED).or_default() += messages;
        // They are not there, so they do not count among those that are.
        self.messages_end -= messages;
        if !std::mem::replace(&mut self.is_failing, true) {
            let directory = self.directory.display();
            tracing::error!(%directory, %error, "a history cannot be written and misses messages");
        }
    }

    fn read_files(&mut self, done: Sequence) -> io::Result<Tail> {
        let (mut tail, mut may_be_logged) = (Tail::default(), true);
        let firsts = segment::list(&self.directory)?;
        for (index, first) in firsts.iter().enumerate().rev() {
            let is_last = tail.last == 0;
            let Some(header) = SegmentHeader::read(&self.directory, *first)? else {
                self.remove_unreadable(*first, index + 1 == firsts.len())?;
                continue;
            };
            let path = segment::path(&self.directory, *first);
            if is_last || may_be_logged {
                let known = tail.logged.len();
                let found = self.scan(header, done, &mut tail)?;
                may_be_logged = (known + 1..KNOWN_MAX).contains(&tail.logged.len());
                if found.messages == 0 && is_last {
                    fs::remove_file(&path)?;
                    continue;
                }
                if is_last {
                    self.messages_end = header.messages_before + found.messages;
                    self.active = Some(Active::again(header, &path, &found)?);
                    continue;
                }
            }
            let next = self.closed.front().map(|closed| closed.header);
            let next = next.or(self.active.as_ref().map(|active| active.header));
            let last_received_ms = next.map_or(u64::MAX, |next| next.first_received_ms);
            let bytes = fs::metadata(&path)?.len();
            self.closed_bytes += bytes;
            self.closed.push_front(Closed { header, bytes, last_received_ms });
        }
        self.drop_oldest();
        Ok(tail)
    }

    /// Reads a whole file for what may be offered again, and for its end.
    fn scan(&mut self, header: SegmentHeader, done: Sequence, tail: &mut Tail) -> io::Result<Scan> {
        let mut scan = Scan { messages: 0, bytes: HEADER_BYTES, last_received_ms: 0 };
        let Some(mut records) = Records::open(&self.directory, header.first, 0)? else {
            return Ok(scan);
        };
        while let Some(stored) = records.next()? {
            scan.messages += 1;
            scan.last_received_ms = scan.last_received_ms.max(stored.parts.received_at_ms);
            tail.last = tail.last.max(stored.number);
            if let Some(sequence) = stored.sequence.filter(|sequence| *sequence > done) {
                tail.logged.push((sequence, message_checksum(stored.record)));
            }
        }
        scan.bytes = records.offset();
        if records.damaged() > 0 {
            *self.dropped.entry(DAMAGED).or_default() += records.damaged();
            let (directory, damaged) = (self.directory.display(), records.damaged());
            tracing::warn!(%directory, damaged, "parts of a history cannot be read");
        }
        Ok(scan)
    }

    /// A crash may cut off the header of the newest file; any other was damaged.
    fn remove_unreadable(&mut self, first: u64, is_newest: bool) -> io::Result<()> {
        let path = segment::path(&self.directory, first);
        let mut begin = Vec::new();
        File::open(&path)?.take(HEADER_BYTES + 1).read_to_end(&mut begin)?;
        if !is_newest || begin.len() as u64 > HEADER_BYTES {
            *self.dropped.entry(DAMAGED).or_default() += 1;
            tracing::warn!(file = %path.display(), "a file of a history is damaged and removed");
        }
        fs::remove_file(path)
    }
}

impl Active {
    fn new(header: SegmentHeader) -> Self {
        Self {
            buffer: header.encode(),
            header,
            file: None,
            bytes: 0,
            buffered: 0,
            last_received_ms: header.first_received_ms,
            is_unsynced: false,
        }
    }

    /// One that goes on behind the last message that is whole.
    fn again(header: SegmentHeader, path: &Path, found: &Scan) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(found.bytes)?;
        Ok(Self {
            file: Some(file),
            bytes: found.bytes,
            buffer: Vec::new(),
            last_received_ms: found.last_received_ms,
            ..Self::new(header)
        })
    }

    fn write(&mut self, directory: &Path) -> io::Result<()> {
        let written = self.write_buffer(directory);
        if written.is_ok() {
            self.bytes += self.buffer.len() as u64;
        } else if let Some(file) = &self.file {
            // What was written of it is the beginning of nothing.
            let _ = file.set_len(self.bytes);
        }
        self.buffer.clear();
        self.buffered = 0;
        if self.bytes == 0 {
            self.buffer = self.header.encode();
        }
        written
    }

    fn write_buffer(&mut self, directory: &Path) -> io::Result<()> {
        if self.file.is_none() {
            let path = segment::path(directory, self.header.first);
            self.file = Some(OpenOptions::new().append(true).create(true).open(path)?);
            // So that the name is on the disk as well.
            File::open(directory)?.sync_all()?;
        }
        let file = self.file.as_mut().expect("it was opened");
        file.write_all(&self.buffer)
    }
}

/// What a file was found to hold.
#[derive(Debug)]
struct Scan {
    messages: u64,
    bytes: u64,
    last_received_ms: u64,
}

/// Written at once when so much waits.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Parts of a history, of which one goes at a time.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// One is read as a whole at a start.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// Messages that may be offered again; fewer are kept between two moves of the cursor.
const KNOWN_MAX: usize = 65_536;
/// Why messages are dropped.
const DAMAGED: &str = "damaged";
const FAILED: &str = "failed";
const TOO_LARGE: &str = "too_large";
