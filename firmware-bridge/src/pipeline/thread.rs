//! The thread that runs the rules.
//!
//! It first reads from the log what was not handled before the last end of the process, then
//! what shards hand over, in order. What waits for it is bounded: shards stop reading their
//! sockets while it has no room.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use weir_core::{ReaderId, Records, Sequence, ShardId};
use weir_rules::RuleStatus;

use super::Pipeline;
use crate::clock::unix_ms;
use crate::mailbox::{Mail, Mailbox};
use crate::shard::RecordSink;
use crate::store::{Store, StoreError};

/// Bytes of messages that wait for the rules before sockets are left unread.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Messages of one turn; more wait for the next.
const TURN_BYTES_MAX: usize = 1 << 20;
/// Longest sleep; the calendar may be set while the thread waits.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Bytes read from the log at a time.
const CATCH_UP_BYTES: usize = 1 << 20;

enum Work {
    Records(Records),
    Stop,
}

/// Hands messages to the thread and asks it for its counters.
#[derive(Clone)]
pub(crate) struct PipelineHandle {
    sender: mpsc::Sender<Work>,
    waiting_bytes: Arc<AtomicUsize>,
    status: Arc<Mutex<Vec<RuleStatus>>>,
}

/// The running thread.
pub(crate) struct PipelineThread {
    handle: PipelineHandle,
    thread: JoinHandle<()>,
}

impl PipelineThread {
    /// Starts the thread; `waiting` is given by [`not_handled`].
    pub(crate) fn start(pipeline: Pipeline, waiting: Records, mailbox: Mailbox) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let status = Arc::new(Mutex::new(pipeline.status()));
        let handle =
            PipelineHandle { sender, waiting_bytes: Arc::new(AtomicUsize::new(0)), status };
        let thread = std::thread::Builder::new().name("weir-rules".to_owned()).spawn({
            let handle = handle.clone();
            move || {
                let mut runner = Runner { pipeline, mailbox, handle };
                runner.handle(&waiting);
                runner.finish_turn();
                runner.run(&receiver);
            }
        })?;
        Ok(Self { handle, thread })
    }

    pub(crate) fn handle(&self) -> PipelineHandle {
        self.handle.clone()
    }

    /// Lets the thread handle what it has, write its state and end.
    pub(crate) fn stop(self) {
        // When the thread is gone already there is nobody to tell.
        let _ = self.handle.sender.send(Work::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the rules panicked");
        }
    }
}

impl PipelineHandle {
    /// Counters and sizes of the rules, as of the last turn.
    pub(crate) fn status(&self) -> Vec<RuleStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RecordSink for PipelineHandle {
    fn give(&self, records: Records) {
        self.waiting_bytes.fetch_add(records.bytes(), Ordering::Relaxed);
        // A thread that has ended wants nothing; what is in the log waits there.
        let _ = self.sender.send(Work::Records(records));
    }

    fn has_room(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) < WAITING_BYTES_MAX
    }
}

struct Runner {
    pipeline: Pipeline,
    mailbox: Mailbox,
    handle: PipelineHandle,
}

impl Runner {
    fn run(&mut self, receiver: &mpsc::Receiver<Work>) {
        loop {
            let work = receiver.recv_timeout(self.sleep());
            let mut next = match work {
                Ok(work) => Some(work),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = 0;
            while let Some(work) = next {
                match work {
                    Work::Records(records) => {
                        bytes += records.bytes();
                        self.handle(&records);
                        self.release(records.bytes());
                    }
                    Work::Stop => {
                        self.finish_turn();
                        self.send(Pipeline::take_last_turn);
                        return;
                    }
                }
                next = if bytes < TURN_BYTES_MAX { receiver.try_recv().ok() } else { None };
            }
            self.finish_turn();
        }
    }

    fn sleep(&self) -> Duration {
        match self.pipeline.poll_timeout() {
            Some(at) => Duration::from_millis(at.saturating_sub(unix_ms())).min(SLEEP_MAX),
            None => SLEEP_MAX,
        }
    }

    fn handle(&mut self, records: &Records) {
        self.pipeline.handle(unix_ms(), records);
    }

    fn finish_turn(&mut self) {
        self.pipeline.advance(unix_ms());
        self.send(Pipeline::take_turn);
        let status = self.pipeline.status();
        *self.handle.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn send(&mut self, take: fn(&mut Pipeline) -> Option<crate::inner_turn::InnerTurn>) {
        if let Some(turn) = take(&mut self.pipeline) {
            self.mailbox.send(Mail::Turn(turn));
        }
    }

    /// Gives room back, and wakes the shard if it waits for that.
    fn release(&self, bytes: usize) {
        let before = self.handle.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before >= WAITING_BYTES_MAX && before - bytes < WAITING_BYTES_MAX {
            self.mailbox.wake();
        }
    }
}

/// What the log holds for the rules beyond `done`, before any shard runs.
pub(crate) fn not_handled(
    store: &Store,
    shard: ShardId,
    reader: ReaderId,
    done: Sequence,
) -> Result<Records, StoreError> {
    let mut records = Records::default();
    let mut after = done;
    loop {
        let mut found = Vec::new();
        let scanned = store.read_log(shard, after, reader, CATCH_UP_BYTES, &mut found)?;
        for record in &found {
            records.push(Some(record.sequence), &record.message.parts());
        }
        if scanned == after {
            return Ok(records);
        }
        after = scanned;
    }
}
