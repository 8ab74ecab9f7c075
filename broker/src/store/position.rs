//! Where the log of each shard begins and ends.
//!
//! Read once when the store is opened and kept up to date by the writer, so that trimming and
//! figures need no look into the file.

use std::collections::BTreeMap;
use std::ops::Range;

use weir_core::{Sequence, ShardId};

use crate::store::meta;
use crate::store::schema::{
    self, CURSOR, INFLIGHT_OUT, LOG, META_ROW_BYTES, POSITION, READER_CURSOR, RECEIVED_QOS2,
    RETAINED, RULE_DELTA, RULE_SNAPSHOT, Rows, SESSION, SUBSCRIPTION, log_key, log_key_parts,
    rule_delta_counter,
};

/// What the writer knows about the file without reading it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    /// One entry per shard that ever logged a message.
    pub(crate) shards: BTreeMap<ShardId, LogPosition>,
    /// The number of the next delta of the rules.
    pub(crate) next_rule_delta: u64,
    /// What the rows of all tables but `meta` and `reader` take, keys and values.
    pub(crate) row_bytes: u64,
    /// Room is short: see [`Store::set_tight_at`](crate::store::Store::set_tight_at).
    pub(crate) is_tight: bool,
}

/// Where the log of one shard begins and ends.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LogPosition {
    /// No message below this position is in the file.
    pub(crate) first: Sequence,
    /// No message at or above this position is in the file.
    pub(crate) next: Sequence,
    /// No position below this one is given after a restart.
    pub(crate) reserved: Sequence,
    /// What was appended since the log was last trimmed, bytes.
    pub(crate) untrimmed_bytes: u64,
    /// Positions behind `first` that no session waits for and that were not looked at yet, in
    /// order and apart from each other. Not kept over a restart, after which they are named again.
    pub(crate) released: Vec<Range<Sequence>>,
}

/// The ends of the log of one shard, as far as it was written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogStats {
    /// The first position that may still be in the file.
    pub first: Sequence,
    /// The position after the last one that was written.
    pub next: Sequence,
}

impl Positions {
    /// Reads them from the file: two look-ups for each shard.
    pub(crate) fn load(transaction: &redb::WriteTransaction) -> Result<Self, redb::Error> {
        use redb::ReadableTable as _;
        let mut shards = BTreeMap::new();
        for row in transaction.open_table(POSITION)?.iter()? {
            let (shard, next) = row?;
            let [shard] = *schema::fixed(shard.value())?;
            let next = Sequence(schema::number(next.value())?);
            let position =
                LogPosition { first: next, next, reserved: next, ..LogPosition::default() };
            shards.insert(ShardId(shard), position);
        }
        let log = transaction.open_table(LOG)?;
        let mut from = log_key(ShardId(0), Sequence(0));
        while let Some(row) = log.range::<&[u8]>(&from[..]..)?.next() {
            let (shard, first) = log_key_parts(schema::fixed(row?.0.value())?);
            let end = log_key(shard, Sequence(u64::MAX));
            let position: &mut LogPosition = shards.entry(shard).or_default();
            position.first = first;
            if let Some(row) = log.range::<&[u8]>(&from[..]..=&end)?.next_back() {
                let (_, last) = log_key_parts(schema::fixed(row?.0.value())?);
                position.next = position.next.max(Sequence(last.0.saturating_add(1)));
            }
            let Some(after) = shard.0.checked_add(1) else { break };
            from = log_key(ShardId(after), Sequence(0));
        }
        let deltas = transaction.open_table(RULE_DELTA)?;
        let last_delta = deltas.last()?;
        let last_delta =
            last_delta.map(|(key, _)| schema::fixed(key.value()).map(rule_delta_counter));
        let last_delta = last_delta.transpose()?;
        let next_rule_delta = last_delta.map_or(0, |key| key.saturating_add(1));
        // A transaction opens a table once at a time.
        drop((log, deltas));
        let row_bytes = match meta::number(transaction, META_ROW_BYTES)? {
            Some(bytes) => bytes,
            None => count_row_bytes(transaction)?,
        };
        Ok(Self { shards, next_rule_delta, row_bytes, is_tight: false })
    }
}

/// Looks at every row: for a file of a version that did not count them.
fn count_row_bytes(transaction: &redb::WriteTransaction) -> Result<u64, redb::Error> {
    use redb::ReadableTable as _;
    let mut bytes = 0;
    for table in COUNTED {
        for row in transaction.open_table(table)?.iter()? {
            let (key, value) = row?;
            bytes += key.value().len() + value.value().len();
        }
    }
    Ok(bytes as u64)
}

/// The tables whose rows count.
const COUNTED: [Rows; 11] = [
    CURSOR,
    INFLIGHT_OUT,
    LOG,
    POSITION,
    READER_CURSOR,
    RECEIVED_QOS2,
    RETAINED,
    RULE_DELTA,
    RULE_SNAPSHOT,
    SESSION,
    SUBSCRIPTION,
];
