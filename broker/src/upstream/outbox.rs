//! What waits in the log for one upstream: how much it is, and the part of it that is read ahead.
//!
//! The log itself is the store's; this holds positions and figures, and feeds the sender. Each
//! record is counted once, when it is first seen, in segments of [`SEGMENT_BYTES`], so that a
//! backlog of a million records takes some kilobytes here. When the segments come to more than
//! the limit, or become too old, the oldest are given up.
//!
//! Exact: the number of records that are dropped, and that dropping begins at the oldest. Not
//! exact: the bytes are those of the messages, without what the store adds to each; and whole
//! segments are dropped, so up to one segment more than the limit asks for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use weir_core::{Destination, LogRecord, Message, ReaderId, Sequence};

use super::sender::{Record, Sender};
use super::share::Share;
use crate::clock;

#[derive(Debug)]
pub(crate) struct Outbox {
    reader: ReaderId,
    /// Which of its records others send; none when there are no others.
    share: Option<Arc<Share>>,
    /// What comes after it is not of this outbox.
    end: Option<Sequence>,
    /// The sender has everything up to here.
    read: Sequence,
    /// Everything up to here is counted.
    counted: Sequence,
    /// Everything up to here is dropped or was done before.
    dropped: Sequence,
    /// Records that are not settled, the oldest first.
    segments: VecDeque<Segment>,
    records: u64,
    bytes: u64,
    scratch: Vec<LogRecord>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// The position of its newest record.
    last: Sequence,
    records: u64,
    bytes: u64,
    /// The bytes of its records when none was settled.
    capacity: u64,
    /// When its newest record was received, milliseconds since the Unix epoch.
    newest_ms: u64,
}

/// How long a record may wait, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct MaxAge {
    pub(crate) max_ms: u64,
    /// Times at which the clock of the box was not set, milliseconds since the Unix epoch.
    pub(crate) wrong_ms: Range<u64>,
}

impl MaxAge {
    /// Whether what was received then is too old by now. What came before the clock of the box was
    /// set has no age.
    pub(crate) fn is_over(&self, received_at_ms: u64, unix_ms: u64) -> bool {
        received_at_ms >= clock::SET_FROM_MS
            && !self.wrong_ms.contains(&received_at_ms)
            && unix_ms.saturating_sub(received_at_ms) > self.max_ms
    }
}

/// Whether there may be more to read at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read {
    /// All that is wanted for now is read.
    Enough,
    /// Read again before long.
    More,
}

