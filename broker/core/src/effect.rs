//! What a core asks its shell to do.

use std::fmt;
use std::sync::Arc;

use weir_mqtt::Version;

use crate::authorize::Access;
use crate::change::Batch;
use crate::forwards::Forwards;
use crate::identity::{ConnectionId, ListenerId, ReaderId, Sequence, ShardId};
use crate::interest::InterestChange;
use crate::message::{self, MessageParts};
use crate::metrics::{DropReason, Drops};
use crate::pressure::MemoryPressure;
use crate::rates::RateLimit;

/// One thing to do, taken with [`Core::drain`](crate::Core::drain) at the end of a turn.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Take connections of a listener again; see
    /// [`Core::takes_connections`](crate::Core::takes_connections).
    Accept {
        /// Which.
        listener: ListenerId,
    },
    /// A client was let in without a name.
    Admitted {
        /// Which.
        connection: ConnectionId,
        /// Its identifier.
        client_id: Arc<str>,
    },
    /// Check the credentials of a client and report [`Input::Authenticated`](crate::Input), once.
    /// The connection waits for that with its CONNECT; one that is open goes on meanwhile.
    Authenticate {
        /// Which.
        connection: ConnectionId,
        /// What is known of the client.
        request: Box<AuthenticationRequest>,
    },
    /// Write what waits, close the connection, and report [`Input::Closed`](crate::Input).
    Close {
        /// Which.
        connection: ConnectionId,
        /// Something was said last that closing must not keep the client from reading, although
        /// it may still be sending.
        farewell: bool,
    },
    /// Make the batch durable and report [`Input::Committed`](crate::Input).
    Commit(Batch),
    /// A client wanted what it may not do. Reported once for each connection and access, so that
    /// a client cannot fill a log.
    Denied {
        /// Which.
        connection: ConnectionId,
        /// What it wanted.
        denial: Box<Denial>,
    },
    /// Messages for a client, or from it, are dropped. Reported for each reason when that begins,
    /// and again only when nothing was dropped for a minute.
    Dropping(Box<DropNotice>),
    /// Bytes wait in the outbound buffer of a connection.
    Flush {
        /// Which.
        connection: ConnectionId,
    },
    /// Hand this to another shard, as [`Input::Forwarded`](crate::Input), in the order in which it
    /// comes.
    Forward {
        /// Which shard.
        shard: ShardId,
        /// What it gets.
        forwards: Box<Forwards>,
    },
    /// The sessions and readers of this shard want other topics than before. Only where there is a
    /// reader for a fleet.
    Interest(Vec<InterestChange>),
    /// Read these messages of the log, which are durable, and report them with
    /// [`Input::Loaded`](crate::Input). One such effect is under way at a time.
    Load {
        /// Their positions, ascending.
        sequences: Vec<Sequence>,
    },
    /// From now on more is given up for want of memory, or less.
    MemoryPressure {
        /// What.
        pressure: MemoryPressure,
        /// What the core takes.
        bytes: usize,
    },
    /// Hand the connection to another shard, as [`Input::Moved`](crate::Input). This one has
    /// forgotten it.
    Move {
        /// Which.
        connection: ConnectionId,
        /// The shard of its client.
        shard: ShardId,
        /// What the client has said so far, its CONNECT first.
        bytes: Vec<u8>,
    },
    /// Do not read from the connection until it is resumed.
    Pause {
        /// Which.
        connection: ConnectionId,
    },
    /// Read messages of the history and report them with
    /// [`Input::HistoryRead`](crate::Input). One such effect is under way at a time.
    ReadHistory(Box<HistoryRequest>),
    /// Read from the connection again.
    Resume {
        /// Which.
        connection: ConnectionId,
    },
    /// A client or a listener has to wait for having been too fast. Reported for each rate when
    /// that begins, and again only when it was not so for a minute.
    Throttled(Box<ThrottleNotice>),
    /// So many messages did not reach a reader, since it does not take all.
    ReaderMissed {
        /// Which reader.
        reader: ReaderId,
        /// How many.
        messages: u64,
    },
    /// Messages for a reader, in the order in which they were published.
    ToReader {
        /// Which reader.
        reader: ReaderId,
        /// The messages.
        records: Records,
    },
}

/// A page of the history for a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryRequest {
    /// The topics of the messages.
    pub filter: Arc<str>,
    /// They were received then or later, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Where to go on, as [`Input::HistoryRead`](crate::Input) said it for the page before; empty
    /// for the first. Whatever reads the history knows what it means. What comes after the
    /// first page was read is in none.
    pub position: Vec<u64>,
}

