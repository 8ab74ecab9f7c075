//! The thread that writes the histories.
//!
//! Shards hand messages over as they are published. One that is logged is kept only when its commit
//! is durable: a position whose commit was lost in a crash is given to another message. What waits
//! is bounded: shards stop reading their sockets while there is no room. The cursor in the log
//! moves after the files were flushed, so the log holds what a crash would lose of them; nobody
//! waits for that, and it happens once a second at most.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use weir_core::{ReaderId, Records, Sequence, ShardId};

use super::recorder::Recorder;
use crate::clock::{ClockWatch, unix_ms};
use crate::fill_level::FillLevel;
use crate::inner_turn::InnerTurn;
use crate::mailbox::{Mail, Mailboxes};
use crate::pipeline::not_handled;
use crate::record_sink::RecordSink;
use crate::status::HistoryStatus;
use crate::store::{Store, StoreError};
use crate::worker::Worker;

/// Bytes of messages that wait before sockets are left unread.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// How long what was logged may be on its way to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How many messages may.
const UNSYNCED_MAX: usize = 16_384;
/// How often old messages are looked for.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(15);
/// How long the thread may be busy before whoever asks for the status does without.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

enum Work {
    /// The store has committed something.
    Grew,
    Records(Records),
    /// Somebody wants to know how the histories are.
    Status(mpsc::SyncSender<Vec<HistoryStatus>>),
    Stop,
    /// Somebody wants to read what was handed over so far.
    Write(mpsc::SyncSender<u64>),
}

/// Hands messages to the thread.
#[derive(Clone)]
pub(crate) struct HistoryHandle {
    sender: mpsc::Sender<Work>,
    fill_level: FillLevel,
    grew: Arc<AtomicBool>,
    /// As of when somebody asked last.
    status: Arc<Mutex<Vec<HistoryStatus>>>,
}

/// The running thread. When it is dropped it keeps what is durable, and ends; what is not waits in
/// the log.
pub(crate) type HistoryThread = Worker<HistoryHandle>;

/// Where the messages come from, and who is told that they are kept.
pub(crate) struct Around {
    pub(crate) store: Arc<Store>,
    pub(crate) shard: ShardId,
    pub(crate) reader: ReaderId,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) clock_watch: Arc<ClockWatch>,
}

impl HistoryThread {
    /// Starts the thread. `waiting` is what the log holds for it, before any shard runs.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn run(recorder: Recorder, waiting: Records, around: Around) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let fill_level = FillLevel::new(WAITING_BYTES_MAX);
        fill_level.add(waiting.bytes());
        let handle = HistoryHandle {
            sender,
            fill_level,
            grew: Arc::new(AtomicBool::new(false)),
            status: Arc::new(Mutex::new(recorder.status())),
        };
        let mut runner = Runner {
            recorder,
            around,
            handle: handle.clone(),
            waiting: VecDeque::from([waiting]),
            taken: 0,
            done: None,
            unsynced: 0,
            sync_at: None,
            expire_at: Instant::now(),
        };
        // When the thread is gone already there is nobody to tell.
        let stop = |handle: &HistoryHandle| drop(handle.sender.send(Work::Stop));
        Self::start("weir-history", handle, stop, move || runner.run(&receiver))
    }
}

impl HistoryHandle {
    /// The store has committed something. Call it after each commit.
    pub(crate) fn log_grew(&self) {
        if !self.grew.swap(true, Ordering::AcqRel) {
            // A thread that has ended keeps nothing.
            let _ = self.sender.send(Work::Grew);
        }
    }

    /// Waits until what was handed over so far and is durable can be read. Answers the number that
    /// the next message gets; none when the thread has ended.
    pub(crate) fn write(&self) -> Option<u64> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.sender.send(Work::Write(sender)).ok()?;
        receiver.recv().ok()
    }

    /// How the histories are. Waits until the thread says it; if it is busy for long, it is as of
    /// the last time.
    pub(crate) fn status(&self) -> Vec<HistoryStatus> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let asked = self.sender.send(Work::Status(sender)).ok();
        let told = asked.and_then(|()| receiver.recv_timeout(STATUS_PATIENCE).ok());
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = told {
            *status = told;
        }
        status.clone()
    }
}

impl RecordSink for HistoryHandle {
    fn give(&self, records: Records) {
        self.fill_level.add(records.bytes());
        // A thread that has ended wants nothing; what is in the log waits there.
        let _ = self.sender.send(Work::Records(records));
    }

