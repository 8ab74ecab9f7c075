//! How other threads reach a shard: a queue, and a way to wake the thread that waits for sockets.
//!
//! Used once per batch, never once per message of a client. The shard empties it at the start of
//! a turn, so one wake-up serves whatever has gathered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use mio::Waker;
use weir_core::{
    Acl, ConnectionId, Credential, Message, Metrics, Outcome, Sequence, StoreRoom, Surroundings,
};

use crate::inner_turn::InnerTurn;

/// What a shard can be told.
pub(crate) enum Mail {
    /// The credentials of a client were checked.
    Authenticated(ConnectionId, Outcome),
    /// The certificates of a listener are others, and so may be the lists of revoked ones.
    Certificates,
    /// The store has made every batch up to this number durable.
    Committed(u64),
    /// The messages that the core wanted to read.
    Loaded(Vec<(Sequence, Message)>),
    /// The store has room, or none.
    StoreRoom(StoreRoom),
    /// Messages and changes from inside the broker, durable together.
    Turn(InnerTurn),
    /// What clients may do from now on, and the credentials whose connections end.
    Rights { acl: Option<Arc<Acl>>, revoked: BTreeSet<Credential> },
    /// Somebody wants the counters.
    Metrics(mpsc::SyncSender<Metrics>),
    /// How it stands around the core, for the `$SYS` tree.
    Surroundings(Box<Surroundings>),
    /// The broker ends.
    Stop,
}

/// Hands mail to one shard.
#[derive(Clone)]
pub(crate) struct Mailbox {
    sender: mpsc::Sender<Mail>,
    waker: Arc<Waker>,
    awake: Arc<AtomicBool>,
}

/// The shard's end.
pub(crate) struct MailReceiver {
    receiver: mpsc::Receiver<Mail>,
    awake: Arc<AtomicBool>,
}

/// A mailbox whose shard is woken by `waker`.
pub(crate) fn mailbox(waker: Waker) -> (Mailbox, MailReceiver) {
    let (sender, receiver) = mpsc::channel();
    let awake = Arc::new(AtomicBool::new(false));
    let mailbox = Mailbox { sender, waker: Arc::new(waker), awake: awake.clone() };
    (mailbox, MailReceiver { receiver, awake })
}

impl Mailbox {
    /// Hands something over and wakes the shard. A shard that has ended takes nothing.
    pub(crate) fn send(&self, mail: Mail) {
        if self.sender.send(mail).is_ok() && !self.awake.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Wakes the shard to look at what it shares with others.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a shard cannot be woken");
        }
    }
}

impl MailReceiver {
    /// Everything that has gathered.
    pub(crate) fn take(&self) -> impl Iterator<Item = Mail> + '_ {
        // Before the queue is read: what comes after it wakes the shard again.
        self.awake.store(false, Ordering::Release);
        self.receiver.try_iter()
    }
}
