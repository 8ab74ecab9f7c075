//! How other threads reach a shard: a queue, and a way to wake the thread that waits for sockets.
//!
//! Used once per batch, never once per message of a client. The shard empties it at the start of
//! a turn, so one wake-up serves whatever has gathered.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use mio::Waker;
use weir_core::{
    Acl, ConnectionId, Core, Credential, Forwards, Message, Metrics, Outcome, ReaderConfig,
    ReaderId, Records, Sequence, ShardId, StoreRoom, Surroundings, TopicNews,
};

use crate::inner_turn::InnerTurn;
use crate::record_sink::RecordSink;
use crate::stream::Stream;

/// What a shard can be told.
pub(crate) enum Mail {
    /// The credentials of a client were checked.
    Authenticated(ConnectionId, Outcome),
    /// The certificates of a listener are others, and so may be the lists of revoked ones.
    Certificates,
    /// The store has made every batch up to this number durable.
    Committed(u64),
    /// A client loses its connection and, if `ends_session`, its session.
    Expel {
        client_id: String,
        ends_session: bool,
        /// Called on the shard's thread once it is durable, with whether there was such a session;
        /// must not wait.
        done: Box<dyn FnOnce(bool) + Send>,
    },
    /// What another shard has for the core.
    Forwarded { from: ShardId, forwards: Box<Forwards> },
    /// A page of the history that the core wanted to read, and where the next one begins.
    HistoryRead(Vec<Message>, Option<Vec<u64>>),
    /// The messages that the core wanted to read.
    Loaded(Vec<(Sequence, Message)>),
    /// Somebody wants to see something of the core.
    Look(Look),
    /// A connection whose client belongs here.
    Moved(Box<Moved>),
    /// A connection from inside the process, by the listener of this number.
    Opened { stream: Stream, listener: u16 },
    /// A reader that is new, and what it is given messages by. The first shard says where in the log
    /// it begins.
    ReaderJoins {
        config: ReaderConfig,
        sink: Box<dyn RecordSink>,
        position: Option<mpsc::SyncSender<Sequence>>,
    },
    /// A reader is no more.
    ReaderLeaves(ReaderId),
    /// Of the messages of a topic a reader takes one of so many from now on, 0 = none.
    ReaderTakes { reader: ReaderId, one_of: u32 },
    /// A reader reads other topics from now on, and may want to know what is retained.
    ReaderWants { wish: ReaderConfig, retained: Option<RetainedQuestion> },
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
    /// Somebody wants to know what was published on which topics; none: nobody does any more.
    Topics(Option<mpsc::SyncSender<TopicNews>>),
}

/// Looks at a core and its connections, between two turns. Called on the shard's thread: it must not
/// wait, nor look at more than a part of a long table.
pub(crate) type Look = Box<dyn FnOnce(&Core, PeerOf<'_>) + Send>;

/// The address at the other end of a connection.
pub(crate) type PeerOf<'a> = &'a dyn Fn(ConnectionId) -> Option<SocketAddr>;

/// Somebody wants the retained messages that match one of these filters.
pub(crate) struct RetainedQuestion {
    pub(crate) filters: Vec<String>,
    /// Called on the shard's thread; must not wait.
    pub(crate) answer: Box<dyn FnOnce(Records) + Send>,
}

/// A connection on its way to the shard of its client.
pub(crate) struct Moved {
    pub(crate) stream: Stream,
    /// Number of the listener that it came in by.
    pub(crate) listener: u16,
    /// What the client has said so far.
    pub(crate) bytes: Vec<u8>,
    /// Its certificate is believed by what held after so many changes.
    pub(crate) believed_after: u64,
}

/// Hands mail to one shard.
#[derive(Clone)]
pub(crate) struct Mailbox {
    sender: mpsc::Sender<Mail>,
    waker: Arc<Waker>,
    awake: Arc<AtomicBool>,
}

/// Those of all shards.
#[derive(Clone)]
pub(crate) struct Mailboxes(Arc<[Mailbox]>);

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

impl Mailboxes {
    /// By the number of the shard; there is one at least.
    pub(crate) fn new(mailboxes: Vec<Mailbox>) -> Self {
        Self(mailboxes.into())
    }

    pub(crate) fn all(&self) -> &[Mailbox] {
        &self.0
    }

    pub(crate) fn of(&self, shard: ShardId) -> &Mailbox {
        &self.0[usize::from(shard.0)]
    }

    /// That of the shard which the rules and the upstreams deal with.
    pub(crate) fn first(&self) -> Mailbox {
        self.of(ShardId::FIRST).clone()
    }

    /// Wakes all shards to look at what they share with others.
    pub(crate) fn wake_all(&self) {
        self.0.iter().for_each(Mailbox::wake);
    }

    /// Hands the same to each shard.
    pub(crate) fn send_all(&self, mail: impl Fn() -> Mail) {
        self.0.iter().for_each(|mailbox| mailbox.send(mail()));
    }

    /// Tells each shard the last of its batches among those that are durable now.
    pub(crate) fn tell_committed(&self, batches: &[(ShardId, u64)]) {
        for (shard, mailbox) in (0..).map(ShardId).zip(self.0.iter()) {
            let of_shard = batches.iter().rev().find(|(of, _)| *of == shard);
            if let Some((_, number)) = of_shard {
                mailbox.send(Mail::Committed(*number));
            }
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