    fn has_room(&self) -> bool {
        self.fill_level.has_room()
    }
}

struct Runner {
    recorder: Recorder,
    around: Around,
    handle: HistoryHandle,
    /// What was handed over and is not kept, in order.
    waiting: VecDeque<Records>,
    /// How many messages of the first of them are kept.
    taken: usize,
    /// The last position that is kept and that the log was not told of.
    done: Option<Sequence>,
    /// Messages with a position since the files were flushed.
    unsynced: usize,
    sync_at: Option<Instant>,
    expire_at: Instant,
}

impl Runner {
    fn run(&mut self, receiver: &mpsc::Receiver<Work>) {
        let mut wants_to_read = Vec::new();
        loop {
            self.take_durable();
            self.recorder.write();
            self.look_at_clock();
            for reader in wants_to_read.drain(..) {
                let reader: mpsc::SyncSender<u64> = reader;
                // Whoever asked may have gone.
                let _ = reader.try_send(self.recorder.next());
            }
            let first = match receiver.recv_timeout(self.patience()) {
                Ok(work) => Some(work),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            for work in first.into_iter().chain(receiver.try_iter()) {
                match work {
                    Work::Grew => self.handle.grew.store(false, Ordering::Release),
                    Work::Records(records) => self.waiting.push_back(records),
                    Work::Status(asker) => {
                        // Whoever asked may have waited long enough.
                        let _ = asker.try_send(self.recorder.status());
                    }
                    Work::Stop => return self.finish(),
                    Work::Write(reader) => wants_to_read.push(reader),
                }
            }
        }
    }

    /// Keeps what is durable of what waits, and in front of which nothing is that is not.
    fn take_durable(&mut self) {
        let end = self.around.store.log_stats(self.around.shard).next;
        while let Some(records) = self.waiting.front() {
            for (sequence, message) in records.iter().skip(self.taken) {
                if sequence.is_some_and(|sequence| sequence >= end) {
                    return;
                }
                self.recorder.record(sequence, &message);
                self.taken += 1;
                if sequence.is_some() {
                    self.done = sequence;
                    self.unsynced += 1;
                }
            }
            let bytes = records.bytes();
            self.waiting.pop_front();
            self.taken = 0;
            self.handle.fill_level.remove(bytes, &self.around.mailboxes);
        }
    }

    fn look_at_clock(&mut self) {
        let now = Instant::now();
        if self.done.is_some() {
            let sync_at = *self.sync_at.get_or_insert(now + SYNC_INTERVAL);
            if sync_at <= now || self.unsynced >= UNSYNCED_MAX {
                self.sync();
            }
        }
        if self.expire_at <= now {
            // Nothing is old by a clock that is wrong.
            if self.around.clock_watch.is_set() {
                self.recorder.expire(unix_ms());
            }
            self.expire_at = now + EXPIRE_INTERVAL;
        }
    }

    /// Flushes the files, and then lets the log go on. What a flush has lost is written again, and
    /// the log holds it until another flush has done it.
    fn sync(&mut self) {
        self.unsynced = 0;
        if !self.recorder.sync() {
            self.sync_at = Some(Instant::now() + SYNC_INTERVAL);
            if let Err(error) = self.repeat() {
                tracing::error!(%error, "what a history has lost cannot be read from the log yet");
            }
            return;
        }
        self.sync_at = None;
        if let Some(done) = self.done.take() {
            let turn = InnerTurn { done: Some((self.around.reader, done)), ..InnerTurn::default() };
            self.around.mailboxes.first().send(Mail::Turn(turn));
        }
    }

    fn repeat(&mut self) -> Result<(), StoreError> {
        let Around { store, shard, reader, .. } = &self.around;
        let done = store.reader_cursor(*shard, *reader)?;
        let records = not_handled(store, *shard, *reader, done)?;
        self.recorder.repeat(&records);
        Ok(())
    }

    /// The cursor stays: what is flushed now is offered again at the next start, and known.
    fn finish(&mut self) {
        self.take_durable();
        self.recorder.sync();
    }

    fn patience(&self) -> Duration {
        let until = self.sync_at.map_or(self.expire_at, |at| at.min(self.expire_at));
        until.saturating_duration_since(Instant::now())
    }
}
