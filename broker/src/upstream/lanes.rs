//! What waits for one upstream, in one lane or in two: what was left of an outage, and what has come
//! since.
//!
//! Pure. There is one lane, in the order of the log, unless live messages go first: then what waits
//! when a connection is there is one lane, which ends where the backlog ended, and what comes later
//! is another one that goes ahead of it. When the first is empty the second takes its place. Until
//! then the position that the shard is told is that of the first, so after a restart what was sent
//! ahead is sent again.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_core::{LogRecord, ReaderId, Sequence};

use super::outbox::{MaxAge, Outbox, Read};
use super::sender::{Record, Refused, Sender};
use super::share::Share;

/// What waits, in its lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    backlog: Lane,
    /// What has come since there was a connection.
    ahead: Option<Lane>,
    live_first: LiveFirst,
    /// Whether the next read is for what goes ahead.
    reads_ahead: bool,
    /// Of which lanes is what was handed over and has no packet identifier yet, in order.
    handed_over: VecDeque<Which>,
    /// What may be under way on this connection.
    places: u16,
    window: u16,
    reader: ReaderId,
    /// Which records other readers send.
    share: Option<Arc<Share>>,
}

/// Whether what comes goes ahead of what waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LiveFirst {
    Never,
    /// Once all that waits was counted.
    Soon,
    /// With the next connection.
    Later,
}

#[derive(Debug)]
struct Lane {
    outbox: Outbox,
    sender: Sender,
}

/// A lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    Ahead,
    Backlog,
}

impl Lanes {
    /// One lane behind `done`, with at most `window` records under way.
    pub(crate) fn new(reader: ReaderId, done: Sequence, window: u16, live_first: bool) -> Self {
        Self {
            backlog: Lane::new(Outbox::new(reader, done), done, window),
            ahead: None,
            live_first: if live_first { LiveFirst::Later } else { LiveFirst::Never },
            reads_ahead: false,
            handed_over: VecDeque::new(),
            places: 0,
            window,
            reader,
            share: None,
        }
    }

    /// Leaves records to other readers of the same upstream.
    pub(crate) fn sharing(mut self, share: Option<Arc<Share>>) -> Self {
        self.backlog.outbox = self.backlog.outbox.sharing(share.clone());
        Self { share, ..self }
    }

