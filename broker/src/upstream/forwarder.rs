//! One upstream without its connection: what waits, what is sent next, what the shard is told.
//!
//! Pure: it is given the log, the events of a connection and the time, and answers with messages
//! to send and turns for the shard. Whoever holds it owns the connection: [`Upstream`] with a
//! real one, the simulator with one that fails as it likes. A connection is told apart from the
//! next one by [`connected`](Forwarder::connected) and [`disconnected`](Forwarder::disconnected).
//!
//! Invariant: a record of the log is acknowledged by the far end, dropped and counted, or sent
//! again; the position that the shard is told never passes one for which none of these is true.
//!
//! [`Upstream`]: super::Upstream

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use weir_core::{Instant, LogRecord, Now, ReaderId, Records, Sequence};

use super::handle::Figures;
use super::lanes::Which;
use super::outbox::MaxAge;
use super::outgoing::{Forwarding, Origin, Outgoing, Peer};
use super::pace::Pace;
use super::queue::Queue;
use super::sender::{Record, Refused};
use super::share::Share;
use crate::config::Priority;
use crate::inner_turn::InnerTurn;

pub use super::options::ForwarderOptions;
pub use super::outbox::Read;
pub use super::queue::Place;

/// The connection cannot take another message now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// The connection is of no use any more; another one may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unusable {
    /// What the far end has said.
    pub reason: String,
}

/// Forwards what is in the log, from a position on.
#[derive(Debug)]
pub struct Forwarder {
    name: String,
    forwarding: Forwarding,
    /// One for each priority, the most urgent first.
    queues: Vec<Queue>,
    /// Who of several sends what.
    share: Option<Arc<Share>>,
    /// Of which queues is what the connection was given and has not written yet, in order; none for
    /// a message without a record.
    handed_over: VecDeque<Option<usize>>,
    /// What may be under way whatever the far end takes.
    window: u16,
    bytes_max: u64,
    max_age: Option<MaxAge>,
    pace: Option<Pace>,
    figures: Figures,
    live: Option<Live>,
    open: Option<Open>,
}

/// Messages that are not in the log.
#[derive(Debug)]
struct Live {
    priority: Priority,
    records: Records,
    /// How many of them were sent.
    sent: usize,
}

/// What is known about an open connection.
#[derive(Debug)]
struct Open {
    peer: Peer,
    /// What may be under way so that the connection never waits for room in its own window,
    /// behind which acknowledgements would wait too.
    places: u16,
}

impl Forwarder {
    /// Goes on where its readers of the log are; there is one for each priority that is used.
    #[must_use]
    pub fn new(options: ForwarderOptions, mut places: Vec<Place>) -> Self {
        places.sort_by_key(|place| place.priority);
        let readers: Vec<_> = places.iter().map(|place| (place.priority, place.reader)).collect();
        let has_others = readers.len() > 1;
        let share = has_others.then(|| Arc::new(Share::new(readers, options.routes.clone())));
        let queues = places.into_iter();
        let queues = queues.map(|place| Queue::new(&options, place, share.clone())).collect();
        let ForwarderOptions { shard, node, routes, qos_max, .. } = options;
        Self {
            queues,
            share,
            handed_over: VecDeque::new(),
            window: options.window,
            bytes_max: options.backlog_bytes_max,
            max_age: options.backlog_age_max_ms.map(|max_ms| MaxAge { max_ms, wrong_ms: 0..0 }),
            pace: Pace::new(options.drain_rate),
            forwarding: Forwarding { routes, node, shard, qos_max },
            name: options.name,
            figures: Figures::default(),
            live: None,
            open: None,
        }
    }

    /// Goes on with what another one has counted.
    pub(super) fn count_on(&mut self, figures: Figures) {
        self.figures = figures;
    }

    /// How far its readers of the log are.
    pub(super) fn places(&self) -> Vec<Place> {
        self.queues.iter().map(Queue::place).collect()
    }

