//! The numbers by which shards, sessions, readers and log positions are named.
//!
//! They are part of the store's format, so their width never changes without a migration.
//! None of them is a packet identifier: those belong to a connection and come from `weir-mqtt`.

/// One core and the thread that owns it. A broker has 1 to [`ShardId::COUNT_MAX`] of them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The most shards that a broker has.
    pub const COUNT_MAX: u8 = 64;
    /// The shard that the others turn to: it has the readers of the log, and records what is
    /// retained.
    pub const FIRST: Self = Self(0);
}

/// A session, for as long as it exists, also over restarts. Numbers are not used again before
/// the counter has gone round.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u32);

/// Something inside the broker that reads the log: the rule engine or one upstream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReaderId(pub u16);

/// A listener, by its place among the limits of a core; not stored.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerId(pub u16);

/// A position in the log of one shard. Positions grow by one for each message that is queued
/// for anybody; zero comes before the first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One network connection, for as long as it is open. The generation keeps a late input for a
/// closed connection from reaching the one that took its slot.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId {
    /// The slot of the shard's table.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}
