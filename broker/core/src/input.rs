//! What happens to a core.

use std::sync::Arc;

use weir_mqtt::ReasonCode;

use crate::authorize::{Acl, Identity};
use crate::change::Change;
use crate::identity::{ConnectionId, ListenerId, ReaderId, Sequence};
use crate::message::MessageParts;
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
    /// Bytes were read from a connection.
    Received {
        /// Which.
        connection: ConnectionId,
        /// The bytes, in any portions.
        bytes: &'a [u8],
    },
    /// A change that is to be durable together with the rest of this turn.
    Record(Change),
    /// The credentials of a user do not hold any more: its connections end.
    Revoked {
        /// The name.
        username: &'a str,
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
    /// How it stands around the core. It publishes its `$SYS` tree, as far as that has changed.
    Surroundings(&'a Surroundings),
    /// A timer may be due: see [`Core::poll_timeout`](crate::Core::poll_timeout).
    Timeout,
}

/// What the credentials of a client have shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is let in, as this.
    Granted(Identity),
    /// It is refused with a reason that CONNACK may have; 3.x clients get the return code that
    /// is next to it.
    Refused(ReasonCode),
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
    /// To whoever subscribes to its topic, and to the retained messages if it is flagged.
    Subscribers {
        /// A reader that must not get it back.
        origin: Option<ReaderId>,
    },
}
