//! What waits for one upstream with one priority: a reader of the log of its own.
//!
//! Pure. Each priority has its own place in the log, so what goes ahead is not sent again after a
//! restart, and its own limits, so what is less urgent takes no room from what is more.

use std::sync::Arc;

use weir_core::{Instant, ReaderId, Sequence};

use super::admission::Admission;
use super::lanes::Lanes;
use super::options::ForwarderOptions;
use super::report::Report;
use super::share::Share;
use crate::config::Priority;
use crate::inner_turn::InnerTurn;

/// A reader of the log, and how far it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Of what it reads.
    pub priority: Priority,
    /// Its number in the log.
    pub reader: ReaderId,
    /// The position that the shard was told last.
    pub done: Sequence,
}

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) priority: Priority,
    pub(crate) reader: ReaderId,
    pub(crate) lanes: Lanes,
    pub(crate) report: Report,
    admission: Admission,
    /// Whether the operator was told that it is full.
    is_full: bool,
}

impl Queue {
    /// Goes on at its place; what others send, this one does not.
    pub(crate) fn new(options: &ForwarderOptions, place: Place, share: Option<Arc<Share>>) -> Self {
        let Place { priority, reader, done } = place;
        let lanes = Lanes::new(reader, done, options.window, options.live_first).sharing(share);
        Self {
            priority,
            reader,
            lanes,
            report: Report::new(reader, &options.name, done),
            admission: Admission::new(options.backlog_full, options.backlog_bytes_max),
            is_full: false,
        }
    }

    /// How far it is.
    pub(crate) fn place(&self) -> Place {
        Place { priority: self.priority, reader: self.reader, done: self.lanes.done() }
    }

    /// A connection is open that takes so many records at a time.
    pub(crate) fn connected(&mut self, places: u16) {
        self.lanes.connected(places);
        self.is_full = false;
    }

    /// Gives up the oldest records if there are more than so many bytes; answers how many it were.
    pub(crate) fn drop_old(&mut self, bytes_max: u64) -> u64 {
        if !self.admission.drops_old() {
            return 0;
        }
        self.lanes.drop_old(bytes_max)
    }

    /// How many messages the core is to put one of into the backlog, 0 = none, if it was not told
    /// yet.
    pub(crate) fn take_admission(&mut self) -> Option<u32> {
        self.admission.look(self.lanes.bytes());
        self.admission.take()
    }

    /// Whether no more messages are taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.admission.is_closed()
    }

    /// What the shard is to be told now, see [`Report::take`].
    pub(crate) fn take_turn(&mut self, now: Instant, at_once: bool) -> Option<InnerTurn> {
        self.report.take(now, self.lanes.done(), at_once)
    }

    /// Says once for each connection that it is full.
    pub(crate) fn tell_full(&mut self, upstream: &str, what: &str) {
        if !std::mem::replace(&mut self.is_full, true) {
            let help = "raise `backlog_max_bytes` or make the upstream reachable";
            tracing::warn!(upstream, priority = self.priority.name(), help, "{what}");
        }
    }
}
