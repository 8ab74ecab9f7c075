//! The thread that commits.
//!
//! While one group is on its way to the disk the next one gathers by itself, so a lone batch
//! waits for one flush and a storm of them shares each. A batch that nobody waits for goes with the
//! next group, or after some time. When a commit fails nothing more is reported as committed. The
//! group stays, what comes after it waits in the queue up to its bound, and the writer tries again
//! from time to time, with the files opened anew.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use weir_core::{Batch, ShardId};

use crate::store::error::StoreError;
use crate::store::latency::Latency;
use crate::store::queue::{Pace, Queue, QueueLimits, Refused};
use crate::store::{LastGroup, Store};
use crate::times::Times;

/// How the writer groups, and how much may wait for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WriterOptions {
    /// How many batches may wait.
    pub queue_batches_max: usize,
    /// How many bytes may wait.
    pub queue_bytes_max: usize,
    /// How many bytes one group takes.
    pub group_bytes_max: usize,
    /// A group begins no sooner than so long after the one before has begun, unless it has
    /// `group_bytes_max`: what comes alone waits for nothing, and a stream is written in fewer
    /// and larger groups.
    pub group_commit_max_delay: Duration,
    /// Batches that nobody waits for are put off for so long, unless others go anyway.
    pub flush_interval: Duration,
    /// How long after a failed commit it is tried again; each time that fails too, twice as long
    /// as before.
    pub retry_after: Duration,
    /// The longest of these pauses.
    pub retry_after_max: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            queue_batches_max: 1024,
            queue_bytes_max: 16 * 1024 * 1024,
            group_bytes_max: 4 * 1024 * 1024,
            group_commit_max_delay: Duration::ZERO,
            flush_interval: Duration::from_secs(1),
            retry_after: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(30),
        }
    }
}

/// What the writer does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriterState {
    /// A commit failed; nothing is acknowledged until one works.
    Failed {
        /// The text of the last error.
        error: String,
    },
    /// It takes batches and commits them.
    Running,
    /// It was stopped, and everything that was handed in is on the disk.
    Stopped,
}

/// A look at the writer from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WriterStatus {
    /// What it does.
    pub state: WriterState,
    /// Batches that wait.
    pub queued_batches: usize,
    /// Bytes that wait.
    pub queued_bytes: usize,
    /// Groups that were committed.
    pub groups: u64,
    /// Batches that were committed.
    pub batches: u64,
    /// Half of the commits took no longer.
    pub commit_p50: Duration,
    /// 99 of 100 commits took no longer.
    pub commit_p99: Duration,
}

/// The thread that commits; dropping it stops it as [`Writer::stop`] does.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Hands batches to the writer; each shard has a clone.
#[derive(Clone, Debug)]
pub struct BatchSender {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    state: Mutex<WriterState>,
    groups: AtomicU64,
    batches: AtomicU64,
    latency: Latency,
    steps: AtomicU64,
}

impl Writer {
    /// Starts the thread. After each commit it calls `notify` with the shard and the number of
    /// every batch that is safe now, in the order in which they were handed in, and with the
    /// error when a commit fails, once for as long as it is of the same kind. `notify` runs on the
    /// thread and must not wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        store: Arc<Store>,
        options: WriterOptions,
        notify: impl Fn(Result<&[(ShardId, u64)], &StoreError>) + Send + 'static,
    ) -> io::Result<Self> {
        let limits =
            QueueLimits { batches: options.queue_batches_max, bytes: options.queue_bytes_max };
        let pace = Pace {
            spacing: options.group_commit_max_delay,
            flush_interval: options.flush_interval,
            group_bytes_max: options.group_bytes_max,
        };
        let shared = Arc::new(Shared {
            queue: Queue::new(limits, pace),
            state: Mutex::new(WriterState::Running),
            groups: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            latency: Latency::default(),
            steps: AtomicU64::new(0),
        });
        let thread = thread::Builder::new().name("weir-store".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, &store, &options, notify)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A way to hand batches in.
    pub fn sender(&self) -> BatchSender {
        BatchSender { shared: Arc::clone(&self.shared) }
    }

    /// Takes no more batches, commits those that wait, and ends the thread. A store that fails is
    /// tried once more. Answers how it went: stopped, or failed and how.
    pub fn stop(mut self) -> WriterState {
        self.join();
        self.shared.state()
    }

    fn join(&mut self) {
        self.shared.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is in the state already.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.join();
    }
}

impl BatchSender {
    /// Hands a batch in and never waits. Batches of a shard are committed in the order in which
    /// it hands them in.
    ///
    /// # Errors
    /// The batch itself, when too much waits already or the writer was stopped.
    pub fn submit(&self, batch: Batch) -> Result<(), Refused> {
        self.shared.queue.put(batch)
    }