/// What a client says about who it is.
#[derive(Clone, Eq, PartialEq)]
pub struct AuthenticationRequest {
    /// Why it is asked about.
    pub occasion: Occasion,
    /// The version that the client speaks.
    pub version: Version,
    /// Its identifier; empty if the broker is to choose one.
    pub client_id: Box<str>,
    /// The user name of its CONNECT, or, of one that is connected, the name that it has.
    pub username: Option<Box<str>>,
    /// Its password; none of one that is connected.
    pub password: Option<Box<[u8]>>,
    /// The extended authentication that it has begun.
    pub exchange: Option<Exchange>,
}

/// Why a client is asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occasion {
    /// It connects.
    Connect,
    /// It shows once more who it is, with a method of extended authentication.
    Reauthentication,
    /// What was said about it is to be said anew: see
    /// [`Validity::Renewable`](crate::Validity::Renewable).
    Renewal,
}

/// Extended authentication, which MQTT 5 has in CONNECT and AUTH.
#[derive(Clone, Eq, PartialEq)]
pub struct Exchange {
    /// The name of the method.
    pub method: Box<str>,
    /// All that was said so far, client and broker in turn, so that whoever checks it needs to
    /// remember nothing.
    pub said: Vec<Box<[u8]>>,
}

/// What a client wanted and may not do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// Its identifier.
    pub client_id: Arc<str>,
    /// Its user name.
    pub username: Option<Arc<str>>,
    /// To publish (write) or to subscribe (read).
    pub access: Access,
    /// The topic name or topic filter.
    pub topic: Box<str>,
    /// The line of the ACL that says so, from 1; none when no line allows it.
    pub line: Option<u32>,
}

/// An episode of drops has begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DropNotice {
    /// The client.
    pub client_id: Arc<str>,
    /// Why.
    pub reason: DropReason,
    /// What was dropped for the client so far, this message included.
    pub dropped: Drops,
}

/// Somebody was too fast.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ThrottleNotice {
    /// The client that is not read for a while; none when it is the listener that takes no
    /// connections.
    pub client_id: Option<Arc<str>>,
    /// The listener, or the one that the client came in by.
    pub listener: ListenerId,
    /// Which rate.
    pub limit: RateLimit,
}

/// Messages in one buffer, each with its position in the log if it has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    bytes: Vec<u8>,
    count: usize,
}

impl fmt::Debug for AuthenticationRequest {
    /// Without the password, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationRequest")
            .field("occasion", &self.occasion)
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    /// Without what was said, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", &self.method)
            .field("said", &self.said.len())
            .finish()
    }
}

impl Records {
    /// Appends a message; `sequence` is none for one that is not in the log.
    pub fn push(&mut self, sequence: Option<Sequence>, message: &MessageParts<'_>) {
        self.bytes.extend_from_slice(&sequence.map_or(0, |s| s.0).to_le_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        message.append_to(&mut self.bytes);
        let length = self.bytes.len() - length_at - 4;
        let length = u32::try_from(length).expect("a packet is shorter than 256 MiB");
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the messages take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Those that are in the log, and how many are not.
    #[must_use]
    pub fn without_unlogged(&self) -> (Self, u64) {
        let mut logged = Self::default();
        for (sequence, message) in self.iter().filter(|(sequence, _)| sequence.is_some()) {
            logged.push(sequence, &message);
        }
        let missing = (self.len() - logged.len()) as u64;
        (logged, missing)
    }

    /// The messages in order.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Sequence>, MessageParts<'_>)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (sequence, after) = rest.split_first_chunk::<8>()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let (record, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            rest = after;
            let sequence = u64::from_le_bytes(*sequence);
            let parts = message::parse(record).expect("a record that was pushed is whole");
            Some(((sequence != 0).then_some(Sequence(sequence)), parts))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_mqtt::QoS;

    #[test]
    fn records_come_back_in_order_with_their_positions() {
        let mut records = Records::default();
        let parts = MessageParts {
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: "a/b",
            properties: &[],
            payload: b"1",
        };
        records.push(None, &parts);
        records.push(Some(Sequence(7)), &MessageParts { payload: b"2", ..parts });
        let seen: Vec<_> = records.iter().map(|(s, m)| (s, m.payload.to_vec())).collect();
        assert_eq!(seen, [(None, b"1".to_vec()), (Some(Sequence(7)), b"2".to_vec())]);
        assert_eq!(records.len(), 2);
        let (logged, missing) = records.without_unlogged();
        let seen: Vec<_> = logged.iter().map(|(s, m)| (s, m.payload.to_vec())).collect();
        assert_eq!((seen, missing), (vec![(Some(Sequence(7)), b"2".to_vec())], 1));
    }
}
