//! Messages whose time is over while they wait.
//!
//! One that is sent too late is dropped then; one whose session stays away would keep its room until
//! somebody comes. So the log knows for each of its chunks when the first message expires, in steps
//! of half a minute, and when a step is over the sessions let go of what is in it. What is under way
//! to a client does not expire any more.

use crate::clock::Now;
use crate::core::Core;
use crate::key::SessionKey;
use crate::metrics::DropReason;
use crate::timer::Timer;

/// Chunks of the log that one timer looks at; the next one follows at once.
const CHUNKS_MAX: usize = 16;

impl Core {
    /// Arms the timer for what expires first, if that has changed.
    pub(crate) fn watch_expiry(&mut self, now: Now) {
        let first = self.log.first_expiry_ms();
        if self.expiry_watched.map(|(_, first)| first) == first {
            return;
        }
        self.disarm_expiry();
        if let Some(first) = first {
            let at = now.monotonic + first.saturating_sub(now.unix_ms);
            self.timers.arm(at, Timer::QueueExpiry);
            self.expiry_watched = Some((at, first));
        }
    }

    /// Drops what waits and has expired.
    pub(crate) fn expire_queued(&mut self, now: Now) {
        self.disarm_expiry();
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

    fn disarm_expiry(&mut self) {
        if let Some((at, _)) = self.expiry_watched.take() {
            self.timers.disarm(at, Timer::QueueExpiry);
        }
    }
}