    /// Reads one batch of the log for each priority. `read_log` is given a reader, a position and a
    /// number of bytes, appends the records of that reader after that position, and answers how far
    /// it has looked.
    ///
    /// # Errors
    /// When `read_log` fails.
    pub fn read<E>(
        &mut self,
        mut read_log: impl FnMut(ReaderId, Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        let mut all = Read::Enough;
        for queue in &mut self.queues {
            let reader = queue.reader;
            let read = queue.lanes.read(|after, bytes, out| read_log(reader, after, bytes, out));
            let dropped = queue.drop_old(self.bytes_max);
            if dropped > 0 {
                self.figures.drop("backlog_full", dropped);
                queue.tell_full(&self.name, "the backlog is full, the oldest messages are dropped");
            }
            if read? == Read::More {
                all = Read::More;
            }
        }
        Ok(all)
    }

    /// A connection is open, to somebody who takes so much.
    pub fn connected(&mut self, peer: Peer) {
        let places = peer.receive_max.saturating_sub(1).max(1);
        self.open = Some(Open { peer, places });
        self.handed_over.clear();
        self.queues.iter_mut().for_each(|queue| queue.connected(places));
    }

    /// The connection is over. What was not acknowledged is sent again on the next one; what is
    /// not in the log is dropped.
    pub fn disconnected(&mut self) {
        self.open = None;
        self.handed_over.clear();
        self.queues.iter_mut().for_each(|queue| queue.lanes.disconnected());
        if let Some(Live { records, sent, .. }) = self.live.take() {
            self.figures.drop("qos0", (records.len() - sent) as u64);
        }
    }

    /// Sends what the window has room for, by priority and then in the order of the log, and at the
    /// pace that is allowed, by `publish`.
    pub fn send(&mut self, now: Now, mut publish: impl FnMut(Outgoing) -> Result<(), Full>) {
        let unix_ms = now.unix_ms;
        while let Some((index, which)) = self.next(now.monotonic) {
            let (Some(Open { peer, .. }), queue) = (&self.open, &mut self.queues[index]) else {
                break;
            };
            let record = queue.lanes.record(which);
            let message = &record.message.parts();
            // One segment of the backlog may hold older records than others.
            if self.max_age.as_ref().is_some_and(|age| age.is_over(message.received_at_ms, unix_ms))
            {
                self.figures.drop("backlog_age", 1);
                queue.lanes.skip(which);
                continue;
            }
            match self.forwarding.outgoing(message, origin(record), peer, unix_ms) {
                Ok(outgoing) => match publish(outgoing) {
                    Ok(()) => {
                        queue.lanes.hand_over(which);
                        self.handed_over.push_back(Some(index));
                        if which == Which::Backlog {
                            self.pace.iter_mut().for_each(|pace| pace.take(now.monotonic));
                        }
                    }
                    Err(Full) => break,
                },
                Err(unsent) => {
                    self.figures.drop(unsent.reason(), 1);
                    let record = queue.lanes.skip(which);
                    if unsent.is_refused() {
                        queue.report.dead_letter(&record.message, &unsent.to_string(), unix_ms);
                    }
                }
            }
        }
        self.queues.iter_mut().for_each(|queue| queue.lanes.settle());
    }

    /// Sends what is not in the log, which `next` gives, in portions: acknowledgements must find
    /// room beside it.
    pub(super) fn send_live(
        &mut self,
        unix_ms: u64,
        mut next: impl FnMut() -> Option<(Priority, Records)>,
        mut publish: impl FnMut(Outgoing) -> Result<(), Full>,
    ) {
        let Some(Open { peer, .. }) = &self.open else { return };
        let share = self.share.as_ref();
        let begin = |(priority, records)| Live { priority, records, sent: 0 };
        while self.handed_over.len() < LIVE_UNDER_WAY_MAX {
            let Some(mut live) = self.live.take().or_else(|| next().map(begin)) else { return };
            for (_, message) in live.records.iter().skip(live.sent) {
                if self.handed_over.len() >= LIVE_UNDER_WAY_MAX {
                    break;
                }
                live.sent += 1;
                // Each of several readers was given it.
                if share.is_some_and(|share| !share.is_live_of(live.priority, message.topic)) {
                    continue;
                }
                let outgoing = self.forwarding.outgoing(&message, Origin::Live, peer, unix_ms);
                match outgoing.map(&mut publish) {
                    Ok(Ok(())) => self.handed_over.push_back(None),
                    Ok(Err(Full)) => self.figures.drop("qos0", 1),
                    Err(unsent) => self.figures.drop(unsent.reason(), 1),
                }
            }
            if live.sent < live.records.len() {
                self.live = Some(live);
            }
        }
    }

    /// The connection has written the oldest message that it was given, under this packet
    /// identifier; none for QoS 0.
    pub fn handle_sent(&mut self, packet_id: Option<u16>) {
        self.figures.sent += 1;
        if let Some(Some(index)) = self.handed_over.pop_front() {
            self.queues[index].lanes.handle_sent(packet_id);
        }
    }

    /// The far end has taken the message with this packet identifier.
    pub fn handle_acknowledged(&mut self, packet_id: u16) {
        if self.queues.iter_mut().any(|queue| queue.lanes.handle_acknowledged(packet_id)) {
            self.figures.acknowledged += 1;
        }
    }

    /// The far end has refused the message with this packet identifier, for good or for now. For
    /// good, or after some times, it becomes a dead letter. One without packet identifier was sent
    /// at QoS 0: it is gone and counted.
    ///
    /// # Errors
    /// When the message is to be tried again on another connection.
    pub fn handle_refused(
        &mut self,
        packet_id: Option<u16>,
        reason: &str,
        for_good: bool,
        unix_ms: u64,
    ) -> Result<(), Unusable> {
        let Some(packet_id) = packet_id else {
            self.figures.drop("refused", 1);
            return Ok(());
        };
        for queue in &mut self.queues {
            match queue.lanes.handle_refused(packet_id, for_good) {
                Refused::DeadLetter(record) => {
                    self.figures.drop("refused", 1);
                    queue.report.dead_letter(&record.message, reason, unix_ms);
                    break;
                }
                Refused::TryAgain => return Err(Unusable { reason: reason.to_owned() }),
                Refused::Unknown => {}
            }
        }
        Ok(())
    }

    /// The connection will never free one place in its window.
    ///
    /// # Errors
    /// When none is left.
    pub(super) fn take_place(&mut self) -> Result<(), Unusable> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.places -= 1;
        if open.places == 0 {
            return Err(Unusable { reason: "and others before it".to_owned() });
        }
        let places = open.places;
        self.queues.iter_mut().for_each(|queue| queue.lanes.narrow(places));
        Ok(())
    }

