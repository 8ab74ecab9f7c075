//! What happens to a core.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use weir_mqtt::ReasonCode;

use crate::authorize::{Acl, Credential, Identity};
use crate::change::Change;
use crate::forwards::Forwards;
use crate::identity::{ConnectionId, ListenerId, ReaderId, Sequence, ShardId};
use crate::message::{Message, MessageParts};
use crate::reader_config::ReaderConfig;
use crate::store_room::StoreRoom;
use crate::surroundings::Surroundings;

/// One thing that happened, handed to [`Core::handle`](crate::Core::handle).
#[derive(Debug)]
pub enum Input<'a> {
    /// The answer to [`Effect::Authenticate`].
    ///
    /// [`Effect::Authenticate`]: crate::Effect::Authenticate
    Authenticated {
        /// Which.
        connection: ConnectionId,
        /// Whether its client is let in.
        outcome: Outcome,
    },
    /// The certificate that its client has shown does not count any more: the connection ends.
    CertificateRevoked {
        /// Which.
        connection: ConnectionId,
    },
    /// The connection is closed, by the peer, by an error, or after [`Effect::Close`].
    ///
    /// [`Effect::Close`]: crate::Effect::Close
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// The store has made every batch up to this number durable.
    Committed {
        /// The number of the last one.
        batch: u64,
    },
    /// The operator wants a client to lose its connection, with the reason "administrative action".
    Expel {
        /// Which, if there is such a session.
        client_id: &'a str,
        /// Its session ends too, with all that waits for it.
        ends_session: bool,
    },
    /// Another shard has something for this one: [`Effect::Forward`](crate::Effect::Forward).
    Forwarded {
        /// Which shard.
        from: ShardId,
        /// What it has.
        forwards: Box<Forwards>,
    },
    /// The answer to [`Effect::ReadHistory`](crate::Effect::ReadHistory).
    HistoryRead {
        /// What was found, in the order in which it came; no more than a client can be sent soon.
        messages: &'a [Message],
        /// Where the next page begins; none when this was the last.
        next: Option<Vec<u64>>,
    },
    /// All shards know what the sessions of all others want: see
    /// [`Core::join`](crate::Core::join).
    Joined,
    /// The answer to [`Effect::Load`]. A message that is missing cannot be read, now or ever.
    ///
    /// [`Effect::Load`]: crate::Effect::Load
    Loaded {
        /// What was found.
        messages: &'a [(Sequence, Message)],
    },
    /// A connection came from another shard: [`Effect::Move`](crate::Effect::Move). It has a new
    /// name here.
    Moved {
        /// Its name from now on.
        connection: ConnectionId,
        /// The listener that it came in by.
        listener: ListenerId,
        /// What its client has said so far.
        bytes: &'a [u8],
    },
    /// A connection was accepted. The shell names it: slots are small numbers that it uses
    /// again, with a new generation.
    Opened {
        /// Its name from now on.
        connection: ConnectionId,
        /// The listener that it came in by, by its place in [`Limits`](crate::Limits).
        listener: ListenerId,
    },
    /// From now on clients may do what this ACL allows; without one nothing is restricted. Holds
    /// for connections that are open too.
    Permissions(Option<Arc<Acl>>),
    /// The broker itself publishes: a rule, an upstream.
    Publish(Publication<'a>),
    /// A reader is done with the log up to and with this position.
    ReaderDone {
        /// Which reader.
        reader: ReaderId,
        /// The last position it is done with.
        sequence: Sequence,
    },
    /// A reader could not take so many QoS 0 messages, because what comes of them has to wait for
    /// room in the store. They are counted.
    ReaderMissed {
        /// How many.
        messages: u64,
    },
    /// A reader is no more; it may come back. Every shard has to be told.
    ReaderLeaves(ReaderId),
    /// A reader takes one of so many of the messages of a topic that it would read from the store, 0 =
    /// none. The others do not reach it, and are told to whoever holds it.
    ReaderTakes {
        /// Which reader.
        reader: ReaderId,
        /// At first 1.
        one_of: u32,
    },
    /// A reader reads this from now on, maybe its first. Every shard has to be told.
    ReaderWants(ReaderConfig),
    /// Bytes were read from a connection.
    Received {
        /// Which.
        connection: ConnectionId,
        /// The bytes, in any portions.
        bytes: &'a [u8],
    },
    /// A change that is to be durable together with the rest of this turn.
    Record(Change),
    /// What other brokers of the fleet have retained, an empty payload if nothing any more. Only the
    /// first shard is told. Nobody is sent it; what they are to get is
    /// [published](Route::RetainedNews).
    RetainedElsewhere(&'a [Message]),
    /// These credentials do not hold any more: the connections that were made with them end.
    Revoked {
        /// Which.
        credentials: &'a BTreeSet<Credential>,
    },
    /// Bytes of the outbound buffer were written.
    Sent {
        /// Which connection.
        connection: ConnectionId,
        /// How many bytes.
        bytes: usize,
    },
    /// The broker ends: every client is told, and loses its connection.
    Stop,
    /// What the store takes from now on. Until it is told, a core takes it that it is everything.
    StoreRoom(StoreRoom),
    /// How it stands around the core. It publishes its `$SYS` tree, as far as that has changed.
    Surroundings(&'a Surroundings),
    /// A timer may be due: see [`Core::poll_timeout`](crate::Core::poll_timeout).
    Timeout,
}

/// What the credentials of a client have shown.
#[derive(Clone, Eq, PartialEq)]
pub enum Outcome {
    /// The client has to answer this first. Only for one that named a method of extended
    /// authentication.
    Continue(Box<[u8]>),
    /// It is let in.
    Granted {
        /// As this.
        identity: Identity,
        /// The last word of the method of extended authentication, if there is one.
        last_word: Option<Box<[u8]>>,
    },
    /// It is refused with a reason that CONNACK may have; 3.x clients get the return code that
    /// is next to it.
    Refused(ReasonCode),
}

impl Outcome {
    /// A client is let in, and nothing more is to be said.
    #[must_use]
    pub fn granted(identity: Identity) -> Self {
        Self::Granted { identity, last_word: None }
    }
}

impl fmt::Debug for Outcome {
    /// Without what a method of authentication says, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue(_) => f.debug_tuple("Continue").finish_non_exhaustive(),
            Self::Granted { identity, .. } => {
                f.debug_struct("Granted").field("identity", identity).finish_non_exhaustive()
            }
            Self::Refused(reason) => f.debug_tuple("Refused").field(reason).finish(),
        }
    }
}

/// A message that comes from inside the broker.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The message.
    pub message: MessageParts<'a>,
    /// Where it goes.
    pub route: Route,
}

/// Where a message from inside the broker goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// To one reader of the log and nobody else: what a rule sends upstream.
    Reader(ReaderId),
    /// As to [`Subscribers`](Self::Subscribers), if it takes the place of what is retained here for
    /// its topic; to nobody if what is here is newer.
    RetainedNews {
        /// The reader that has brought it from another broker.
        origin: ReaderId,
    },
    /// To whoever subscribes to its topic, and to the retained messages if it is flagged.
    Subscribers {
        /// A reader that must not get it back.
        origin: Option<ReaderId>,
    },
}
