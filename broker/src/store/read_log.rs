//! Reading the log on behalf of readers inside the broker.
//!
//! Each call reads one committed state and never waits for the writer. It is bounded in what it
//! gives and in what it looks at, so that a reader for whom little is meant does not hold the
//! file for long.

use weir_core::{LogRecord, Message, ReaderId, Sequence, ShardId};

use crate::store::error::{MalformedRecord, StoreError};
use crate::store::position::LogStats;
use crate::store::{Store, record, schema};

/// How many messages one call looks at.
const SCAN_RECORDS_MAX: usize = 4096;

impl Store {
    /// Appends to `out` the committed messages after `after` that `reader` is a target of, the
    /// oldest first, until their records come to `bytes_max` bytes. One message is given however
    /// large it is. Answers the last position that was looked at: read on from there, and when
    /// it is `after` itself there is nothing more for now.
    ///
    /// # Errors
    /// When the file cannot be read or holds a bad record.
    pub fn read_log(
        &self,
        shard: ShardId,
        after: Sequence,
        reader: ReaderId,
        bytes_max: usize,
        out: &mut Vec<LogRecord>,
    ) -> Result<Sequence, StoreError> {
        self.guarded(|| {
            let table = self.read()?.open_table(schema::LOG).map_err(|error| self.engine(error))?;
            let first = schema::log_key(shard, after.next());
            let last = schema::log_key(shard, Sequence(u64::MAX));
            let mut scanned = after;
            let mut bytes = 0;
            let rows = table
                .range::<&schema::LogKey>(&first..=&last)
                .map_err(|error| self.engine(error))?;
            for row in rows.take(SCAN_RECORDS_MAX) {
                let (key, value) = row.map_err(|error| self.engine(error))?;
                let malformed = |error: MalformedRecord| error.at("log", key.value());
                let (_, sequence) = schema::log_key_parts(key.value());
                let value = value.value();
                if record::logged_for_reader(value, reader).map_err(malformed)? {
                    if bytes > 0 && bytes + value.len() > bytes_max {
                        break;
                    }
                    let (targets, message) = record::decode_logged(value).map_err(malformed)?;
                    out.push(LogRecord { sequence, message, targets });
                    bytes += value.len();
                }
                scanned = sequence;
            }
            Ok(scanned)
        })
    }

    /// The committed messages at these positions; those that are not there are left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_messages(
        &self,
        shard: ShardId,
        sequences: &[Sequence],
    ) -> Result<Vec<(Sequence, Message)>, StoreError> {
        self.guarded(|| {
            let table = self.read()?.open_table(schema::LOG).map_err(|error| self.engine(error))?;
            let mut messages = Vec::with_capacity(sequences.len());
            for sequence in sequences {
                let key = schema::log_key(shard, *sequence);
                let Some(value) = table.get(&key).map_err(|error| self.engine(error))? else {
                    continue;
                };
                match record::decode_logged(value.value()) {
                    Ok((_, message)) => messages.push((*sequence, message)),
                    Err(error) => {
                        let error = error.at("log", &key);
                        tracing::error!(%error, "a queued message cannot be read and is lost");
                    }
                }
            }
            Ok(messages)
        })
    }

    /// The ends of the log of a shard.
    pub fn log_stats(&self, shard: ShardId) -> LogStats {
        self.positions()
            .shards
            .get(&shard)
            .map(|position| LogStats { first: position.first, next: position.next })
            .unwrap_or_default()
    }
}