    /// Hands in a batch that may have to wait for one of another shard, or another one for it:
    /// it is taken whatever waits already.
    pub(crate) fn submit_linked(&self, batch: Batch) {
        self.shared.queue.put_always(batch);
    }

    /// How far the thread is: the number grows when it begins with something, and is odd, and when it
    /// is done with that, and waits. An odd number that stays is a thread that is stuck.
    pub(crate) fn steps(&self) -> u64 {
        self.shared.steps.load(Ordering::Acquire)
    }

    /// How long commits have taken, in microseconds.
    pub(crate) fn commit_times(&self) -> Times {
        self.shared.latency.times()
    }

    /// How the writer is.
    pub fn status(&self) -> WriterStatus {
        let shared = &self.shared;
        let (queued_batches, queued_bytes) = shared.queue.depth();
        WriterStatus {
            state: shared.state(),
            queued_batches,
            queued_bytes,
            groups: shared.groups.load(Ordering::Relaxed),
            batches: shared.batches.load(Ordering::Relaxed),
            commit_p50: shared.latency.percentile(50),
            commit_p99: shared.latency.percentile(99),
        }
    }
}

impl Shared {
    fn state(&self) -> WriterState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something begins, or is done.
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::AcqRel);
    }

    fn set_state(&self, state: WriterState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Says so when the thread ends by a panic: silence would look like a slow disk.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = "the writer of the store panicked; restart the broker".to_owned();
            self.0.set_state(WriterState::Failed { error });
        }
    }
}

fn run(
    shared: &Shared,
    store: &Store,
    options: &WriterOptions,
    notify: impl Fn(Result<&[(ShardId, u64)], &StoreError>),
) {
    let _watch = Watch(shared);
    let mut group = Vec::new();
    let mut committed = Vec::new();
    while shared.queue.take(&mut group) {
        shared.step();
        let started = Instant::now();
        match store.commit(&group) {
            Ok(_) => shared.latency.record(started.elapsed()),
            Err(error) => {
                if !commit_again(shared, store, options, &notify, &group, error) {
                    return;
                }
                shared.set_state(WriterState::Running);
            }
        }
        shared.groups.fetch_add(1, Ordering::Relaxed);
        shared.batches.fetch_add(group.len() as u64, Ordering::Relaxed);
        committed.extend(group.drain(..).map(|batch| (batch.shard, batch.number)));
        notify(Ok(&committed));
        committed.clear();
        shared.step();
    }
    shared.set_state(WriterState::Stopped);
}

/// Tries again to commit a group until that works; false when it was told to stop before.
/// Meanwhile the queue takes batches up to its bound.
fn commit_again(
    shared: &Shared,
    store: &Store,
    options: &WriterOptions,
    notify: &impl Fn(Result<&[(ShardId, u64)], &StoreError>),
    group: &[Batch],
    mut error: StoreError,
) -> bool {
    let mut told = None;
    let mut pause = options.retry_after;
    loop {
        shared.set_state(WriterState::Failed { error: error.to_string() });
        let kind = mem::discriminant(&error);
        if told.replace(kind) != Some(kind) {
            notify(Err(&error));
        }
        shared.step();
        let is_last = shared.queue.wait_closed_for(pause);
        shared.step();
        pause = (pause * 2).min(options.retry_after_max);
        match store.reopen().and_then(|found| match found {
            LastGroup::IsMissing => store.commit(group).map(|_| ()),
            LastGroup::IsThere => Ok(()),
        }) {
            Ok(()) => return true,
            Err(again) => error = again,
        }
        if is_last {
            shared.set_state(WriterState::Failed { error: error.to_string() });
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use weir_core::{Change, Links, Sequence};

    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn thread_that_is_stuck_stays_at_an_odd_step_and_one_that_waits_at_an_even_one() {
        let store = Arc::new(Store::in_memory(StoreOptions::default()).expect("there is memory"));
        let (stuck, is_stuck) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let writer = Writer::start(store, WriterOptions::default(), move |_| {
            stuck.send(()).expect("the test listens");
            // Until the test lets it go on.
            released.recv().expect("the test is there");
        });
        let writer = writer.expect("the system gives a thread");
        let sender = writer.sender();
        assert_eq!(sender.steps(), 0);
        let batch = Batch {
            shard: ShardId(0),
            number: 1,
            changes: vec![Change::RuleDelta { delta: vec![1] }],
            log_start: Sequence(0),
            is_awaited: true,
            links: Links::default(),
        };
        assert!(sender.submit(batch).is_ok());
        is_stuck.recv().expect("it is committed");
        assert_eq!((sender.steps(), sender.steps()), (1, 1));
        release.send(()).expect("it waits for this");
        assert_eq!(writer.stop(), WriterState::Stopped);
        assert_eq!(sender.steps(), 2);
    }
}