    /// Reads one batch of the log for one of the lanes, see [`Outbox::read`].
    ///
    /// # Errors
    /// When `read_log` fails.
    pub(crate) fn read<E>(
        &mut self,
        read_log: impl FnOnce(Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        let Some(ahead) = &mut self.ahead else {
            let read = self.backlog.read(read_log)?;
            if read == Read::Enough && self.live_first == LiveFirst::Soon {
                self.part();
            }
            return Ok(read);
        };
        // All that the backlog will ever have is counted, so it is read only to be sent.
        let backlog_waits = self.backlog.outbox.is_behind(&self.backlog.sender);
        self.reads_ahead = !(self.reads_ahead && backlog_waits);
        if self.reads_ahead {
            return ahead.read(read_log);
        }
        self.backlog.read(read_log)?;
        // What goes ahead may have grown meanwhile.
        Ok(Read::More)
    }

    /// A connection is open that takes so many records at a time.
    pub(crate) fn connected(&mut self, places: u16) {
        self.disconnected();
        self.places = places;
        self.each(|lane| lane.sender.connected(places));
        // With one place nothing can go ahead of anything.
        if self.live_first == LiveFirst::Later && places > 1 {
            self.live_first = LiveFirst::Soon;
        }
    }

    /// The connection takes fewer records than it did.
    pub(crate) fn narrow(&mut self, places: u16) {
        self.places = self.places.min(places);
        self.each(|lane| lane.sender.narrow(places));
    }

    /// Whatever was not acknowledged is sent again on the next connection.
    pub(crate) fn disconnected(&mut self) {
        self.handed_over.clear();
        self.each(|lane| lane.sender.disconnected());
        if self.live_first == LiveFirst::Soon {
            self.live_first = LiveFirst::Later;
        }
        self.settle();
    }

    /// Of which lane the next record is to be sent, if there is one and there is room for it; from
    /// the backlog only if it may go on.
    pub(crate) fn next(&self, backlog_may: bool) -> Option<Which> {
        let backlog = self.backlog.sender.next().filter(|_| backlog_may);
        let backlog = backlog.map(|_| Which::Backlog);
        let Some(ahead) = &self.ahead else { return backlog };
        let first = ahead.sender.next().map(|_| Which::Ahead);
        first.or(backlog).filter(|_| self.under_way() < usize::from(self.places))
    }

    /// The record just given by [`next`](Self::next).
    pub(crate) fn record(&self, which: Which) -> &Record {
        let lane = match (which, &self.ahead) {
            (Which::Ahead, Some(ahead)) => ahead,
            _ => &self.backlog,
        };
        lane.sender.next().expect("it was just there")
    }

    /// Records that are with the client or the upstream.
    pub(crate) fn under_way(&self) -> usize {
        self.lanes().map(|lane| lane.sender.under_way()).sum()
    }

    /// The record just given by [`next`](Self::next) is with the client now.
    pub(crate) fn hand_over(&mut self, which: Which) {
        self.handed_over.push_back(which);
        self.lane(which).sender.hand_over();
    }

    /// The record just given by [`next`](Self::next) is not sent at all.
    pub(crate) fn skip(&mut self, which: Which) -> Record {
        self.lane(which).sender.skip()
    }

    /// The client has written the oldest message that was handed over; `packet_id` is none for
    /// one that is not acknowledged.
    pub(crate) fn handle_sent(&mut self, packet_id: Option<u16>) {
        if let Some(which) = self.handed_over.pop_front() {
            self.lane(which).sender.handle_sent(packet_id);
        }
        self.settle();
    }

    /// The upstream has taken the record with this packet identifier; false when there is none.
    pub(crate) fn handle_acknowledged(&mut self, packet_id: u16) -> bool {
        let is_ahead = |lane: &mut Lane| lane.sender.handle_acknowledged(packet_id);
        let is_known = self.backlog.sender.handle_acknowledged(packet_id)
            || self.ahead.as_mut().is_some_and(is_ahead);
        self.settle();
        is_known
    }

    /// The upstream has refused the record with this packet identifier, see
    /// [`Sender::handle_refused`].
    pub(crate) fn handle_refused(&mut self, packet_id: u16, for_good: bool) -> Refused {
        let refused =
            match (self.backlog.sender.handle_refused(packet_id, for_good), &mut self.ahead) {
                (Refused::Unknown, Some(ahead)) => ahead.sender.handle_refused(packet_id, for_good),
                (refused, _) => refused,
            };
        self.settle();
        refused
    }

    /// Gives up the oldest records while more than so many bytes wait; answers how many it were.
    pub(crate) fn drop_old(&mut self, bytes_max: u64) -> u64 {
        let mut dropped = 0;
        loop {
            let ahead = self.ahead.as_ref().map_or(0, |ahead| ahead.outbox.bytes());
            let Lane { outbox, sender } = &mut self.backlog;
            dropped += outbox.drop_old(sender, bytes_max.saturating_sub(ahead));
            let is_one = self.ahead.is_none();
            self.settle();
            // The second lane may have become the first.
            if is_one || self.ahead.is_some() {
                return dropped;
            }
        }
    }

    /// Gives up records that are too old by this; answers how many it were.
    pub(crate) fn drop_aged(&mut self, age: &MaxAge, unix_ms: u64) -> u64 {
        let mut dropped = 0;
        self.each(|lane| dropped += lane.outbox.drop_aged(&mut lane.sender, age, unix_ms));
        self.settle();
        dropped
    }

    /// Takes note of what was settled.
    pub(crate) fn settle(&mut self) {
        self.each(Lane::settle);
        let is_over = self.backlog.outbox.records() == 0 && self.backlog.sender.is_empty();
        if is_over && let Some(ahead) = self.ahead.take() {
            self.backlog = ahead;
            self.handed_over.iter_mut().for_each(|which| *which = Which::Backlog);
        }
    }

    /// Everything up to and with this position is settled.
    pub(crate) fn done(&self) -> Sequence {
        self.backlog.sender.done()
    }

    /// The oldest record that is not settled, of those that were read.
    pub(crate) fn oldest(&self) -> Option<&Record> {
        let ahead = self.ahead.as_ref().and_then(|ahead| ahead.sender.oldest());
        self.backlog.sender.oldest().or(ahead)
    }

    /// Whether a lane has room for records that were counted before.
    pub(crate) fn is_behind(&self) -> bool {
        self.lanes().any(|lane| lane.outbox.is_behind(&lane.sender))
    }

    /// Records that wait, those under way included.
    pub(crate) fn records(&self) -> u64 {
        self.lanes().map(|lane| lane.outbox.records()).sum()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.lanes().map(|lane| lane.outbox.bytes()).sum()
    }

    /// From now on what comes goes ahead of what waits, if more waits than is under way anyway.
    fn part(&mut self) {
        self.live_first = LiveFirst::Later;
        if self.backlog.outbox.records() <= u64::from(self.places) {
            return;
        }
        let end = self.backlog.outbox.end_here();
        let outbox = Outbox::new(self.reader, end).sharing(self.share.clone());
        let mut ahead = Lane::new(outbox, end, self.window);
        ahead.sender.connected(self.places);
        self.ahead = Some(ahead);
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        std::iter::once(&self.backlog).chain(&self.ahead)
    }

    fn each(&mut self, work: impl FnMut(&mut Lane)) {
        std::iter::once(&mut self.backlog).chain(&mut self.ahead).for_each(work);
    }

    fn lane(&mut self, which: Which) -> &mut Lane {
        match (which, &mut self.ahead) {
            (Which::Ahead, Some(ahead)) => ahead,
            _ => &mut self.backlog,
        }
    }
}

impl Lane {
    fn new(outbox: Outbox, done: Sequence, window: u16) -> Self {
        Self { outbox, sender: Sender::new(done, window) }
    }

    fn read<E>(
        &mut self,
        read_log: impl FnOnce(Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        self.outbox.read(&mut self.sender, read_log)
    }

    fn settle(&mut self) {
        let outbox = &mut self.outbox;
        self.sender.drain_settled().for_each(|(sequence, bytes)| outbox.settle(sequence, bytes));
    }
}

#[cfg(test)]
mod tests;
