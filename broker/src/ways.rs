//! The ways from one shard to the others.
//!
//! What a turn has for another shard goes over in one piece. A shard takes what comes at once,
//! whatever it has to do otherwise, so that no two shards wait for each other; it is the sender
//! that reads no more of its clients while too much is under way.
//!
//! A shard that ends takes no more, and what is to be durable together with something that it has
//! not taken never is. So they end together: first all of them come to rest, then all of them tell
//! their clients, and when what comes of that has arrived they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    ending: Arc<Ending>,
}

/// How far the shards are with their end, each by its number.
struct Ending {
    rest: Box<[AtomicBool]>,
    have_parted: Box<[AtomicBool]>,
    /// All of them were at rest.
    may_part: AtomicBool,
}

impl Ways {
    /// Those of all shards, by the number of the shard.
    pub(crate) fn between(mailboxes: Vec<Mailbox>) -> Vec<Self> {
        let count = mailboxes.len();
        let mailboxes: Arc<[Mailbox]> = mailboxes.into();
        let under_way: Arc<[AtomicUsize]> =
            (0..count * count).map(|_| AtomicUsize::new(0)).collect();
        let none = || (0..count).map(|_| AtomicBool::new(false)).collect();
        let may_part = AtomicBool::new(false);
        let ending = Arc::new(Ending { rest: none(), have_parted: none(), may_part });
        let of = |shard| Self {
            shard,
            mailboxes: mailboxes.clone(),
            under_way: under_way.clone(),
            ending: ending.clone(),
        };
        (0..).map(ShardId).map(of).take(count).collect()
    }

    /// Whether there are other shards.
    pub(crate) fn any(&self) -> bool {
        self.mailboxes.len() > 1
    }

    /// Hands something to another shard.
    pub(crate) fn forward(&self, to: ShardId, forwards: Box<Forwards>) {
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

    /// This shard reads no more, and nothing waits for a commit, or that is not so any more.
    /// Answers whether it may tell its clients that this is the end.
    pub(crate) fn rest(&self, is_at_rest: bool) -> bool {
        let ending = &self.ending;
        self.note(&ending.rest, is_at_rest);
        if !is_at_rest {
            return false;
        }
        let all_rest = || self.is_nothing_under_way() && all(&ending.rest);
        if !ending.may_part.load(Ordering::SeqCst) && all_rest() {
            ending.may_part.store(true, Ordering::SeqCst);
            self.wake_others();
        }
        ending.may_part.load(Ordering::SeqCst)
    }

    /// This shard has told its clients. Answers whether nothing can come from the others any more.
    pub(crate) fn part(&self) -> bool {
        self.note(&self.ending.have_parted, true);
        let is_over = self.is_nothing_under_way() && all(&self.ending.have_parted);
        if is_over {
            self.wake_others();
        }
        is_over
    }

    /// What comes from others may make something to do: it comes to rest, or parts, once more.
    pub(crate) fn stir(&self) {
        self.note(&self.ending.rest, false);
        self.note(&self.ending.have_parted, false);
    }

    fn note(&self, shards: &[AtomicBool], is_so: bool) {
        shards[usize::from(self.shard.0)].store(is_so, Ordering::SeqCst);
    }

    fn is_nothing_under_way(&self) -> bool {
        self.under_way.iter().all(|bytes| bytes.load(Ordering::SeqCst) == 0)
    }

    fn wake_others(&self) {
        let others = (0..).map(ShardId).zip(self.mailboxes.iter());
        others.filter(|(shard, _)| *shard != self.shard).for_each(|(_, mailbox)| mailbox.wake());
    }

    fn mailbox(&self, shard: ShardId) -> &Mailbox {
        &self.mailboxes[usize::from(shard.0)]
    }

    fn bytes(&self, from: ShardId, to: ShardId) -> &AtomicUsize {
        &self.under_way[usize::from(from.0) * self.mailboxes.len() + usize::from(to.0)]
    }
}

fn all(shards: &[AtomicBool]) -> bool {
    shards.iter().all(|is_so| is_so.load(Ordering::SeqCst))
}
