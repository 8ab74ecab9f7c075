//! Which shard has which client.
//!
//! A client belongs to the shard that its identifier hashes to, so that a takeover is between two
//! connections of one shard. A session that the store has in another shard, from a time with fewer
//! shards, stays there.

use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::identity::ShardId;
use crate::share_mark::hash;

/// The shards of a broker and the clients of each.
#[derive(Clone)]
pub struct Placement {
    shards: u8,
    /// Kept sessions that are not where their identifiers hash to.
    elsewhere: Arc<HashMap<Box<str>, ShardId, FixedState>>,
}

impl Placement {
    /// All clients in one shard.
    #[must_use]
    pub fn one() -> Self {
        Self::new(1, [])
    }

    /// Clients in `shards` shards, 1 to [`ShardId::COUNT_MAX`]. `kept` are the client identifiers
    /// of kept sessions, each with the shard whose store has it.
    ///
    /// # Panics
    /// When there is no shard, or too many, or one of `kept` is in none of them.
    #[must_use]
    pub fn new<'a>(shards: u8, kept: impl IntoIterator<Item = (&'a str, ShardId)>) -> Self {
        assert!((1..=ShardId::COUNT_MAX).contains(&shards), "1 to {} shards", ShardId::COUNT_MAX);
        let is_elsewhere = |(client_id, shard): &(&str, ShardId)| {
            assert!(shard.0 < shards, "every kept session is in a shard that there is");
            home_by_hash(client_id, shards) != *shard
        };
        let elsewhere = kept.into_iter().filter(is_elsewhere);
        let elsewhere = elsewhere.map(|(client_id, shard)| (client_id.into(), shard)).collect();
        Self { shards, elsewhere: Arc::new(elsewhere) }
    }

    /// The shard of a client.
    #[must_use]
    pub fn home(&self, client_id: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        let elsewhere = self.elsewhere.get(client_id).copied();
        elsewhere.unwrap_or_else(|| home_by_hash(client_id, self.shards))
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u8 {
        self.shards
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("shards", &self.shards)
            .field("elsewhere", &self.elsewhere.len())
            .finish()
    }
}

fn home_by_hash(client_id: &str, shards: u8) -> ShardId {
    let hash = hash(client_id);
    ShardId(((hash ^ (hash >> 32)) % u64::from(shards)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_over_the_shards() {
        let placement = Placement::new(4, []);
        let mut counts = [0; 4];
        for number in 0..4_000 {
            counts[usize::from(placement.home(&format!("device-{number}")).0)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_kept_session_stays_where_the_store_has_it() {
        let kept: Vec<String> = (0..100).map(|number| format!("kept-{number}")).collect();
        let in_first = kept.iter().map(|client_id| (client_id.as_str(), ShardId(0)));
        let placement = Placement::new(3, in_first);
        assert!(kept.iter().all(|client_id| placement.home(client_id) == ShardId(0)));
    }
}
