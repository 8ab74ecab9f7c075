//! The messages of one `[[history]]` on disk: files in a directory, of which the last one grows.
//!
//! What is appended waits in memory until [`Entry::write`], and is on the disk for certain when
//! [`Entry::sync`] says so. Whole files go when there are too many bytes or when all of a file is
//! too old.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use weir_core::{MessageParts, Sequence};

use super::active::{Active, Flush, Lost};
use super::record::{self, RecordHeader};
use super::segment::{self, HEADER_BYTES, Logged, Records, SegmentHeader};
use crate::config::HistoryConfig;
use crate::status::HistoryStatus;

/// A history that is written.
#[derive(Debug)]
pub(super) struct Entry {
    directory: PathBuf,
    filter: String,
    bytes_max: u64,
    age_max_ms: u64,
    flush: Flush,
    /// Complete files, the oldest first.
    closed: VecDeque<Closed>,
    /// What they take.
    closed_bytes: u64,
    /// The file that grows, if there is one.
    active: Option<Active>,
    /// Messages that were ever kept.
    messages_end: u64,
    /// The last message that was logged.
    logged: Logged,
    /// The last one of those that is on the disk for certain.
    flushed: Logged,
    /// Messages that a flush has lost, and that the log still holds.
    lost: BTreeSet<Sequence>,
    dropped: BTreeMap<&'static str, u64>,
    /// The last attempt to write has failed.
    is_failing: bool,
    /// The last attempt to flush has.
    is_flush_failing: bool,
}

/// A file to which nothing is added.
#[derive(Debug)]
struct Closed {
    header: SegmentHeader,
    bytes: u64,
    /// When its youngest message was received.
    last_received_ms: u64,
}

/// What the log offers at the start.
#[derive(Debug)]
pub(super) struct Offered {
    /// Up to here it offers nothing.
    pub(super) done: Sequence,
    /// The checksums of the messages.
    pub(super) messages: BTreeMap<Sequence, u64>,
}

/// What a history holds at its end.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The number of the last message; 0 when there is none.
    pub(super) last: u64,
    /// Messages that are offered and that it holds.
    pub(super) held: BTreeSet<Sequence>,
    /// What is offered up to here it has held, and may have dropped again.
    pub(super) dropped_to: Sequence,
}

