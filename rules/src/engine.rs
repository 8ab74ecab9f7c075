//! The running rules.

use std::sync::Arc;

use crate::message::{Emission, Event, Timestamp};
use crate::plan::Plan;
use crate::state::StateError;

/// The rules of a plan and their state.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
}

impl Engine {
    /// An engine without state.
    pub fn new(plan: Plan) -> Self {
        Self { plan }
    }

    /// An engine that goes on where another one stopped.
    ///
    /// `snapshot` are all blobs of the newest snapshot, `deltas` all blobs taken since, in order.
    ///
    /// # Errors
    /// A blob is damaged or of an unknown version.
    pub fn restore<S: AsRef<[u8]>, D: AsRef<[u8]>>(
        plan: Plan,
        _snapshot: impl Iterator<Item = S>,
        _deltas: impl Iterator<Item = D>,
    ) -> Result<Self, StateError> {
        Ok(Self::new(plan))
    }

    /// Computes one message. `now` is the time of the turn, not before `event.arrived`.
    pub fn handle(&mut self, _now: Timestamp, _event: &Event<'_>, _out: &mut Vec<Emission>) {}

    /// Fires the timers that are due.
    pub fn advance(&mut self, _now: Timestamp, _out: &mut Vec<Emission>) {}

    /// When `advance` has work to do next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Appends what changed since the last call; `false` if nothing did.
    pub fn take_delta(&mut self, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Gives the whole state as blobs of at most `shard_bytes_max` bytes, or of one key.
    pub fn snapshot(&mut self, _shard_bytes_max: usize, _shard: &mut dyn FnMut(&[u8])) {}

    /// Counters and sizes of each rule.
    pub fn status(&self) -> Vec<RuleStatus> {
        let _ = &self.plan;
        Vec::new()
    }
}

/// Counters and sizes of one rule. Counters start at zero with the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// Name of the rule.
    pub name: Arc<str>,
    /// Messages that matched `from`.
    pub matched: u64,
    /// Messages that `where` did not let pass, and empty payloads.
    pub filtered: u64,
    /// Messages older than the watermark.
    pub late: u64,
    /// Messages that went into no result: too late, or refused by a limit.
    pub dropped: u64,
    /// Errors by code.
    pub errors: Vec<(&'static str, u64)>,
    /// Messages sent, without dead letters.
    pub emitted: u64,
    /// Keys kept now.
    pub keys: usize,
    /// Estimate of the memory of the state.
    pub state_bytes: usize,
}
