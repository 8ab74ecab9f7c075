//! What is kept per key over all messages: means that forget slowly, and since when a condition is
//! true.
//!
//! Like `prev` it is told as it was before the message, and changed after it, whatever came of the
//! message. So a value is held against what was before it, not against itself.

use super::life::Turn;
use super::work::Message;
use crate::aggregate::Decayed;
use crate::code;
use crate::expression::{Fault, Fold, FoldKind};
use crate::rule::Rule;
use crate::running::Running;
use crate::value::Value;

impl Running {
    /// Sets the locals of all folds.
    pub(super) fn load_folds(&self, rule: &Rule, message: &mut Message<'_>, id: u32) {
        let more = self.keys.get(id).and_then(|key| key.more.as_ref());
        let mut cells = more.map_or(&[][..], |more| &more.folds);
        for fold in &rule.folds {
            let (own, rest) = cells.split_at_checked(fold.kind.cells()).unwrap_or_default();
            cells = rest;
            let values = match fold.kind {
                FoldKind::Decayed(_) => Decayed::load(own).map_or([Value::Null; 2], |known| {
                    [Value::finite(known.mean()), Value::finite(known.deviation())]
                }),
                FoldKind::Since => {
                    let start = own.first().filter(|cell| **cell != NEVER);
                    [
                        start.map_or(Value::Null, |cell| Value::Number(*cell as i64 as f64)),
                        Value::Null,
                    ]
                }
            };
            for (slot, value) in fold.slots.into_iter().zip(values) {
                message.scratch.locals[usize::from(slot)] = value;
            }
        }
    }

    /// Adds the message to all folds.
    pub(super) fn store_folds(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        id: u32,
        time: i64,
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        if rule.folds.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        message.scratch.columns.clear();
        for fold in &rule.folds {
            let value = message.fold_value(fold).unwrap_or_else(|fault| {
                if outcome.is_ok() {
                    outcome = Err(fault);
                }
                Value::Null
            });
            message.scratch.columns.push(value);
        }
        let Some(key) = self.keys.get(id) else { return outcome };
        if key.more.as_ref().is_none_or(|more| more.folds.is_empty()) {
            self.check_memory(rule, rule.fold_cells() * size_of::<u64>())?;
        }
        let Some(key) = self.keys.get_mut(id) else { return outcome };
        let before = key.more_bytes();
        let mut cells = key.more.get_or_insert_default().folds.as_mut_slice();
        let mut started = Vec::new();
        if cells.is_empty() {
            rule.folds.iter().for_each(|fold| start(fold.kind, &mut started));
            cells = started.as_mut_slice();
        }
        let arrived = message.event.arrived.0;
        for (fold, value) in rule.folds.iter().zip(&message.scratch.columns) {
            let (own, rest) = cells.split_at_mut_checked(fold.kind.cells()).unwrap_or_default();
            cells = rest;
            change(fold.kind, own, *value, (time, arrived));
        }
        if !started.is_empty() {
            key.more.get_or_insert_default().folds = started;
        }
        key.arrived = arrived;
        self.state_bytes = self.state_bytes + key.more_bytes() - before;
        self.mark_changed(id, i64::MAX);
        self.set_timer(turn, id);
        outcome
    }
}

impl Message<'_> {
    /// What the message adds to a fold.
    fn fold_value(&mut self, fold: &Fold) -> Result<Value, Fault> {
        let value = self.evaluate(&fold.program)?;
        match (fold.kind, value) {
            (_, Value::Null)
            | (FoldKind::Decayed(_), Value::Number(_))
            | (FoldKind::Since, Value::Bool(_)) => Ok(value),
            _ => {
                let place = fold.program.source.get(fold.program.whole()).unwrap_or_default();
                let name = if fold.kind == FoldKind::Since { "since" } else { "ewma" };
                let message = format!("{name}() cannot take {} in `{place}`", value.kind());
                Err(Fault { code: code::TYPE_FAULT, message })
            }
        }
    }
}

/// Appends the cells of a fold without messages.
fn start(kind: FoldKind, cells: &mut Vec<u64>) {
    let empty = if kind == FoldKind::Since { NEVER } else { 0 };
    cells.extend(std::iter::repeat_n(empty, kind.cells()));
}

/// Adds a value to the cells of a fold. Means weigh by the time of a message, in any order; how long
/// a condition holds is a matter of the clock.
fn change(kind: FoldKind, cells: &mut [u64], value: Value, (time, arrived): (i64, i64)) {
    match (kind, value) {
        (FoldKind::Decayed(half_life), Value::Number(x)) => {
            let new = Decayed::of(time, x);
            Decayed::load(cells).map_or(new, |known| known.merge(new, half_life)).store(cells);
        }
        (FoldKind::Since, value) => {
            let Some(cell) = cells.first_mut() else { return };
            match value {
                Value::Bool(true) if *cell == NEVER => *cell = arrived as u64,
                Value::Bool(true) => {}
                _ => *cell = NEVER,
            }
        }
        _ => {}
    }
}

/// A condition that is not true.
const NEVER: u64 = i64::MIN as u64;
