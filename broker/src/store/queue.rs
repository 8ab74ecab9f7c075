//! The batches that wait for the writer, bounded in number and in bytes.
//!
//! The writer takes all that has gathered in one go, which is what makes a group. When it does is
//! decided here, by the pace that was set and by whether somebody waits for a batch. Nobody waits
//! to hand one in: a full queue gives it back.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_core::{Batch, Change};

use crate::store::links::{self, Taken};

/// A batch that was not taken, given back.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// The queue is full; the batch may be handed in again later.
    Full(Batch),
    /// The writer was stopped.
    Stopped(Batch),
}

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) batches: usize,
    pub(crate) bytes: usize,
}

/// When what waits becomes a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// One group begins no sooner than so long after the one before.
    pub(crate) spacing: Duration,
    /// How long batches that nobody waits for may be put off.
    pub(crate) flush_interval: Duration,
    /// A group of so many bytes waits for nothing, and none takes more.
    pub(crate) group_bytes_max: usize,
}

/// The queue between shards and writer.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    pace: Pace,
    waiting: Mutex<Waiting>,
    /// Signalled when something was put, or the queue was closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Entry>,
    bytes: usize,
    /// Batches that somebody waits for.
    awaited: usize,
    /// Batches that hang together with those of other shards.
    linked: usize,
    links: Taken,
    /// When the last group was taken.
    last_taken: Option<Instant>,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    batch: Batch,
    bytes: usize,
    since: Instant,
}

/// When the next group is to be taken.
#[derive(Debug, Eq, PartialEq)]
enum Due {
    At(Instant),
    Never,
    Now,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, pace: Pace) -> Self {
        Self { limits, pace, waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// An empty queue takes a batch of any size.
    pub(crate) fn put(&self, batch: Batch) -> Result<(), Refused> {
        let bytes = batch_bytes(&batch);
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(Refused::Stopped(batch));
        }
        let is_full = waiting.batches.len() >= self.limits.batches
            || waiting.bytes.saturating_add(bytes) > self.limits.bytes;
        if is_full && !waiting.batches.is_empty() {
            return Err(Refused::Full(batch));
        }
        waiting.push(batch, bytes, Instant::now());
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a batch whatever waits: another one may have to be durable together with one of those
    /// behind it. Who hands such batches in has a limit of its own.
    pub(crate) fn put_always(&self, batch: Batch) {
        let bytes = batch_bytes(&batch);
        let mut waiting = self.lock();
        if !waiting.is_closed {
            waiting.push(batch, bytes, Instant::now());
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits until a group is due and moves it into `group`. Answers false when the queue is
    /// closed and empty.
    pub(crate) fn take(&self, group: &mut Vec<Batch>) -> bool {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let due = waiting.due(&self.pace, &self.limits);
            let left = match due {
                Due::Now => break,
                Due::At(at) => at.saturating_duration_since(now),
                Due::Never => {
                    let woken = self.changed.wait(waiting);
                    waiting = woken.unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.take(self.pace.group_bytes_max, Instant::now(), group);
        !group.is_empty()
    }

    /// Lets nothing in any more; what waits can still be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits until the queue is closed, but no longer than this; true when it is.
    pub(crate) fn wait_closed_for(&self, pause: Duration) -> bool {
        let is_open = |waiting: &mut Waiting| !waiting.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), pause, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// How many batches and bytes wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let waiting = self.lock();
        (waiting.batches.len(), waiting.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, batch: Batch, bytes: usize, now: Instant) {
        self.awaited += usize::from(batch.is_awaited);
        self.linked += usize::from(!batch.links.is_empty());
        self.bytes += bytes;
        self.batches.push_back(Entry { batch, bytes, since: now });
    }

    /// Moves the oldest batches into `group`, up to `bytes_max` bytes, but one at least; with those
    /// that have to be durable together if need be more.
    fn take(&mut self, bytes_max: usize, now: Instant, group: &mut Vec<Batch>) {
        let mut taken = 0;
        let is_within = |entry: &&Entry| {
            let is_first = taken == 0;
            taken += entry.bytes;
            is_first || taken <= bytes_max
        };
        let count = self.batches.iter().take_while(is_within).count();
        self.last_taken = Some(now);
        if self.linked == 0 {
            let entries: Vec<Entry> = self.batches.drain(..count).collect();
            return entries.into_iter().for_each(|entry| self.hand_out(entry, group));
        }
        let mut ready = self.ready(count);
        if !ready.contains(&true) {
            ready = self.ready(self.batches.len());
        }
        let mut ready = ready.into_iter();
        for entry in std::mem::take(&mut self.batches) {
            if ready.next() == Some(true) {
                self.hand_out(entry, group);
            } else {
                self.batches.push_back(entry);
            }
        }
    }

    fn hand_out(&mut self, entry: Entry, group: &mut Vec<Batch>) {
        self.bytes -= entry.bytes;
        self.awaited -= usize::from(entry.batch.is_awaited);
        self.linked -= usize::from(!entry.batch.links.is_empty());
        self.links.note(&entry.batch);
        group.push(entry.batch);
    }

    /// Which of the first `count` batches can be committed as one group.
    fn ready(&self, count: usize) -> Vec<bool> {
        links::ready(self.batches.iter().take(count).map(|entry| &entry.batch), &self.links)
    }

    fn due(&self, pace: &Pace, limits: &QueueLimits) -> Due {
        let Some(oldest) = self.batches.front() else {
            return if self.is_closed { Due::Now } else { Due::Never };
        };
        let mut awaited = self.awaited;
        if self.linked > 0 && !self.is_closed {
            let ready = self.ready(self.batches.len());
            let ready = self.batches.iter().zip(ready).filter(|(_, ready)| *ready);
            if ready.clone().next().is_none() {
                return Due::Never;
            }
            awaited = ready.filter(|(entry, _)| entry.batch.is_awaited).count();
        }
        // A queue that is nearly full would stop the shards, which may have nobody that waits.
        let is_crowded = self.bytes >= pace.group_bytes_max
            || self.bytes >= limits.bytes / 2
            || self.batches.len() >= limits.batches.div_ceil(2);
        if self.is_closed || is_crowded {
            return Due::Now;
        }
        let not_before = self.last_taken.map(|last| last + pace.spacing);
        let wanted = (awaited == 0).then(|| oldest.since + pace.flush_interval);
        not_before.into_iter().chain(wanted).max().map_or(Due::Now, Due::At)
    }
}

/// About what a batch holds in memory; exact for what can be large.
pub(crate) fn batch_bytes(batch: &Batch) -> usize {
    let changes = batch.changes.iter().map(|change| match change {
        Change::LogAppended { message, .. } | Change::RetainedPut { message } => message.len(),
        Change::LogReleased { ranges } => size_of_val(&ranges[..]),
        Change::RuleDelta { delta } => delta.len(),
        Change::RuleSnapshot { shards } => shards.iter().map(Vec::len).sum(),
        Change::SessionPut { record, .. } => {
            record.client_id.len() + record.will.as_ref().map_or(0, |will| will.message.len())
        }
        Change::SubscriptionPut { filter, .. } => filter.len(),
        _ => 0,
    });
    size_of::<Batch>() + size_of::<Change>() * batch.changes.len() + changes.sum::<usize>()
}

#[cfg(test)]
mod tests;
