//! The thread of the rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_broker::store::{Store, StoreError};
use weir_broker::{InnerTurn, Pipeline};
use weir_core::{Core, ReaderConfig, ReaderId, Records, ShardId};
use weir_rules::{Engine, Plan};

use super::model::message_of;
use super::surroundings::Surroundings;
use super::upstream;

/// The rules of a process.
pub(crate) struct Rules {
    pipeline: Pipeline,
    reader: ReaderId,
    /// Filters of topics that are joined.
    joined: Vec<String>,
    waiting: Vec<Records>,
    /// What was retained when other rules came.
    retained: Vec<Records>,
    /// What was retained for topics that are joined, and what waited in the log, until the first
    /// turn.
    at_start: Option<(Records, Records)>,
    /// Turns that are not durable.
    unsettled: Arc<AtomicUsize>,
    is_held_up: bool,
}

impl Rules {
    /// Restores their state and reads what they had not handled when it was written.
    pub(crate) fn restore(
        store: &Store,
        reader: ReaderId,
        upstream: ReaderId,
        plan: Plan,
    ) -> Result<Self, StoreError> {
        let joined = plan.joined_filters().map(str::to_owned).collect();
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
        let at_start = Some((Records::default(), records));
        Ok(Self {
            pipeline,
            reader,
            joined,
            waiting: Vec::new(),
            retained: Vec::new(),
            at_start,
            unsettled: Arc::default(),
            is_held_up: false,
        })
    }

    /// What the first shard retains on topics that are joined, before the first turn.
    pub(crate) fn learn_retained(&mut self, core: &Core) {
        if let Some((retained, _)) = &mut self.at_start {
            *retained = core.retained(&self.joined);
        }
    }

    /// The number under which they read the log.
    pub(crate) fn reader(&self) -> ReaderId {
        self.reader
    }

    /// Runs other rules from the next turn on. Answers what they want to read, and the topics of
    /// which they want to know what is retained, if there are any.
    pub(crate) fn exchange(&mut self, plan: Plan) -> (ReaderConfig, Option<Vec<String>>) {
        let wish = self.pipeline.wish(&plan);
        self.joined = plan.joined_filters().map(str::to_owned).collect();
        let has_changed = !self.pipeline.exchange(plan).is_empty();
        let asks = has_changed && !self.joined.is_empty();
        (wish, asks.then(|| self.joined.clone()))
    }

    /// What is retained on the topics that they asked for.
    pub(crate) fn learn(&mut self, retained: Records) {
        self.retained.push(retained);
    }

    /// Messages for their next turn.
    pub(crate) fn give(&mut self, records: Records) {
        self.waiting.push(records);
    }

    /// Whether they waited for the disk, and need not any more.
    pub(crate) fn can_go_on(&self) -> bool {
        self.is_held_up && self.unsettled.load(Ordering::Relaxed) < Pipeline::UNSETTLED_TURNS_MAX
    }

    /// One turn of the thread: what comes of it, in order, and when the next one is due at the
    /// latest.
    pub(crate) fn run(&mut self, around: &mut Surroundings) -> (Vec<InnerTurn>, Option<u64>) {
        self.is_held_up = self.unsettled.load(Ordering::Relaxed) >= Pipeline::UNSETTLED_TURNS_MAX;
        if self.is_held_up {
            return (Vec::new(), None);
        }
        let unix_ms = around.unix_ms();
        if let Some((retained, records)) = self.at_start.take() {
            note_arrivals(around, &records);
            self.pipeline.start(unix_ms, &retained, &records);
        }
        for retained in std::mem::take(&mut self.retained) {
            self.pipeline.learn(unix_ms, &retained);
        }
        for records in std::mem::take(&mut self.waiting) {
            note_arrivals(around, &records);
            self.pipeline.handle(unix_ms, &records);
        }
        self.pipeline.advance(unix_ms);
        around.arrivals.clock_went_to(unix_ms);
        let due = self.pipeline.poll_timeout();
        let wait = due.map(|at| at.saturating_sub(unix_ms).clamp(1, SLEEP_MS_MAX));
        (self.take_turns(), wait.map(|wait| around.now + wait))
    }

    fn take_turns(&mut self) -> Vec<InnerTurn> {
        let mut turns = Vec::new();
        while let Some(mut turn) = self.pipeline.take_turn() {
            self.unsettled.fetch_add(1, Ordering::Relaxed);
            let unsettled = self.unsettled.clone();
            turn.committed = Some(Box::new(move || {
                unsettled.fetch_sub(1, Ordering::Relaxed);
            }));
            turns.push(turn);
        }
        turns
    }
}

fn note_arrivals(around: &mut Surroundings, records: &Records) {
    for (_, parts) in records.iter() {
        around.arrivals.handled(message_of(parts.payload), parts.received_at_ms);
    }
}

/// The one shard.
const SHARD: ShardId = ShardId(0);
const CATCH_UP_BYTES: usize = 1 << 20;
/// The calendar may be set meanwhile.
const SLEEP_MS_MAX: u64 = 3_600_000;
