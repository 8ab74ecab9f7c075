//! What one shard tells another at the end of a turn.
//!
//! Shards share nothing: a message for clients of another shard, a filter that somebody there
//! should know of, and how many members a group has here all go over in one batch per turn. Batches
//! from one shard to another arrive in the order in which they were made.

use std::sync::Arc;

use crate::durability::Durability;
use crate::identity::Sequence;
use crate::message::Message;

/// What one turn of a shard has for another one.
#[derive(Debug, Default, PartialEq)]
pub struct Forwards {
    /// Set when what comes of it has to be durable together with the batch of the turn that made
    /// it; counts up by one for each of those from one shard to another.
    pub(crate) number: Option<u64>,
    /// The clock of the shard that made it; see [`Forwarded::Retained`].
    pub(crate) clock: u64,
    pub(crate) interests: Vec<Interest>,
    pub(crate) messages: Vec<ForwardedMessage>,
    /// Positions under which the other shard waits for upstreams, and need not any more.
    pub(crate) released: Vec<Sequence>,
    /// Connections and sessions that there are, if that is of interest.
    pub(crate) census: Option<Census>,
    /// About the bytes of what is in it.
    bytes: usize,
}

/// What a shard wants to get from the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Interest {
    /// Of a shared subscription it has these members.
    Group { filter: Arc<str>, members: Members },
    /// Nobody there subscribes to the filter any more.
    Unwanted(Arc<str>),
    /// Somebody there subscribes to the filter.
    Wanted(Arc<str>),
}

/// The members that a shard has of one group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Members {
    pub(crate) all: u32,
    /// Those that are connected.
    pub(crate) online: u32,
    /// Those of them whose sessions are kept.
    pub(crate) online_kept: u32,
}

/// How many of what is limited for all shards together a shard has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Census {
    pub(crate) connections: usize,
    pub(crate) sessions: usize,
}

/// A message for another shard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForwardedMessage {
    pub(crate) kind: Forwarded,
    pub(crate) message: Message,
    pub(crate) level: Durability,
    /// Nobody gets it before what it rests on is durable.
    pub(crate) is_provisional: bool,
    /// The store has no room for it.
    pub(crate) is_unkept: bool,
    /// Its publisher waits until upstreams have it.
    pub(crate) waits: Option<Waits>,
}

/// How a publisher waits for upstreams of another shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Waits {
    /// Under which position of its shard.
    pub(crate) sequence: Sequence,
    /// Earlier messages of it wait as well.
    pub(crate) is_behind: bool,
}

/// Whom a forwarded message is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Forwarded {
    /// One member of a group, of those that the shard has: `hash` is what the strategies that hash
    /// go by, `hops` counts shards that had none.
    Member { filter: Arc<str>, hash: u64, hops: u8 },
    /// The rules, which are asked something.
    Question,
    /// Everybody who wants it. In every shard it takes the place of the retained message of its
    /// topic, unless that has a higher version.
    Retained { version: u64 },
    /// Nobody; it takes the place of the retained message of its topic, unless that has a higher
    /// version.
    RetainedElsewhere { version: u64 },
    /// Everybody who wants it; it belongs to the `$SYS` tree.
    Sys,
    /// Everybody who wants it.
    Wanted,
}

impl Forwards {
    /// About the bytes that it takes, never none.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    /// The messages; for tests, not part of the interface.
    #[doc(hidden)]
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().map(|forwarded| &forwarded.message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.interests.is_empty()
            && self.messages.is_empty()
            && self.released.is_empty()
            && self.census.is_none()
    }

    pub(crate) fn push_message(&mut self, forwarded: ForwardedMessage) {
        self.bytes += MESSAGE_BYTES + forwarded.message.len();
        self.messages.push(forwarded);
    }

    pub(crate) fn push_interest(&mut self, interest: Interest) {
        let filter = match &interest {
            Interest::Group { filter, .. }
            | Interest::Unwanted(filter)
            | Interest::Wanted(filter) => filter,
        };
        self.bytes += MESSAGE_BYTES + filter.len();
        self.interests.push(interest);
    }
}

/// What one message or filter takes besides its own bytes.
const MESSAGE_BYTES: usize = 64;
