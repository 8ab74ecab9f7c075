//! The batches that wait for the writer, bounded in number and in bytes.
//!
//! The writer takes all that has gathered in one go, which is what makes a group. Nobody waits
//! to hand a batch in: a full queue gives it back.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_core::{Batch, Change};

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

/// The queue between shards and writer.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    waiting: Mutex<Waiting>,
    /// Signalled when something was put, or the queue was closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<(Batch, usize)>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, waiting: Mutex::default(), changed: Condvar::new() }
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
        waiting.batches.push_back((batch, bytes));
        waiting.bytes += bytes;
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a first batch, then up to `gather_for` for more, and moves what is there into
    /// `group` up to `bytes_max` bytes, but one batch at least. Answers false when the queue is
    /// closed and empty.
    pub(crate) fn take(
        &self,
        bytes_max: usize,
        gather_for: Duration,
        group: &mut Vec<Batch>,
    ) -> bool {
        let waiting = self.lock();
        let waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.batches.is_empty() && !waiting.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.gather(waiting, bytes_max, gather_for);
        let mut taken = 0;
        while let Some((batch, bytes)) = waiting.batches.pop_front() {
            if !group.is_empty() && taken + bytes > bytes_max {
                waiting.batches.push_front((batch, bytes));
                break;
            }
            taken += bytes;
            group.push(batch);
        }
        waiting.bytes -= taken;
        !group.is_empty()
    }

    /// Lets nothing in any more; what waits can still be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits until the queue is closed.
    pub(crate) fn wait_closed(&self) {
        let waiting = self.lock();
        drop(self.changed.wait_while(waiting, |waiting| !waiting.is_closed));
    }

    /// How many batches and bytes wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let waiting = self.lock();
        (waiting.batches.len(), waiting.bytes)
    }

    fn gather<'q>(
        &self,
        mut waiting: MutexGuard<'q, Waiting>,
        bytes_max: usize,
        gather_for: Duration,
    ) -> MutexGuard<'q, Waiting> {
        if gather_for.is_zero() {
            return waiting;
        }
        let deadline = Instant::now() + gather_for;
        while waiting.bytes < bytes_max && !waiting.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (waiting, _) =
                self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About what a batch holds in memory; exact for what can be large.
fn batch_bytes(batch: &Batch) -> usize {
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
