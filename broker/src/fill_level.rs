//! How full a thread is that shards hand messages to: they leave their sockets unread while it has
//! no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::mailbox::Mailboxes;

/// Bytes of messages that wait.
#[derive(Clone, Debug)]
pub(crate) struct FillLevel {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl FillLevel {
    /// Nothing waits. Past `bytes_max` there is no room.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    /// So many more wait.
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether messages may be handed over.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < self.bytes_max
    }

    /// So many fewer wait. Wakes the shards, all of which wait for room, when there is some again.
    pub(crate) fn remove(&self, bytes: usize, shards: &Mailboxes) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before >= self.bytes_max && before - bytes < self.bytes_max {
            shards.wake_all();
        }
    }
}
