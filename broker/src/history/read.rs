//! Reads the messages of all histories together, in the order in which they came.
//!
//! A reader can stop anywhere and another one go on from there, also when files were removed
//! meanwhile: it then goes on with what is left.

use std::io;
use std::path::{Path, PathBuf};

use weir_core::{Message, MessageParts};

use super::segment::{self, Records, SegmentHeader};

/// Which messages are wanted.
pub(crate) struct Wanted<'a> {
    /// The directories of the histories.
    pub(crate) directories: &'a [PathBuf],
    /// Received then or later, milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
    /// Whether a message is wanted.
    pub(crate) matches: &'a dyn Fn(&MessageParts<'_>) -> bool,
}

/// A message of a history, owned.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Its number in the order in which the messages of all histories came.
    pub(crate) number: u64,
    record: Box<[u8]>,
}

/// Reads messages one after the other.
pub(crate) struct Reader<'a> {
    wanted: Wanted<'a>,
    cursors: Vec<Cursor>,
    /// Bytes of messages that are not wanted at which it may still look.
    budget: u64,
}

/// How far one history is read.
struct Cursor {
    directory: PathBuf,
    /// The file that is read; 0 before the first.
    segment: u64,
    /// Where the next message is looked for.
    offset: u64,
    records: Option<Records>,
    /// The next message, if it is known, and where the one after it is looked for.
    next: Option<(Kept, u64)>,
    /// All that is written was read.
    is_at_end: bool,
}

impl Kept {
    /// The message, shared.
    pub(crate) fn message(&self) -> Message {
        Message::from_record(&self.record).expect("a record that was read is whole")
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.record.len()
    }
}

impl<'a> Reader<'a> {
    /// Begins with the oldest, or goes on from a position. It passes over `budget` bytes at most, and
    /// a bit: one that gives nothing and is not at the end has come further at least.
    ///
    /// # Errors
    /// When a directory or a file cannot be read.
    pub(crate) fn new(wanted: Wanted<'a>, position: &[u64], budget: u64) -> io::Result<Self> {
        let mut cursors = Vec::new();
        for (index, directory) in wanted.directories.iter().enumerate() {
            let directory = directory.clone();
            let (segment, offset) = match position.get(2 * index..2 * index + 2) {
                Some(&[segment, offset]) => (segment, offset),
                _ => (first_segment(&directory, wanted.since_ms)?, 0),
            };
            let (records, next, is_at_end) = (None, None, false);
            cursors.push(Cursor { directory, segment, offset, records, next, is_at_end });
        }
        Ok(Self { wanted, cursors, budget })
    }

    /// The next message; none when there is no more, or it has looked at enough.
    ///
    /// # Errors
    /// When a directory or a file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Kept>> {
        for cursor in &mut self.cursors {
            if !cursor.look(&self.wanted, &mut self.budget)? {
                return Ok(None);
            }
        }
        let number = |cursor: &&mut Cursor| cursor.next.as_ref().map(|(kept, _)| kept.number);
        let waiting = self.cursors.iter_mut().filter(|cursor| cursor.next.is_some());
        let Some(first) = waiting.min_by_key(number) else { return Ok(None) };
        let Some((kept, offset)) = first.next.take() else { return Ok(None) };
        first.offset = offset;
        Ok(Some(kept))
    }

    /// Whether it has read all that is there.
    pub(crate) fn is_at_end(&self) -> bool {
        self.cursors.iter().all(|cursor| cursor.is_at_end && cursor.next.is_none())
    }

    /// Where another reader goes on.
    pub(crate) fn position(&self) -> Vec<u64> {
        self.cursors.iter().flat_map(|cursor| [cursor.segment, cursor.offset]).collect()
    }
}

impl Cursor {
    /// Makes the next message known, if there is one; false when too much was looked at for that.
    fn look(&mut self, wanted: &Wanted<'_>, budget: &mut u64) -> io::Result<bool> {
        while self.next.is_none() && !self.is_at_end {
            if *budget == 0 {
                return Ok(false);
            }
            let Some(records) = &mut self.records else {
                self.open()?;
                continue;
            };
            let from = records.offset();
            if let Some(stored) = records.next()? {
                let parts = &stored.parts;
                let is_wanted = parts.received_at_ms >= wanted.since_ms && (wanted.matches)(parts);
                let kept = is_wanted
                    .then(|| Kept { number: stored.header.number, record: stored.record.into() });
                let offset = records.offset();
                match kept {
                    Some(kept) => self.next = Some((kept, offset)),
                    None => {
                        *budget = budget.saturating_sub(offset - from);
                        self.offset = offset;
                    }
                }
                continue;
            }
            self.turn_page()?;
        }
        Ok(true)
    }

    /// Opens the file that is to be read. One that was removed has nothing any more.
    fn open(&mut self) -> io::Result<()> {
        match Records::open(&self.directory, self.segment, self.offset) {
            Ok(Some(records)) => self.records = Some(records),
            Ok(None) => self.go_on()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.go_on()?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Goes on with the next file. The one before is complete when that is there, but may have
    /// grown before it came.
    fn turn_page(&mut self) -> io::Result<()> {
        let Some(records) = &mut self.records else { return Ok(()) };
        let offset = records.offset();
        let is_last = segment::list(&self.directory)?.into_iter().all(|next| next <= self.segment);
        let has_grown = records.next()?.is_some();
        if has_grown {
            self.records = Records::open(&self.directory, self.segment, offset)?;
        } else if is_last {
            self.is_at_end = true;
        } else {
            self.go_on()?;
        }
        Ok(())
    }

    fn go_on(&mut self) -> io::Result<()> {
        let later = segment::list(&self.directory)?;
        match later.into_iter().find(|next| *next > self.segment) {
            Some(next) => (self.segment, self.offset, self.records) = (next, 0, None),
            None => self.is_at_end = true,
        }
        Ok(())
    }
}

/// The first file that may have something of a time or later. Times need not grow from file to
/// file, so only those are passed over of which the one behind says that all of it is older.
fn first_segment(directory: &Path, since_ms: u64) -> io::Result<u64> {
    let mut found = 0;
    for (place, first) in segment::list(directory)?.into_iter().enumerate() {
        match SegmentHeader::read(directory, first) {
            Ok(Some(header)) if place == 0 || header.received_before_ms < since_ms => found = first,
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
