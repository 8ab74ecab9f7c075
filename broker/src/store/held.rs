//! The messages that wait for readers in memory alone.
//!
//! They have positions in the log and are shown to readers as part of it, in order, but nothing of
//! them is written. A message gets here with the group that it belongs to, so that whoever sees it
//! also sees everything before it. The core bounds them and says when nobody waits any more.

use std::collections::BTreeMap;
use std::ops::Bound;

use weir_core::{
    Batch, Change, Destination, LogRecord, Message, ReaderId, Sequence, ShardId, Target,
};

/// The messages by shard and position.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<(ShardId, Sequence), (Message, Vec<Target>)>);

/// What one look gives.
#[derive(Debug, Default)]
pub(crate) struct HeldMessages {
    pub(crate) records: Vec<LogRecord>,
    /// The look ended here, and there may be more behind it.
    pub(crate) cut_at: Option<Sequence>,
}

impl Held {
    /// The group is committed.
    pub(crate) fn committed(&mut self, batches: &[Batch]) {
        for batch in batches {
            for change in &batch.changes {
                match change {
                    Change::HeldReleased { sequences } => {
                        for sequence in sequences {
                            self.0.remove(&(batch.shard, *sequence));
                        }
                    }
                    Change::MessageHeld { sequence, message, targets } => {
                        let held = (message.clone(), targets.to_vec());
                        self.0.insert((batch.shard, *sequence), held);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The messages of a shard after a position that a reader is a target of, up to `bytes_max`
    /// bytes, but one at least.
    pub(crate) fn after(
        &self,
        shard: ShardId,
        after: Sequence,
        reader: ReaderId,
        bytes_max: usize,
    ) -> HeldMessages {
        let mut found = HeldMessages::default();
        let mut bytes = 0;
        let (first, last) = ((shard, after), (shard, Sequence(u64::MAX)));
        for ((_, sequence), (message, targets)) in
            self.0.range((Bound::Excluded(first), Bound::Included(last)))
        {
            let reader = Destination::Reader(reader);
            if !targets.iter().any(|target| target.destination == reader) {
                continue;
            }
            bytes += message.len();
            if bytes > bytes_max && !found.records.is_empty() {
                found.cut_at = found.records.last().map(|record| record.sequence);
                break;
            }
            found.records.push(LogRecord {
                sequence: *sequence,
                message: message.clone(),
                targets: targets.clone(),
            });
        }
        found
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
