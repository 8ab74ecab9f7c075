//! Reading the log on behalf of readers inside the broker.
//!
//! Each call reads one committed state and never waits for the writer. It is bounded in what it
//! gives and in what it looks at, so that a reader for whom little is meant does not hold the
//! file for long.

use weir_core::{Destination, LogRecord, Message, ReaderId, Sequence, ShardId};

use crate::store::error::{MalformedRecord, StoreError};
use crate::store::held::HeldMessages;
use crate::store::overlay::PendingMessage;
use crate::store::position::LogStats;
use crate::store::{Store, record, schema};

/// How many messages one call looks at.
const SCAN_RECORDS_MAX: usize = 4096;

impl Store {
    /// Appends to `out` the committed messages after `after` that `reader` is a target of, the
    /// oldest first, until their records come to `bytes_max` bytes; those that are held in memory
    /// alone count by themselves. One message is given however large it is. Answers the last position that was looked at: read on from there, and when
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
        // Before the others: whatever stands in front of them in the log is committed then.
        let held = self.held().after(shard, after, reader, bytes_max);
        let given = out.len();
        let (scanned, is_whole) = self.scan_log(shard, after, reader, bytes_max, out)?;
        Ok(merge(held, scanned, is_whole, given, out))
    }

    /// The same for what is written; answers as well whether nothing is left.
    fn scan_log(
        &self,
        shard: ShardId,
        after: Sequence,
        reader: ReaderId,
        bytes_max: usize,
        out: &mut Vec<LogRecord>,
    ) -> Result<(Sequence, bool), StoreError> {
        self.reading(|| {
            let mut scan = Scan { reader, bytes_max, bytes: 0, looked_at: 0, scanned: after, out };
            loop {
                let (checkpoints, transaction) = {
                    let overlay = self.overlay();
                    (overlay.checkpoints(), self.read()?)
                };
                let table =
                    transaction.open_table(schema::LOG).map_err(|error| self.engine(error))?;
                let first = schema::log_key(shard, scan.scanned.next());
                let last = schema::log_key(shard, Sequence(u64::MAX));
                let rows =
                    table.range::<&[u8]>(&first[..]..=&last).map_err(|error| self.engine(error))?;
                for row in rows {
                    let (key, value) = row.map_err(|error| self.engine(error))?;
                    let goes_on = schema::fixed(key.value())
                        .map(schema::log_key_parts)
                        .and_then(|(_, sequence)| scan.stored(sequence, value.value()))
                        .map_err(|error| error.at("log", key.value()))?;
                    if !goes_on {
                        return Ok((scan.scanned, false));
                    }
                }
                let overlay = self.overlay();
                // After a checkpoint since then, what comes next is in the database.
                if overlay.checkpoints() == checkpoints {
                    for pending in overlay.messages_after(shard, scan.scanned) {
                        if !scan.pending(&pending) {
                            return Ok((scan.scanned, false));
                        }
                    }
                    return Ok((scan.scanned, true));
                }
            }
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
        self.reading(|| {
            let (transaction, pending) = {
                let overlay = self.overlay();
                let message = |sequence: &Sequence| overlay.message(shard, *sequence).cloned();
                (self.read()?, sequences.iter().map(message).collect::<Vec<_>>())
            };
            let table = transaction.open_table(schema::LOG).map_err(|error| self.engine(error))?;
            let mut messages = Vec::with_capacity(sequences.len());
            for (sequence, pending) in sequences.iter().zip(pending) {
                if let Some(message) = pending {
                    messages.push((*sequence, message));
                    continue;
                }
                let key = schema::log_key(shard, *sequence);
                let Some(value) = table.get(&key[..]).map_err(|error| self.engine(error))? else {
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
        self.overlay().log_stats(shard)
    }
}

/// Puts messages that are held among those of the log that were given, which are `out` from
/// `given` on, up to where both looks have come. Answers that.
fn merge(
    held: HeldMessages,
    scanned: Sequence,
    is_whole: bool,
    given: usize,
    out: &mut Vec<LogRecord>,
) -> Sequence {
    let last_held = held.records.last().map_or(scanned, |record| record.sequence);
    let end_of_log = if is_whole { scanned.max(last_held) } else { scanned };
    let end = held.cut_at.map_or(end_of_log, |cut_at| end_of_log.min(cut_at));
    out.extend(held.records);
    out[given..].sort_by_key(|record| record.sequence);
    while out.len() > given && out.last().is_some_and(|record| record.sequence > end) {
        out.pop();
    }
    end
}

/// A look through the log for the messages of a reader.
struct Scan<'a> {
    reader: ReaderId,
    bytes_max: usize,
    bytes: usize,
    looked_at: usize,
    scanned: Sequence,
    out: &'a mut Vec<LogRecord>,
}

impl Scan<'_> {
    /// Looks at a row of the database; false when the scan ends before it.
    fn stored(&mut self, sequence: Sequence, value: &[u8]) -> Result<bool, MalformedRecord> {
        let is_wanted = record::logged_for_reader(value, self.reader)?;
        if !self.takes(is_wanted, value.len()) {
            return Ok(false);
        }
        if is_wanted {
            let (targets, message) = record::decode_logged(value)?;
            self.out.push(LogRecord { sequence, message, targets });
        }
        self.scanned = sequence;
        Ok(true)
    }

    /// Looks at a message that is in the journal only; false when the scan ends before it.
    fn pending(&mut self, pending: &PendingMessage<'_>) -> bool {
        let reader = Destination::Reader(self.reader);
        let is_wanted = pending.targets.iter().any(|target| target.destination == reader);
        if !self.takes(is_wanted, pending.message.len()) {
            return false;
        }
        if is_wanted {
            self.out.push(LogRecord {
                sequence: pending.sequence,
                message: pending.message.clone(),
                targets: pending.targets.to_vec(),
            });
        }
        self.scanned = pending.sequence;
        true
    }

    fn takes(&mut self, is_wanted: bool, bytes: usize) -> bool {
        let is_full = is_wanted && self.bytes > 0 && self.bytes + bytes > self.bytes_max;
        if is_full || self.looked_at == SCAN_RECORDS_MAX {
            return false;
        }
        self.looked_at += 1;
        if is_wanted {
            self.bytes += bytes;
        }
        true
    }
}
