//! The thread of the rules.

use weir_broker::store::{Store, StoreError};
use weir_broker::{InnerTurn, Pipeline};
use weir_core::{ReaderId, Records, ShardId};
use weir_rules::{Engine, Plan};

use super::surroundings::Surroundings;
use super::upstream;

/// The rules of a process.
pub(crate) struct Rules {
    pipeline: Pipeline,
    reader: ReaderId,
    waiting: Vec<Records>,
}

impl Rules {
    /// Restores their state and reads what they had not handled when it was written.
    pub(crate) fn restore(
        store: &Store,
        reader: ReaderId,
        upstream: ReaderId,
        plan: Plan,
    ) -> Result<Self, StoreError> {
        let state = store.rules()?;
        let engine = Engine::restore(plan, state.snapshot.iter(), state.deltas.iter())
            .expect("what the engine wrote can be read");
        let mut after = store.reader_cursor(SHARD, reader)?;
        let mut records = Records::default();
        loop {
            let mut found = Vec::new();
            let scanned = store.read_log(SHARD, after, reader, CATCH_UP_BYTES, &mut found)?;
            for record in &found {
                records.push(Some(record.sequence), &record.message.parts());
            }
            if scanned == after {
                break;
            }
            after = scanned;
        }
        let pipeline = Pipeline::new(engine, reader, vec![(upstream::NAME.into(), upstream)]);
        Ok(Self { pipeline, reader, waiting: vec![records] })
    }

    /// The number under which they read the log.
    pub(crate) fn reader(&self) -> ReaderId {
        self.reader
    }

    /// Messages for their next turn.
    pub(crate) fn give(&mut self, records: Records) {
        self.waiting.push(records);
    }

    /// One turn: what comes of it, and when the next one is due at the latest.
    pub(crate) fn run(&mut self, around: &Surroundings) -> (Option<InnerTurn>, Option<u64>) {
        let unix_ms = around.unix_ms();
        for records in std::mem::take(&mut self.waiting) {
            self.pipeline.handle(unix_ms, &records);
        }
        self.pipeline.advance(unix_ms);
        let turn = self.pipeline.take_turn();
        let due = self.pipeline.poll_timeout();
        let wait = due.map(|at| at.saturating_sub(unix_ms).clamp(1, SLEEP_MS_MAX));
        (turn, wait.map(|wait| around.now + wait))
    }
}

/// The one shard.
const SHARD: ShardId = ShardId(0);
const CATCH_UP_BYTES: usize = 1 << 20;
/// The calendar may be set meanwhile.
const SLEEP_MS_MAX: u64 = 3_600_000;
