//! Removing messages behind one that somebody still waits for.
//!
//! The core names positions that no session waits for. What is for a reader that is not done with
//! it stays: the record says which readers it is for, and their cursors how far they are. Once a
//! reader is further, the core names the position again.

use std::collections::BTreeSet;
use std::ops::Range;

use redb::{ReadableTable as _, WriteTransaction};
use weir_core::{ReaderId, Sequence, ShardId};

use crate::store::group::merge;
use crate::store::position::LogPosition;
use crate::store::{record, schema};

/// A group looks at no more than this many messages, so that no commit becomes long by it.
const LOOKED_AT_MAX: usize = 32 * 1024;
/// And at no more than this many ranges.
const RANGES_MAX: usize = 8 * 1024;
/// Ranges that wait for the next groups; more are forgotten until the core names them again, which
/// it does after a restart.
const WAITING_MAX: usize = 64 * 1024;

/// Rows that went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removed {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Removed {
    /// For `retain`: counts a row and lets it go.
    pub(crate) fn count(&mut self, bytes: usize) -> bool {
        self.rows += 1;
        self.bytes += bytes as u64;
        false
    }
}

/// Notes positions that no session waits for. What is not below `position.next` is not in the file.
pub(crate) fn note(position: &mut LogPosition, ranges: &[Range<Sequence>]) {
    let (first, next) = (position.first, position.next);
    let in_file = ranges.iter().map(|range| range.start.max(first)..range.end.min(next));
    position.released.extend(in_file.filter(|range| range.start < range.end));
    merge(&mut position.released);
}

/// Removes what was noted; answers which rows that were. `known` are the readers that count.
pub(crate) fn remove(
    transaction: &WriteTransaction,
    shard: ShardId,
    position: &mut LogPosition,
    known: &BTreeSet<ReaderId>,
) -> Result<Removed, redb::Error> {
    let mut waiting = std::mem::take(&mut position.released).into_iter();
    let readers = cursors(transaction, shard, known)?;
    let mut table = transaction.open_table(schema::LOG)?;
    let (mut looked_at, mut removed) = (0, Removed::default());
    for range in waiting.by_ref().take(RANGES_MAX) {
        let from = schema::log_key(shard, range.start.max(position.first));
        let to = schema::log_key(shard, range.end);
        if from >= to {
            continue;
        }
        // A long range may hold little or much.
        let is_long = range.end.0 - range.start.0 > (LOOKED_AT_MAX - looked_at) as u64;
        let stop = if is_long {
            let rest = table.range::<&[u8]>(&from[..]..&to)?.nth(LOOKED_AT_MAX - looked_at);
            rest.transpose()?.map(|(key, _)| schema::fixed(key.value()).copied()).transpose()?
        } else {
            None
        };
        let end = stop.unwrap_or(to);
        table.retain_in::<&[u8], _>(&from[..]..&end, |key, value| {
            looked_at += 1;
            let Ok(key_bytes) = schema::fixed(key) else { return true };
            let (_, sequence) = schema::log_key_parts(key_bytes);
            let is_awaited = |reader| {
                known.contains(&reader)
                    && readers.iter().all(|(done_by, done)| *done_by != reader || *done < sequence)
            };
            // A bad record is told of when it is read.
            let stays = record::is_for_reader(value, is_awaited).unwrap_or(true);
            stays || removed.count(key.len() + value.len())
        })?;
        if let Some(stop) = stop {
            let (_, stop) = schema::log_key_parts(&stop);
            position.released.push(stop..range.end);
            break;
        }
    }
    let room = WAITING_MAX - position.released.len();
    position.released.extend(waiting.take(room));
    Ok(removed)
}

/// How far the readers of a shard are.
fn cursors(
    transaction: &WriteTransaction,
    shard: ShardId,
    known: &BTreeSet<ReaderId>,
) -> Result<Vec<(ReaderId, Sequence)>, redb::Error> {
    let table = transaction.open_table(schema::READER_CURSOR)?;
    let mut cursors = Vec::new();
    for reader in known {
        if let Some(done) = table.get(&schema::reader_key(shard, *reader)[..])? {
            cursors.push((*reader, Sequence(schema::number(done.value())?)));
        }
    }
    Ok(cursors)
}
