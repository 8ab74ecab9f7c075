//! How the rest of the broker reaches an upstream: it is woken, given messages, and asked
//! for its state.
//!
//! Everything here returns at once. What is given to an upstream without a connection, or to one
//! that cannot keep up, is dropped and counted; that concerns QoS 0 only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use weir_core::Records;

use crate::config::Priority;
use crate::record_sink::RecordSink;
use crate::status::{UpstreamState, UpstreamStatus};

/// One upstream, from outside. Clones are the same upstream.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamHandle {
    shared: Arc<Shared>,
    /// Of what is given by this one.
    priority: Priority,
}

#[derive(Debug)]
struct Shared {
    name: String,
    wake: Notify,
    grew: AtomicBool,
    /// The operator wants it to connect now.
    drains: AtomicBool,
    takes_live: AtomicBool,
    live: Mutex<Live>,
    live_dropped: AtomicU64,
    /// Messages that its backlog has not taken.
    missed: AtomicU64,
    state: Mutex<(UpstreamState, Option<String>)>,
    figures: Mutex<Figures>,
}

#[derive(Debug, Default)]
struct Live {
    queue: VecDeque<(Priority, Records)>,
    bytes: usize,
}

impl UpstreamHandle {
    pub(crate) fn new(name: &str) -> Self {
        let shared = Shared {
            name: name.to_owned(),
            wake: Notify::new(),
            grew: AtomicBool::new(true),
            drains: AtomicBool::new(false),
            takes_live: AtomicBool::new(false),
            live: Mutex::default(),
            live_dropped: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            state: Mutex::default(),
            figures: Mutex::default(),
        };
        Self { shared: Arc::new(shared), priority: Priority::Normal }
    }

    /// The same upstream, for what is sent with this priority.
    pub(crate) fn with_priority(&self, priority: Priority) -> Self {
        Self { priority, ..self.clone() }
    }

    /// The store has committed something. Call it after each commit.
    pub(crate) fn log_grew(&self) {
        if !self.shared.grew.swap(true, Ordering::AcqRel) {
            self.shared.wake.notify_one();
        }
    }

    /// The operator wants it to connect and send what waits, without waiting for the next attempt.
    pub(crate) fn drain(&self) {
        if lock(&self.shared.state).0 != UpstreamState::Connected {
            self.shared.drains.store(true, Ordering::Release);
            self.shared.wake.notify_one();
        }
    }

    /// Whether the operator has wanted that since the last call.
    pub(super) fn take_drain(&self) -> bool {
        self.shared.drains.swap(false, Ordering::AcqRel)
    }

    /// What it has counted.
    pub(super) fn figures(&self) -> Figures {
        lock(&self.shared.figures).clone()
    }

    /// Something has happened outside.
    #[cfg(feature = "nats")]
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// How it is now.
    pub(crate) fn status(&self) -> UpstreamStatus {
        let shared = &self.shared;
        let (state, last_error) = lock(&shared.state).clone();
        let mut figures = lock(&shared.figures).clone();
        figures.drop("qos0", shared.live_dropped.load(Ordering::Relaxed));
        figures.drop("backlog_full", shared.missed.load(Ordering::Relaxed));
        let dropped = figures.dropped.iter();
        let waiting = Priority::ALL.into_iter().zip(figures.waiting);
        let waiting = waiting.filter(|(_, count)| *count > 0);
        UpstreamStatus {
            name: shared.name.clone(),
            state,
            depth: figures.depth,
            depth_by_priority: waiting.map(|(of, count)| (of.name().to_owned(), count)).collect(),
            depth_bytes: figures.depth_bytes,
            oldest_at_ms: figures.oldest_at_ms,
            empty_in_s: figures.empty_in_s.filter(|_| state == UpstreamState::Connected),
            sent: figures.sent,
            acknowledged: figures.acknowledged,
            received: figures.received,
            dropped: dropped.map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            last_error,
        }
    }

    /// Waits until something has happened outside.
    pub(crate) async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// Whether the log may have grown since the last call.
    pub(crate) fn take_grew(&self) -> bool {
        self.shared.grew.swap(false, Ordering::AcqRel)
    }

    /// With a connection live messages are taken, without one they are dropped.
    pub(crate) fn set_takes_live(&self, takes: bool) {
        self.shared.takes_live.store(takes, Ordering::Release);
        if !takes {
            let mut live = lock(&self.shared.live);
            let count: usize = live.queue.iter().map(|(_, records)| records.len()).sum();
            *live = Live::default();
            self.shared.live_dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Whether live messages wait.
    pub(crate) fn has_live(&self) -> bool {
        !lock(&self.shared.live).queue.is_empty()
    }

    pub(crate) fn take_live(&self) -> Option<(Priority, Records)> {
        let mut live = lock(&self.shared.live);
        let next = live.queue.pop_front()?;
        live.bytes -= next.1.bytes();
        Some(next)
    }

    pub(crate) fn set_state(&self, state: UpstreamState, error: Option<String>) {
        let mut now = lock(&self.shared.state);
        now.0 = state;
        if error.is_some() {
            now.1 = error;
        }
    }

    pub(crate) fn set_figures(&self, figures: &Figures) {
        lock(&self.shared.figures).clone_from(figures);
    }
}

impl RecordSink for UpstreamHandle {
    /// Messages that are not in the log, to be sent now or never.
    fn give(&self, records: Records) {
        let count = records.len() as u64;
        let mut live = lock(&self.shared.live);
        let full = live.bytes.saturating_add(records.bytes()) > LIVE_BYTES_MAX;
        if full || !self.shared.takes_live.load(Ordering::Acquire) {
            self.shared.live_dropped.fetch_add(count, Ordering::Relaxed);
            return;
        }
        live.bytes += records.bytes();
        live.queue.push_back((self.priority, records));
        drop(live);
        self.shared.wake.notify_one();
    }

    fn missed(&self, messages: u64) {
        self.shared.missed.fetch_add(messages, Ordering::Relaxed);
    }

    /// Local clients never wait for an upstream.
    fn has_room(&self) -> bool {
        true
    }
}

/// What an upstream counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) depth: u64,
    /// The same for each priority, in their order.
    pub(crate) waiting: [u64; Priority::ALL.len()],
    pub(crate) depth_bytes: u64,
    pub(crate) oldest_at_ms: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
    pub(crate) empty_in_s: Option<u64>,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(crate) fn drop(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.dropped.entry(reason).or_default() += count;
        }
    }
}

/// The values behind these locks are whole at any moment, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// QoS 0 messages that wait for an upstream that is connected.
const LIVE_BYTES_MAX: usize = 1024 * 1024;
