//! What is to be looked at later, ordered by time.
//!
//! Owners disarm what they do not need any more, or a client that comes and goes would leave a
//! timer behind each time. When one fires, its owner still checks whether it means anything.

use std::collections::BTreeSet;

use crate::clock::Instant;
use crate::identity::{ConnectionId, ListenerId, SessionId};

/// Who is to be looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// A listener may take connections again.
    Accept(ListenerId),
    /// CONNECT is overdue.
    Connect(ConnectionId),
    /// The credentials of a client, or its time to show them, may be over.
    Credentials(ConnectionId),
    /// The time of a delayed message has come.
    Delayed(SessionId),
    /// A connection may have been silent for too long.
    KeepAlive(ConnectionId),
    /// Messages that wait may have expired.
    QueueExpiry,
    /// Retained messages may have expired.
    RetainedExpiry,
    /// A session without connection may have expired.
    SessionExpiry(SessionId),
    /// A client that was too fast may go on.
    Throttle(ConnectionId),
    /// A will may be due.
    Will(SessionId),
}

/// All timers of a core.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    /// Arms a timer.
    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Forgets a timer.
    pub(crate) fn disarm(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// When the first one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Number of timers.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first one that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
