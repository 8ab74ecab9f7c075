//! Passes over messages that come again, and sends the last one of those that do.
//!
//! A row of [`TableId::Seen`] stands for messages that are the same: its time is that of the first
//! one. When `limits` are reached, the oldest row makes room: then a message that comes again late
//! may be taken for a new one, but none is lost.

use super::change::{hold, release};
use super::life::Turn;
use super::work::Message;
use crate::code;
use crate::expression::Fault;
use crate::held::{decode, encode};
use crate::key::push_part;
use crate::limits::KEY_BYTES_MAX;
use crate::rule::{Dedupe, Keep, Rule};
use crate::running::Running;
use crate::table::{Table, TableId};
use crate::timer::{ROWS, Timer};
use crate::trace::{Fate, Filtered};
use crate::value::Value;

impl Running {
    /// Whether a message has come before; notes it if not.
    pub(super) fn is_repeat(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
    ) -> Result<bool, Fault> {
        let Some(dedupe) = &turn.rule.dedupe else { return Ok(false) };
        message.seen(dedupe)?;
        if message.scratch.seen.is_empty() || dedupe.keep == Keep::Last {
            return Ok(false);
        }
        let (key, now) = (&message.scratch.seen, message.event.arrived.0);
        let row = self.table(TableId::Seen).get(key);
        if row.is_some_and(|row| is_within(dedupe, row.used, now)) {
            self.pass_by(Filtered::Dedupe);
            return Ok(true);
        }
        self.note(turn, key, (now, &[]))?;
        Ok(false)
    }

    /// Puts the messages that `out` has from `start` on in the place of those that came before;
    /// gives how many are sent at once.
    pub(super) fn keep_last(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Message<'_>,
        start: usize,
    ) -> Result<u64, Fault> {
        let sent = (turn.out.len() - start) as u64;
        let Some(dedupe) = turn.rule.dedupe.as_ref().filter(|dedupe| dedupe.keep == Keep::Last)
        else {
            return Ok(sent);
        };
        let (key, now) = (&message.scratch.seen, message.event.arrived.0);
        if key.is_empty() {
            return Ok(sent);
        }
        let messages: Vec<_> = turn.out.split_off(start).into_iter().map(hold).collect();
        let first = self.table(TableId::Seen).get(key).map(|row| row.used);
        let used = match first {
            Some(used) if is_within(dedupe, used, now) => {
                self.metrics.filtered += 1;
                used
            }
            // The clock was set back so far that this is another message.
            Some(_) => {
                self.release_row(turn, key);
                now
            }
            None => now,
        };
        self.note(turn, key, (used, &encode(&messages)))?;
        if self.is_traced() {
            self.trace_fate(Fate::Held);
        }
        Ok(0)
    }

    /// Removes rows whose time is over, and sends what they hold.
    pub(super) fn fire_rows(&mut self, turn: &mut Turn<'_>, clock: i64) {
        debug_assert_eq!(self.row_timer, Some(clock), "the rows have one timer");
        self.row_timer = None;
        if let Some(dedupe) = &turn.rule.dedupe {
            while let Some((used, key)) = self.table(TableId::Seen).oldest()
                && used.saturating_add(dedupe.within) <= clock
            {
                let key: Vec<u8> = key.to_vec();
                self.release_row(turn, &key);
            }
        }
        self.set_row_timer(turn);
    }

    /// Sets the timer of the rows to when the oldest is to leave.
    pub(super) fn set_row_timer(&mut self, turn: &mut Turn<'_>) {
        let due = rows_due(turn.rule, self);
        if self.row_timer == due {
            return;
        }
        let timer =
            |deadline| Timer { deadline, rank: turn.rule.rank, rule: turn.index, key: ROWS };
        if let Some(before) = self.row_timer {
            turn.timers.remove(timer(before));
        }
        if let Some(due) = due {
            turn.timers.insert(timer(due));
        }
        self.row_timer = due;
    }

