//! Messages whose time is over while nobody takes them.
//!
//! One that is sent too late is dropped then; one whose session stays away, or that is retained,
//! would keep its room until somebody comes. So the log knows for each of its chunks when the first
//! message expires, in steps of half a minute, and when a step is over the sessions let go of what is
//! in it. What is under way to a client does not expire any more. Retained messages with an expiry
//! stand in order of it.

use crate::change::Change;
use crate::clock::{Instant, Now};
use crate::core::Core;
use crate::key::SessionKey;
use crate::metrics::DropReason;
use crate::timer::{Timer, Timers};

/// Chunks of the log that one timer looks at; the next one follows at once.
const CHUNKS_MAX: usize = 16;
/// Retained messages that one timer removes.
const RETAINED_MAX: usize = 256;

/// The timer for what expires first.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWatch(Option<(Instant, u64)>);

impl ExpiryWatch {
    /// Arms it for a moment of the calendar in milliseconds, if that has changed.
    fn set(&mut self, timers: &mut Timers, timer: Timer, now: Now, first: Option<u64>) {
        if self.0.map(|(_, first)| first) == first {
            return;
        }
        self.disarm(timers, timer);
        if let Some(first) = first {
            let at = now.monotonic + first.saturating_sub(now.unix_ms);
            timers.arm(at, timer);
            self.0 = Some((at, first));
        }
    }

    fn disarm(&mut self, timers: &mut Timers, timer: Timer) {
        if let Some((at, _)) = self.0.take() {
            timers.disarm(at, timer);
        }
    }

    /// Whether something is to expire; for checks.
    pub(crate) fn is_armed(&self) -> bool {
        self.0.is_some()
    }
}

impl Core {
    /// Arms the timers for what expires first.
    pub(crate) fn watch_expiry(&mut self, now: Now) {
        let Self { log, retained, timers, queue_expiry, retained_expiry, .. } = self;
        queue_expiry.set(timers, Timer::QueueExpiry, now, log.first_expiry_ms());
        retained_expiry.set(timers, Timer::RetainedExpiry, now, retained.first_expiry_ms());
    }

    /// Forgets retained messages that have expired.
    pub(crate) fn expire_retained(&mut self, now: Now) {
        self.retained_expiry.disarm(&mut self.timers, Timer::RetainedExpiry);
        for _ in 0..RETAINED_MAX {
            let Some(message) = self.retained.take_expired(now.unix_ms) else { return };
            if self.records_retained() && self.level_of(message.topic()).is_written() {
                self.record_unawaited(Change::RetainedRemoved { topic: message.topic().into() });
            }
        }
    }

    /// Drops what waits and has expired.
    pub(crate) fn expire_queued(&mut self, now: Now) {
        self.queue_expiry.disarm(&mut self.timers, Timer::QueueExpiry);
        let due = self.log.take_expired(now.unix_ms, CHUNKS_MAX);
        let (Some(&first), Some(&last)) = (due.first(), due.last()) else { return };
        for index in 0..self.sessions.capacity() {
            let Some(session) = self.sessions.get(index) else { continue };
            let mut place = session.queue.partition_point(|entry| entry.sequence < first);
            let key = index as SessionKey;
            while let Some(entry) = self.sessions[index].queue.get(place).copied()
                && entry.sequence <= last
            {
                if due.binary_search(&entry.sequence).is_ok() {
                    self.dequeue(key, place);
                    self.lose_held(now, key, DropReason::Expired, entry);
                    self.settle(key, entry);
                    if entry.logged {
                        self.log.name_released(entry.sequence);
                    }
                } else {
                    place += 1;
                }
            }
        }
    }
}
