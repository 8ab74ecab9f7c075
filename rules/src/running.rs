//! One rule while it runs: its keys and what has changed since the last delta.
//!
//! `state_bytes` is kept up with every change and is the same before and after a restart: limits
//! are decided by it, and decisions must not depend on whether the power failed.

use std::collections::BTreeSet;

use crate::code;
use crate::expression::Fault;
use crate::key::{KeyState, Keys};
use crate::metrics::Metrics;
use crate::rule::Rule;
use crate::sources::Sources;
use crate::table::{Table, TableId};
use crate::trace::Tracer;

/// The state of one rule.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) keys: Keys,
    /// By the number of [`TableId`].
    pub(crate) tables: [Table; TableId::ALL.len()],
    /// When rows are next to leave; follows from the tables.
    pub(crate) row_timer: Option<i64>,
    /// Follows from the keys.
    pub(crate) sources: Sources,
    /// Start and end of the calendar window that was looked at last: most messages are in it, and to
    /// compute it takes longer than all else. Not part of the state.
    pub(crate) calendar_window: (i64, i64),
    /// Counts messages that are sent one by one, to tell them apart.
    pub(crate) sequence: u64,
    pub(crate) state_bytes: usize,
    pub(crate) metrics: Metrics,
    /// Keys that the next delta must hold; may name keys that are gone.
    pub(crate) changed_keys: Vec<u32>,
    /// Keys that were removed since the last delta.
    pub(crate) removed_keys: BTreeSet<u32>,
    /// Whether the next delta must name this rule.
    pub(crate) changed: bool,
    /// Whether the rule takes no messages for now; it has no timers then.
    pub(crate) paused: bool,
    /// Whether the next delta must say so.
    pub(crate) pause_changed: bool,
    /// Writes down what becomes of messages, while somebody wants to know. Not part of the state.
    pub(crate) tracer: Option<Box<Tracer>>,
}

impl Running {
    /// Notes that the next delta must hold a key, and its panes from `pane` on.
    pub(crate) fn mark_changed(&mut self, id: u32, pane: i64) {
        self.changed = true;
        let Some(key) = self.keys.get_mut(id) else { return };
        key.changed_from = key.changed_from.min(pane);
        if !key.changed {
            key.changed = true;
            self.changed_keys.push(id);
        }
    }

    pub(crate) fn table(&self, id: TableId) -> &Table {
        &self.tables[id as usize]
    }

    /// Changes a table, and counts its memory.
    pub(crate) fn change_table(&mut self, id: TableId, change: impl FnOnce(&mut Table)) {
        let table = &mut self.tables[id as usize];
        let before = table.bytes();
        change(table);
        self.state_bytes = self.state_bytes + table.bytes() - before;
        self.changed = true;
    }

    /// The next number of a group, or of a message that is sent by itself. The numbers of a rule
    /// begin at the time of the message that it needs the first one for, in milliseconds: if it was
    /// taken away before and has come back, none is given twice.
    pub(crate) fn next_sequence(&mut self, clock: i64) -> u64 {
        self.changed = true;
        if self.sequence == 0 {
            self.sequence = (clock as u64) << NUMBERS_PER_MS_BITS;
        }
        self.sequence += 1;
        self.sequence
    }

    /// Whether `needed` more bytes are allowed.
    pub(crate) fn check_memory(&self, rule: &Rule, needed: usize) -> Result<(), Fault> {
        if self.state_bytes + needed <= rule.memory_max {
            return Ok(());
        }
        let (count, groups, max) = (self.keys.len(), rule.groups(), rule.memory_max);
        let message = format!(
            "rule `{}` uses {} of {max} bytes, limits.memory, for {count} {groups}",
            rule.name, self.state_bytes
        );
        Err(Fault { code: code::MEMORY_FAULT, message })
    }
}

/// A rule that needs more than a million numbers a millisecond is not known.
const NUMBERS_PER_MS_BITS: u32 = 20;

/// Estimate of the memory of a key with everything it holds.
pub(crate) fn key_bytes(rule: &Rule, key: &KeyState) -> usize {
    let panes = 0..key.panes.len(&rule.layout);
    KeyState::base_bytes(key.bytes.len())
        + key.more_bytes()
        + key.alert_bytes()
        + panes.map(|at| key.panes.pane_bytes(&rule.layout, at)).sum::<usize>()
}