    /// Puts a row in the place of the one that was there.
    fn note(
        &mut self,
        turn: &mut Turn<'_>,
        key: &[u8],
        (used, value): (i64, &[u8]),
    ) -> Result<(), Fault> {
        let outcome = self.make_room(turn, key, value.len());
        if outcome.is_ok() {
            self.change_table(TableId::Seen, |table| table.set(key, used, value));
        }
        self.set_row_timer(turn);
        outcome
    }

    /// Lets the oldest rows leave until the limits allow another one.
    fn make_room(
        &mut self,
        turn: &mut Turn<'_>,
        key: &[u8],
        value_len: usize,
    ) -> Result<(), Fault> {
        let needed = Table::row_bytes(key.len(), value_len);
        loop {
            let table = self.table(TableId::Seen);
            let known =
                table.get(key).map_or(0, |row| Table::row_bytes(key.len(), row.value.len()));
            let is_full = known == 0 && table.len() >= turn.rule.keys_max;
            let room = self.check_memory(turn.rule, needed.saturating_sub(known));
            if !is_full && room.is_ok() {
                return Ok(());
            }
            let Some((_, oldest)) = table.oldest() else { return room };
            let oldest = oldest.to_vec();
            if oldest != key {
                self.metrics.count_error(code::SEEN_FAULT);
            }
            self.release_row(turn, &oldest);
        }
    }

    /// Removes a row; what it holds is sent.
    fn release_row(&mut self, turn: &mut Turn<'_>, key: &[u8]) {
        let Some(row) = self.table(TableId::Seen).get(key) else { return };
        let messages = decode(&row.value);
        debug_assert!(messages.is_some(), "rows hold what was put there");
        self.change_table(TableId::Seen, |table| table.remove(key));
        for (destination, message) in turn.rule.to.iter().zip(messages.unwrap_or_default()) {
            turn.out.push(release(turn.rule, destination, message));
            self.metrics.emitted += 1;
        }
    }
}

impl Message<'_> {
    /// Writes what the message is recognised by; nothing if a part of it is missing.
    fn seen(&mut self, dedupe: &Dedupe) -> Result<(), Fault> {
        self.scratch.seen.clear();
        for part in &dedupe.key {
            let value = self.evaluate(part)?;
            if value == Value::Null {
                self.scratch.seen.clear();
                return Ok(());
            }
            if !push_part(value, &self.texts, &mut self.scratch.seen) {
                let (name, kind) = (&part.source, value.kind());
                let message = format!("`dedupe` cannot compare `{name}`, it is {kind}");
                return Err(Fault { code: code::TYPE_FAULT, message });
            }
        }
        let len = self.scratch.seen.len();
        if len > KEY_BYTES_MAX {
            let message =
                format!("`dedupe` key of {len} bytes, at most {KEY_BYTES_MAX} are allowed");
            return Err(Fault { code: code::SIZE_FAULT, message });
        }
        Ok(())
    }
}

/// When rows are next to leave. Those that hold nothing may stay a little longer, so that not each
/// of them wakes the engine.
pub(super) fn rows_due(rule: &Rule, running: &Running) -> Option<i64> {
    let dedupe = rule.dedupe.as_ref()?;
    let (used, _) = running.table(TableId::Seen).oldest()?;
    let due = used.saturating_add(dedupe.within);
    let step = (dedupe.within / 8).clamp(STEP_MS_MIN, STEP_MS_MAX);
    Some(match dedupe.keep {
        Keep::First => due.saturating_add(step - 1).div_euclid(step).saturating_mul(step),
        Keep::Last => due,
    })
}

/// Whether two messages at these times can be the same, also when the clock was set back.
fn is_within(dedupe: &Dedupe, first: i64, now: i64) -> bool {
    now.saturating_sub(first).saturating_abs() < dedupe.within
}

const STEP_MS_MIN: i64 = 1000;
const STEP_MS_MAX: i64 = 60_000;
