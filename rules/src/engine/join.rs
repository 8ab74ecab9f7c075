//! Last values of joined topics: kept as rows of a table, and given to messages of the rule.
//!
//! A row is found by the number of the join and the values that it is joined by; it holds the
//! fields that the rule uses, and the arrival of the message that they came with.

use super::intake::capture_value;
use super::life::Turn;
use super::records::fault;
use super::work::{Message, Seed};
use crate::boxed;
use crate::code;
use crate::expression::Fault;
use crate::join::Join;
use crate::json::write_number;
use crate::rule::Rule;
use crate::running::Running;
use crate::table::{Table, TableId};
use crate::trace::Fate;
use crate::value::{Texts, Value};

impl Running {
    /// Keeps the value of a joined topic; of a retained message only if it says more than what is
    /// known. An empty payload removes it.
    pub(super) fn keep_joined(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        number: usize,
        decoded: Result<(), Fault>,
    ) {
        let start = turn.out.len();
        match self.keep(turn.rule, message, (number, turn.seed), decoded) {
            Ok(()) if self.is_traced() => self.trace_fate(Fate::Joined),
            Ok(()) => {}
            Err(fault) => {
                if self.is_traced() {
                    self.trace_error(&fault);
                }
                let event = message.event;
                match turn.seed {
                    // A paused rule sends nothing; the value before stays, as it does otherwise.
                    None if self.paused => {}
                    None => self.report(turn, fault, event.topic, event.payload),
                    // It is not published now. If the rule knows nothing because of it, it counts.
                    Some(Seed::Missing) => self.metrics.count_error(fault.code),
                    Some(Seed::Newer) => {}
                }
            }
        }
        if self.is_traced() {
            self.trace_message(turn, message, start);
        }
    }

    fn keep(
        &mut self,
        rule: &Rule,
        message: &mut Message<'_>,
        (number, seed): (usize, Option<Seed>),
        decoded: Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Some(join) = rule.joins.get(number) else { return Ok(()) };
        let arrived = message.event.arrived.0;
        let key = &mut message.scratch.key;
        start_key(number, key);
        for part in &join.keys {
            let value = capture_value(part.capture, message.event.topic, message.levels);
            push_key_part(value, &message.texts, key);
        }
        let key = &message.scratch.key;
        let table = self.table(TableId::Joined);
        let known = table.get(key);
        let is_kept = |used: i64| match seed {
            // What is published now is newer, whatever the calendar was set to.
            None => false,
            Some(Seed::Missing) => true,
            Some(Seed::Newer) => used > arrived,
        };
        if known.is_some_and(|row| is_kept(row.used)) {
            return Ok(());
        }
        if message.event.payload.is_empty() {
            self.change_table(TableId::Joined, |table| table.remove(key));
            return Ok(());
        }
        decoded?;
        let row = encode(join, message)?;
        let old = known.map_or(0, |row| Table::row_bytes(key.len(), row.value.len()));
        if known.is_none() {
            self.expire_joined(rule, arrived);
            let rows_max = rule.keys_max.saturating_mul(rule.joins.len());
            if self.table(TableId::Joined).len() >= rows_max {
                let message = format!("new value refused: limits.keys is {}", rule.keys_max);
                return Err(Fault { code: code::KEYS_FAULT, message });
            }
        }
        let needed = Table::row_bytes(message.scratch.key.len(), row.len());
        self.check_memory(rule, needed.saturating_sub(old))?;
        let key = &message.scratch.key;
        self.change_table(TableId::Joined, |table| table.set(key, arrived, &row));
        Ok(())
    }

    /// Removes what is too old for all joins of a rule.
    fn expire_joined(&mut self, rule: &Rule, clock: i64) {
        let ages: Option<Vec<i64>> = rule.joins.iter().map(|join| join.max_age).collect();
        if let Some(oldest) = ages.and_then(|ages| ages.into_iter().max()) {
            let time = clock.saturating_sub(oldest);
            self.change_table(TableId::Joined, |table| table.expire(time));
        }
    }

    /// Sets the locals that joins give; what is not known, or too old, is null.
    pub(super) fn load_joins(&self, rule: &Rule, message: &mut Message<'_>) -> Result<(), Fault> {
        let arrived = message.event.arrived.0;
        for (number, join) in rule.joins.iter().enumerate() {
            start_key(number, &mut message.scratch.key);
            let mut has_key = true;
            for part in &join.keys {
                let value = message.evaluate(&part.program)?;
                has_key &= push_key_part(value, &message.texts, &mut message.scratch.key);
            }
            let row = self.table(TableId::Joined).get(&message.scratch.key);
            let is_young = |used: i64| join.max_age.is_none_or(|max| arrived - used <= max);
            let Some(row) = row.filter(|row| has_key && is_young(row.used)) else { continue };
            let mut rest = &*row.value;
            for field in &join.fields {
                let Some(value) = decode(&mut rest, &mut message.texts) else { break };
                message.scratch.locals[usize::from(field.local)] = value;
            }
        }
        Ok(())
    }
}

fn start_key(number: usize, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(&(number as u16).to_le_bytes());
}

/// Appends a value as it stands in a topic; `false` if it cannot stand there.
fn push_key_part(value: Value, texts: &Texts<'_>, key: &mut Vec<u8>) -> bool {
    let mut made = String::new();
    let text = match value {
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Composite | Value::Json(_) | Value::Null => return false,
        Value::Number(number) => {
            write_number(number, &mut made);
            &made
        }
        Value::Text(text) => texts.resolve(text),
    };
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
    true
}

/// The row of a message: for each field its bits, and its text if it is one.
fn encode(join: &Join, message: &Message<'_>) -> Result<Vec<u8>, Fault> {
    let value = match join.decode.is_scalar() {
        true => join.decode.read_value(message.texts.payload).map_err(|error| fault(&error))?,
        false => Value::Null,
    };
    let mut row = Vec::new();
    for field in &join.fields {
        let value = match field.source {
            None => value,
            Some(slot) => message.fields.get(usize::from(slot)).copied().unwrap_or(Value::Null),
        };
        row.extend_from_slice(&boxed::bits(value).to_le_bytes());
        if let Value::Text(text) = value {
            let text = message.texts.resolve(text);
            row.extend_from_slice(&(text.len() as u32).to_le_bytes());
            row.extend_from_slice(text.as_bytes());
        }
    }
    Ok(row)
}

/// Takes a value from the front of a row; a text goes to the arena.
fn decode(row: &mut &[u8], texts: &mut Texts<'_>) -> Option<Value> {
    let (bits, rest) = row.split_first_chunk::<8>()?;
    *row = rest;
    let bits = u64::from_le_bytes(*bits);
    if !boxed::is_text(bits) {
        return Some(boxed::value(bits, "", texts));
    }
    let (len, rest) = row.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *row = rest;
    Some(boxed::value(bits, std::str::from_utf8(text).ok()?, texts))
}