    /// What the shard is to be told now: how far everything of a priority is settled, and dead
    /// letters. Call it until there is nothing. Acknowledgements gather for a while, unless it is to
    /// be `at_once`.
    pub fn take_turn(&mut self, now: Instant, at_once: bool) -> Option<InnerTurn> {
        self.queues.iter_mut().find_map(|queue| queue.take_turn(now, at_once))
    }

    /// When [`take_turn`](Self::take_turn) will have something, or the next record may be sent; none
    /// before something happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits = || self.queues.iter().any(|queue| queue.lanes.next(true).is_some());
        let paced = self.pace.as_ref().filter(|_| self.open.is_some() && waits()).map(Pace::due);
        self.queues.iter().filter_map(|queue| queue.report.due()).chain(paced).min()
    }

    /// Whether records that are known to wait are to be read, although the log has not grown.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.queues.iter().any(|queue| queue.lanes.is_behind())
    }

    /// The connection was given a message that is none of these.
    pub(super) fn handed_over_other(&mut self) {
        self.handed_over.push_back(None);
    }

    /// Whether a connection is open.
    pub(super) fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    /// Records that wait, those under way included.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.queues.iter().map(|queue| queue.lanes.records()).sum()
    }

    /// What it has counted.
    pub(super) fn figures(&mut self) -> &mut Figures {
        self.figures.depth = self.depth();
        for queue in &self.queues {
            self.figures.waiting[queue.priority as usize] = queue.lanes.records();
        }
        self.figures.depth_bytes = self.queues.iter().map(|queue| queue.lanes.bytes()).sum();
        let oldest = self.queues.iter().filter_map(|queue| queue.lanes.oldest());
        self.figures.oldest_at_ms = oldest.map(|one| one.message.parts().received_at_ms).min();
        &mut self.figures
    }

    /// How many messages the core is to put one of into the backlog of a reader, 0 = none, if it was
    /// not told yet. Call it until there is nothing.
    pub fn take_admission(&mut self) -> Option<(ReaderId, u32)> {
        self.queues.iter_mut().find_map(|queue| {
            let one_of = queue.take_admission();
            if queue.is_closed() {
                queue.tell_full(&self.name, "the backlog is full, no more messages are taken");
            }
            Some((queue.reader, one_of?))
        })
    }

    /// What was received at these times has no age, since the clock of the box was not set then;
    /// milliseconds since the Unix epoch.
    pub fn distrust_clock(&mut self, wrong_ms: Range<u64>) {
        if let Some(age) = &mut self.max_age {
            age.wrong_ms = wrong_ms;
        }
    }

    /// Drops what has waited too long. To be called now and then without a connection, too.
    pub fn drop_aged(&mut self, unix_ms: u64) {
        let Some(age) = &self.max_age else { return };
        for queue in &mut self.queues {
            self.figures.drop("backlog_age", queue.lanes.drop_aged(age, unix_ms));
        }
    }

    /// What to send now, if the connection takes it.
    fn next(&self, now: Instant) -> Option<(usize, Which)> {
        let Open { places, .. } = self.open.as_ref()?;
        let backlog_may = self.pace.as_ref().is_none_or(|pace| pace.is_due(now));
        let mut queues = self.queues.iter().enumerate();
        let next = queues.find_map(|(at, queue)| Some((at, queue.lanes.next(backlog_may)?)))?;
        let under_way = || self.queues.iter().map(|queue| queue.lanes.under_way()).sum::<usize>();
        // What is less urgent does not fill what the window of the rest leaves.
        let is_one = self.share.is_none();
        (is_one || under_way() < usize::from(self.window.min(*places))).then_some(next)
    }
}

fn origin(record: &Record) -> Origin {
    let sequence = record.sequence;
    if record.routed { Origin::Routed(sequence) } else { Origin::Rule(sequence) }
}

/// QoS 0 messages with the connection beyond which the others wait their turn.
const LIVE_UNDER_WAY_MAX: usize = 256;

#[cfg(test)]
mod tests;