impl Outbox {
    /// The backlog of `reader` after `done`.
    pub(crate) fn new(reader: ReaderId, done: Sequence) -> Self {
        Self {
            reader,
            share: None,
            end: None,
            read: done,
            counted: done,
            dropped: done,
            segments: VecDeque::new(),
            records: 0,
            bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// Leaves records to other readers of the same upstream.
    pub(crate) fn sharing(self, share: Option<Arc<Share>>) -> Self {
        Self { share, ..self }
    }

    /// Reads one batch: for the sender if it has room, otherwise to count. `read_log` is given a
    /// position and a number of bytes, appends the records after that position, and answers how
    /// far it has looked.
    ///
    /// # Errors
    /// When `read_log` fails.
    pub(crate) fn read<E>(
        &mut self,
        sender: &mut Sender,
        read_log: impl FnOnce(Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        let feeds = !sender.has_ahead(AHEAD_BYTES);
        let after = if feeds { self.read } else { self.counted };
        let mut records = std::mem::take(&mut self.scratch);
        records.clear();
        let scanned = read_log(after, BATCH_BYTES, &mut records)?;
        let end = self.end.unwrap_or(scanned);
        records.retain(|record| record.sequence <= end);
        let scanned = scanned.min(end);
        for record in records.drain(..) {
            if self.share.as_ref().is_some_and(|share| !share.is_of(self.reader, &record)) {
                if feeds {
                    sender.pass(record.sequence);
                }
                continue;
            }
            if record.sequence > self.counted {
                self.count(record.sequence, &record.message);
            }
            if feeds && record.sequence > self.dropped {
                let routed = self.is_routed(&record);
                let LogRecord { sequence, message, .. } = record;
                sender.push(Record { sequence, message, routed });
            }
        }
        self.scratch = records;
        self.counted = self.counted.max(scanned);
        if feeds {
            self.read = self.read.max(scanned);
        }
        Ok(if scanned > after { Read::More } else { Read::Enough })
    }

    /// A record is settled: it does not wait any more.
    pub(crate) fn settle(&mut self, sequence: Sequence, bytes: usize) {
        if sequence <= self.dropped {
            return;
        }
        // The oldest records are settled first but for the few of the window.
        let Some(index) = self.segments.iter().position(|segment| sequence <= segment.last) else {
            return;
        };
        let segment = &mut self.segments[index];
        segment.records -= 1;
        segment.bytes -= bytes as u64;
        self.records -= 1;
        self.bytes -= bytes as u64;
        while self.segments.front().is_some_and(|segment| segment.records == 0) {
            self.segments.pop_front();
        }
    }

    /// Ends behind what was counted so far; answers where that is.
    pub(crate) fn end_here(&mut self) -> Sequence {
        self.end = Some(self.counted);
        self.counted
    }

    /// Gives up the oldest records while there are more than so many bytes; answers how many it were.
    pub(crate) fn drop_old(&mut self, sender: &mut Sender, bytes_max: u64) -> u64 {
        self.drop_while(sender, |outbox, _| outbox.bytes > bytes_max)
    }

    /// Gives up records that are too old by this; answers how many it were.
    pub(crate) fn drop_aged(&mut self, sender: &mut Sender, age: &MaxAge, unix_ms: u64) -> u64 {
        self.drop_while(sender, |_, oldest| age.is_over(oldest.newest_ms, unix_ms))
    }

    fn drop_while(
        &mut self,
        sender: &mut Sender,
        is_over: impl Fn(&Self, &Segment) -> bool,
    ) -> u64 {
        let before = self.dropped;
        let mut dropped = 0;
        while let Some(segment) = self.segments.front().copied()
            && is_over(self, &segment)
        {
            self.segments.pop_front();
            self.records -= segment.records;
            self.bytes -= segment.bytes;
            self.dropped = segment.last;
            dropped += segment.records;
        }
        if dropped == 0 {
            return 0;
        }
        self.read = self.read.max(self.dropped);
        // What is under way is not dropped; it is only not counted as waiting any more.
        let kept = sender.under_way_up_to(self.dropped) - sender.under_way_up_to(before);
        sender.give_up(self.dropped);
        dropped - kept as u64
    }

    /// Whether the sender has room for records that were counted before.
    pub(crate) fn is_behind(&self, sender: &Sender) -> bool {
        self.read < self.counted && !sender.has_ahead(AHEAD_BYTES)
    }

    /// Records that wait, those under way included.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn count(&mut self, sequence: Sequence, message: &Message) {
        let (bytes, newest_ms) = (message.len() as u64, message.parts().received_at_ms);
        self.records += 1;
        self.bytes += bytes;
        if let Some(segment) = self.segments.back_mut()
            && segment.capacity < SEGMENT_BYTES
        {
            segment.last = sequence;
            segment.records += 1;
            segment.bytes += bytes;
            segment.capacity += bytes;
            segment.newest_ms = segment.newest_ms.max(newest_ms);
            return;
        }
        let (last, records, capacity) = (sequence, 1, bytes);
        self.segments.push_back(Segment { last, records, bytes, capacity, newest_ms });
    }

    /// Whether a forward route brought the record; otherwise a rule named the upstream.
    fn is_routed(&self, record: &LogRecord) -> bool {
        let own = Destination::Reader(self.reader);
        let target = record.targets.iter().find(|target| target.destination == own);
        target.is_some_and(|target| !target.subscription_identifiers.is_empty())
    }
}

/// What is read at once; some 100 us of reading.
const BATCH_BYTES: usize = 64 * 1024;
/// What waits in memory for the sender, so that the far end never waits for the disk.
const AHEAD_BYTES: usize = 256 * 1024;
/// How finely the backlog is counted and dropped. The least limit is one segment.
const SEGMENT_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests;
