//! The ways from one shard to the others.
//!
//! What a turn has for another shard goes over in one piece. A shard takes what comes at once,
//! whatever it has to do otherwise, so that no two shards wait for each other; it is the sender
//! that reads no more of its clients while too much is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_core::{Forwards, ShardId};

use crate::mailbox::{Mail, Mailbox, Moved};

/// Bytes that may be under way to another shard before the clients of the first one wait.
const UNDER_WAY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The ways of one shard.
pub(crate) struct Ways {
    shard: ShardId,
    mailboxes: Arc<[Mailbox]>,
    /// Bytes under way, by sender and then by receiver.
    under_way: Arc<[AtomicUsize]>,
}

impl Ways {
    /// Those of all shards, by the number of the shard.
    pub(crate) fn between(mailboxes: Vec<Mailbox>) -> Vec<Self> {
        let count = mailboxes.len();
        let mailboxes: Arc<[Mailbox]> = mailboxes.into();
        let under_way: Arc<[AtomicUsize]> =
            (0..count * count).map(|_| AtomicUsize::new(0)).collect();
        let of = |shard| Self { shard, mailboxes: mailboxes.clone(), under_way: under_way.clone() };
        (0..).map(ShardId).map(of).take(count).collect()
    }

    /// Whether there are other shards.
    pub(crate) fn any(&self) -> bool {
        self.mailboxes.len() > 1
    }

    /// Hands something to another shard.
    pub(crate) fn forward(&self, to: ShardId, forwards: Forwards) {
        self.bytes(self.shard, to).fetch_add(forwards.bytes(), Ordering::AcqRel);
        self.mailbox(to).send(Mail::Forwarded { from: self.shard, forwards });
    }

    /// Hands a connection to another shard.
    pub(crate) fn hand_over(&self, to: ShardId, moved: Moved) {
        self.mailbox(to).send(Mail::Moved(Box::new(moved)));
    }

    /// So many bytes of another shard have arrived.
    pub(crate) fn arrived(&self, from: ShardId, bytes: usize) {
        let before = self.bytes(from, self.shard).fetch_sub(bytes, Ordering::AcqRel);
        if before > UNDER_WAY_BYTES_MAX && before - bytes <= UNDER_WAY_BYTES_MAX {
            self.mailbox(from).wake();
        }
    }

    /// False while too much is under way to one of the others.
    pub(crate) fn have_room(&self) -> bool {
        let others = (0..self.mailboxes.len() as u8).map(ShardId);
        let mut under_way = others.map(|to| self.bytes(self.shard, to).load(Ordering::Acquire));
        !self.any() || under_way.all(|bytes| bytes <= UNDER_WAY_BYTES_MAX)
    }

    fn mailbox(&self, shard: ShardId) -> &Mailbox {
        &self.mailboxes[usize::from(shard.0)]
    }

    fn bytes(&self, from: ShardId, to: ShardId) -> &AtomicUsize {
        &self.under_way[usize::from(from.0) * self.mailboxes.len() + usize::from(to.0)]
    }
}
