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

use std::ops::Range;

use weir_core::{Instant, LogRecord, Now, ReaderId, Records, Sequence, ShardId};
use weir_mqtt::QoS;

use super::admission::Admission;
use super::handle::Figures;
use super::lanes::{Lanes, Which};
use super::outbox::MaxAge;
use super::outgoing::{Forwarding, Origin, Outgoing, Peer};
use super::pace::Pace;
use super::report::Report;
use super::sender::{Record, Refused};
use crate::config::{BacklogFull, Route};
use crate::inner_turn::InnerTurn;

pub use super::outbox::Read;

/// What an upstream forwards, and how.
#[derive(Clone, Debug)]
pub struct ForwarderOptions {
    /// The name of the upstream.
    pub name: String,
    /// The number under which it reads the log.
    pub reader: ReaderId,
    /// Whose log it reads.
    pub shard: ShardId,
    /// The name of this broker at other brokers.
    pub node: String,
    /// What is forwarded where to; what rules send to the upstream needs no route.
    pub routes: Vec<Route>,
    /// The highest QoS that is used at all.
    pub qos_max: QoS,
    /// Bytes that may wait.
    pub backlog_bytes_max: u64,
    /// What becomes of more.
    pub backlog_full: BacklogFull,
    /// What waits longer is dropped, in milliseconds; none = it waits for ever.
    pub backlog_age_max_ms: Option<u64>,
    /// Records sent in a second; 0 = as fast as the far end acknowledges them.
    pub drain_rate: u32,
    /// Whether what comes goes ahead of what waits when there is a connection again.
    pub live_first: bool,
    /// Records under way at once, whatever the far end takes.
    pub window: u16,
}

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
    lanes: Lanes,
    bytes_max: u64,
    admission: Admission,
    max_age: Option<MaxAge>,
    pace: Option<Pace>,
    report: Report,
    figures: Figures,
    /// Messages that are not in the log, and how many of them were sent.
    live: Option<(Records, usize)>,
    open: Option<Open>,
    /// Whether the operator was told that the backlog is full.
    is_full: bool,
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
    /// Goes on behind `done`, the position that the shard was told last.
    #[must_use]
    pub fn new(options: ForwarderOptions, done: Sequence) -> Self {
        let ForwarderOptions { reader, shard, node, routes, qos_max, .. } = options;
        Self {
            lanes: Lanes::new(reader, done, options.window, options.live_first),
            bytes_max: options.backlog_bytes_max,
            admission: Admission::new(options.backlog_full, options.backlog_bytes_max),
            max_age: options.backlog_age_max_ms.map(|max_ms| MaxAge { max_ms, wrong_ms: 0..0 }),
            pace: Pace::new(options.drain_rate),
            report: Report::new(reader, &options.name, done),
            forwarding: Forwarding { routes, node, shard, qos_max },
            name: options.name,
            figures: Figures::default(),
            live: None,
            open: None,
            is_full: false,
        }
    }

    /// Goes on with what another one has counted.
    pub(super) fn count_on(&mut self, figures: Figures) {
        self.figures = figures;
    }

    /// The last position up to which everything is settled.
    pub(super) fn done(&self) -> Sequence {
        self.lanes.done()
    }

    /// Reads one batch of the log. `read_log` is given a position and a number of bytes, appends
    /// the records after that position, and answers how far it has looked.
    ///
    /// # Errors
    /// When `read_log` fails.
    pub fn read<E>(
        &mut self,
        read_log: impl FnOnce(Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        let read = self.lanes.read(read_log);
        if self.admission.drops_old() {
            self.drop_old();
        }
        read
    }

    /// A connection is open, to somebody who takes so much.
    pub fn connected(&mut self, peer: Peer) {
        let places = peer.receive_max.saturating_sub(1).max(1);
        self.open = Some(Open { peer, places });
        self.lanes.connected(places);
        self.is_full = false;
    }

    /// The connection is over. What was not acknowledged is sent again on the next one; what is
    /// not in the log is dropped.
    pub fn disconnected(&mut self) {
        self.open = None;
        self.lanes.disconnected();
        if let Some((records, sent)) = self.live.take() {
            self.figures.drop("qos0", (records.len() - sent) as u64);
        }
    }

    /// Sends what the window has room for, in the order of the log and at the pace that is allowed,
    /// by `publish`.
    pub fn send(&mut self, now: Now, mut publish: impl FnMut(Outgoing) -> Result<(), Full>) {
        let unix_ms = now.unix_ms;
        let Some(Open { peer, .. }) = &self.open else { return };
        loop {
            let backlog_may = self.pace.as_ref().is_none_or(|pace| pace.is_due(now.monotonic));
            let Some((which, record)) = self.lanes.next(backlog_may) else { break };
            let message = &record.message.parts();
            // One segment of the backlog may hold older records than others.
            if self.max_age.as_ref().is_some_and(|age| age.is_over(message.received_at_ms, unix_ms))
            {
                self.figures.drop("backlog_age", 1);
                self.lanes.skip(which);
                continue;
            }
            match self.forwarding.outgoing(message, origin(record), peer, unix_ms) {
                Ok(outgoing) => match publish(outgoing) {
                    Ok(()) => {
                        self.lanes.hand_over(which);
                        if which == Which::Backlog {
                            self.pace.iter_mut().for_each(|pace| pace.take(now.monotonic));
                        }
                    }
                    Err(Full) => break,
                },
                Err(unsent) => {
                    self.figures.drop(unsent.reason(), 1);
                    let record = self.lanes.skip(which);
                    if unsent.is_refused() {
                        self.report.dead_letter(&record.message, &unsent.to_string(), unix_ms);
                    }
                }
            }
        }
        self.lanes.settle();
    }

    /// Sends what is not in the log, which `next` gives, in portions: acknowledgements must find
    /// room beside it.
    pub fn send_live(
        &mut self,
        unix_ms: u64,
        mut next: impl FnMut() -> Option<Records>,
        mut publish: impl FnMut(Outgoing) -> Result<(), Full>,
    ) {
        let Some(Open { peer, .. }) = &self.open else { return };
        while self.lanes.handed_over() < LIVE_UNDER_WAY_MAX {
            let portion = self.live.take().or_else(|| Some((next()?, 0)));
            let Some((records, mut sent)) = portion else { return };
            for (_, message) in records.iter().skip(sent) {
                if self.lanes.handed_over() >= LIVE_UNDER_WAY_MAX {
                    break;
                }
                sent += 1;
                let outgoing = self.forwarding.outgoing(&message, Origin::Live, peer, unix_ms);
                match outgoing.map(&mut publish) {
                    Ok(Ok(())) => self.lanes.hand_over_live(),
                    Ok(Err(Full)) => self.figures.drop("qos0", 1),
                    Err(unsent) => self.figures.drop(unsent.reason(), 1),
                }
            }
            if sent < records.len() {
                self.live = Some((records, sent));
            }
        }
    }

    /// The connection has written the oldest message that it was given, under this packet
    /// identifier; none for QoS 0.
    pub fn handle_sent(&mut self, packet_id: Option<u16>) {
        self.figures.sent += 1;
        self.lanes.handle_sent(packet_id);
    }

    /// The far end has taken the message with this packet identifier.
    pub fn handle_acknowledged(&mut self, packet_id: u16) {
        if self.lanes.handle_acknowledged(packet_id) {
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
        match self.lanes.handle_refused(packet_id, for_good) {
            Refused::DeadLetter(record) => {
                self.figures.drop("refused", 1);
                self.report.dead_letter(&record.message, reason, unix_ms);
            }
            Refused::TryAgain => return Err(Unusable { reason: reason.to_owned() }),
            Refused::Unknown => {}
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
        self.lanes.narrow(open.places);
        Ok(())
    }

    /// What the shard is to be told now: how far everything is settled, and dead letters.
    /// Acknowledgements gather for a while, unless it is to be `at_once`.
    pub fn take_turn(&mut self, now: Instant, at_once: bool) -> Option<InnerTurn> {
        self.report.take(now, self.lanes.done(), at_once)
    }

    /// When [`take_turn`](Self::take_turn) will have something, or the next record may be sent; none
    /// before something happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.open.is_some() && self.lanes.next(true).is_some();
        let paced = self.pace.as_ref().filter(|_| waits).map(Pace::due);
        self.report.due().into_iter().chain(paced).min()
    }

    /// Whether records that are known to wait are to be read, although the log has not grown.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lanes.is_behind()
    }

    /// The connection was given a message that is none of these.
    pub(super) fn handed_over_other(&mut self) {
        self.lanes.hand_over_live();
    }

    /// Whether a connection is open.
    pub(super) fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    /// Records that wait, those under way included.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.lanes.records()
    }

    /// What it has counted.
    pub(super) fn figures(&mut self) -> &mut Figures {
        self.figures.depth = self.lanes.records();
        self.figures.depth_bytes = self.lanes.bytes();
        let oldest = self.lanes.oldest();
        self.figures.oldest_at_ms = oldest.map(|record| record.message.parts().received_at_ms);
        &mut self.figures
    }

    /// How many messages the core is to put one of into the backlog, 0 = none, if it was not told
    /// yet.
    pub fn take_admission(&mut self) -> Option<u32> {
        self.admission.look(self.lanes.bytes());
        if self.admission.is_closed() {
            self.tell_full("the backlog is full, no more messages are taken");
        }
        self.admission.take()
    }

    fn drop_old(&mut self) {
        let dropped = self.lanes.drop_old(self.bytes_max);
        if dropped > 0 {
            self.figures.drop("backlog_full", dropped);
            self.tell_full("the backlog is full, the oldest messages are dropped");
        }
    }

    fn tell_full(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_full, true) {
            let help = "raise `backlog_max_bytes` or make the upstream reachable";
            tracing::warn!(upstream = self.name, help, "{what}");
        }
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
        let dropped = self.lanes.drop_aged(age, unix_ms);
        self.figures.drop("backlog_age", dropped);
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