impl Entry {
    /// Opens the history, which may not be there yet, and mends its end.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub(super) fn open(
        parent: &Path,
        config: &HistoryConfig,
        offered: &Offered,
        flush: Flush,
    ) -> io::Result<(Self, Tail)> {
        let directory = parent.join(config.directory());
        fs::create_dir_all(&directory)?;
        let mut entry = Self {
            directory,
            filter: config.filter.clone(),
            bytes_max: config.max_bytes,
            age_max_ms: u64::try_from(config.max_age.as_millis()).unwrap_or(u64::MAX),
            flush,
            closed: VecDeque::new(),
            closed_bytes: 0,
            active: None,
            messages_end: 0,
            logged: Logged::default(),
            flushed: Logged::default(),
            lost: BTreeSet::new(),
            dropped: BTreeMap::new(),
            is_failing: false,
            is_flush_failing: false,
        };
        let tail = entry.read_files(offered)?;
        File::open(&entry.directory)?.sync_all()?;
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
        let header = || SegmentHeader {
            first: number,
            messages_before: self.messages_end,
            first_received_ms: received_ms,
            received_before_ms: self.closed.back().map_or(0, |last| last.last_received_ms),
            logged_before: self.logged,
            salt: salt(),
        };
        let active = self.active.get_or_insert_with(|| Active::new(header()));
        let checksum = active.append(number, sequence, message);
        self.messages_end += 1;
        if let Some(sequence) = sequence {
            self.logged = Logged { sequence, checksum };
        }
        if active.is_buffer_full() {
            self.write();
        }
    }

    /// Gives what was appended to the system. What cannot be written is dropped and counted: the
    /// broker goes on without it.
    pub(super) fn write(&mut self) {
        self.drop_oldest();
        let Some(active) = self.active.as_mut().filter(|active| active.has_buffered()) else {
            return;
        };
        match active.write(&self.directory) {
            Ok(()) => self.is_failing = self.is_flush_failing,
            Err(Lost { messages, error }) => {
                let is_ragged = active.is_ragged();
                self.messages_end -= messages.messages;
                self.fail(messages.messages, &error);
                if is_ragged {
                    self.close();
                }
            }
        }
    }

    /// Makes sure that what was logged is on the disk. False when it is not: the log has to give
    /// what is [lost](Self::take_lost) again.
    pub(super) fn sync(&mut self) -> bool {
        self.write();
        let Some(active) = &mut self.active else { return self.lost.is_empty() };
        match active.flush(&self.directory, self.flush) {
            Ok(()) => (self.flushed, self.is_flush_failing) = (self.logged, false),
            Err(Lost { messages, error }) => {
                (self.logged, self.is_flush_failing) = (self.flushed, true);
                self.retire();
                self.messages_end -= messages.messages;
                self.fail(messages.messages - messages.logged.len() as u64, &error);
                self.lost.extend(messages.logged);
                if self.lost.len() > LOST_MAX {
                    let lost = std::mem::take(&mut self.lost);
                    self.miss(lost.len());
                }
            }
        }
        self.lost.is_empty()
    }

    /// The positions of what a flush has lost and the log still holds.
    pub(super) fn take_lost(&mut self) -> BTreeSet<Sequence> {
        std::mem::take(&mut self.lost)
    }

    /// Some of that is not in the log any more.
    pub(super) fn miss(&mut self, messages: usize) {
        if messages > 0 {
            *self.dropped.entry(FAILED).or_default() += messages as u64;
        }
    }

    /// Drops files of which all is too old at `unix_ms`.
    pub(super) fn expire(&mut self, unix_ms: u64) {
        let oldest_ms = unix_ms.saturating_sub(self.age_max_ms);
        let is_over = |active: &Active| active.last_received_ms < oldest_ms;
        if self.active.as_ref().is_some_and(is_over) {
            self.close();
        }
        while self.oldest_ends_at(unix_ms).is_some_and(|last| last < oldest_ms) {
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
        self.closed_bytes + self.active.as_ref().map_or(0, Active::bytes)
    }

    /// Whether a message of this time begins a new file, so that a sixteenth can go at a time.
    fn is_complete(&self, active: &Active, received_ms: u64) -> bool {
        let bytes_max = (self.bytes_max / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let age_ms = received_ms.saturating_sub(active.header.first_received_ms);
        active.bytes() >= bytes_max || age_ms > self.age_max_ms / SEGMENTS
    }

    /// When the youngest message of the oldest file was received. A time that has not come is that
    /// of a wrong clock: the files behind it say more then.
    fn oldest_ends_at(&self, unix_ms: u64) -> Option<u64> {
        let mut times = self.closed.iter().map(|closed| closed.last_received_ms);
        times.find(|last| *last <= unix_ms)
    }

    fn close(&mut self) {
        self.sync();
        self.retire();
    }

    /// Nothing is added to the file any more. One that was given back has nothing.
    fn retire(&mut self) {
        let Some(active) = self.active.take() else { return };
        let Active { header, last_received_ms, .. } = active;
        if active.bytes() > 0 {
            self.closed_bytes += active.bytes();
            self.closed.push_back(Closed { header, bytes: active.bytes(), last_received_ms });
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
        self.miss(usize::try_from(messages).unwrap_or(usize::MAX));
        if !std::mem::replace(&mut self.is_failing, true) {
            let directory = self.directory.display();
            tracing::error!(%directory, %error, "a history cannot be written and misses messages");
        }
    }

    /// From the newest file to the oldest: the newest for its end, and others as far back as they
    /// may have something that is offered.
    fn read_files(&mut self, offered: &Offered) -> io::Result<Tail> {
        let mut tail = Tail::default();
        let mut behind: Option<SegmentHeader> = None;
        let firsts = segment::list(&self.directory)?;
        for (index, first) in firsts.iter().enumerate().rev() {
            let Some(header) = SegmentHeader::read(&self.directory, *first)? else {
                self.remove_unreadable(*first, index + 1 == firsts.len())?;
                continue;
            };
            match behind {
                None if !self.take_up(header, offered, &mut tail)? => continue,
                None => {}
                Some(behind) => self.take_in(header, behind, offered, &mut tail)?,
            }
            behind = Some(header);
        }
        let before = behind.map(|oldest| oldest.logged_before);
        if let Some(before) = before.filter(|before| offered.has(*before)) {
            tail.dropped_to = before.sequence;
        }
        self.drop_oldest();
        Ok(tail)
    }

    /// Goes on with the newest file; false when there is nothing in it.
    fn take_up(
        &mut self,
        header: SegmentHeader,
        offered: &Offered,
        tail: &mut Tail,
    ) -> io::Result<bool> {
        let found = self.scan(header, offered, tail)?;
        if found.messages == 0 {
            fs::remove_file(segment::path(&self.directory, header.first))?;
            return Ok(false);
        }
        self.messages_end = header.messages_before + found.messages;
        self.logged = found.logged.unwrap_or(header.logged_before);
        let (bytes, last_received_ms) = (found.bytes, found.last_received_ms);
        let active = Active::again(&self.directory, header, bytes, last_received_ms, self.flush)?;
        (self.active, self.flushed) = (Some(active), self.logged);
        Ok(true)
    }

    /// Takes in a file in front of another one. What is behind a position in the log was written
    /// behind it, so nothing that is offered stands in front of what is not offered any more.
    fn take_in(
        &mut self,
        header: SegmentHeader,
        behind: SegmentHeader,
        offered: &Offered,
        tail: &mut Tail,
    ) -> io::Result<()> {
        if !offered.messages.is_empty() && behind.logged_before.sequence > offered.done {
            self.scan(header, offered, tail)?;
        }
        let bytes = fs::metadata(segment::path(&self.directory, header.first))?.len();
        let last_received_ms = behind.received_before_ms.max(header.first_received_ms);
        self.closed_bytes += bytes;
        self.closed.push_front(Closed { header, bytes, last_received_ms });
        Ok(())
    }

    /// Reads a whole file for what is offered again, and for its end.
    fn scan(
        &mut self,
        header: SegmentHeader,
        offered: &Offered,
        tail: &mut Tail,
    ) -> io::Result<Scan> {
        let mut scan = Scan { messages: 0, bytes: HEADER_BYTES, last_received_ms: 0, logged: None };
        let Some(mut records) = Records::open(&self.directory, header.first, 0)? else {
            return Ok(scan);
        };
        while let Some(stored) = records.next()? {
            let RecordHeader { number, sequence, message_checksum: checksum, .. } = stored.header;
            scan.messages += 1;
            scan.last_received_ms = scan.last_received_ms.max(stored.parts.received_at_ms);
            tail.last = tail.last.max(number);
            if let Some(sequence) = sequence {
                let logged = Logged { sequence, checksum };
                scan.logged = Some(logged);
                tail.held.extend(offered.has(logged).then_some(sequence));
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

impl Offered {
    /// Whether it is this message that is offered.
    fn has(&self, logged: Logged) -> bool {
        self.messages.get(&logged.sequence) == Some(&logged.checksum)
    }
}

/// What a file was found to hold.
#[derive(Debug)]
struct Scan {
    messages: u64,
    bytes: u64,
    last_received_ms: u64,
    /// The last message that was logged.
    logged: Option<Logged>,
}

/// Parts of a history, of which one goes at a time.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// One is read as a whole at a start.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// Messages that are read from the log again when a flush has lost them; more are given up.
const LOST_MAX: usize = 65_536;
/// Why messages are dropped.
const DAMAGED: &str = "damaged";
const FAILED: &str = "failed";
const TOO_LARGE: &str = "too_large";
