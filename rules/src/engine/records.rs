//! Takes a payload through one rule: decodes it, and then each of the messages that it holds.

use std::str::Utf8Error;

use super::life::Turn;
use super::work::Message;
use crate::code;
use crate::expression::Fault;
use crate::limits::RECORDS_MAX;
use crate::message::Event;
use crate::payload::{CsvRows, Decode, DecodeError, FieldTree, InfluxLines, Record, Slots};
use crate::running::Running;
use crate::topic::Route;
use crate::trace::Filtered;

/// A payload, and what the slots hold of it: rules that decode it the same way share them.
pub(super) struct Payload<'m> {
    /// As text, if it is one.
    pub(super) text: Result<&'m str, Utf8Error>,
    pub(super) tree: &'m FieldTree,
    held: Option<Held<'m>>,
}

/// A payload that is decoded.
struct Held<'m> {
    decode: &'m Decode,
    outcome: Result<(), Fault>,
    /// Length of the arena right after it was decoded.
    arena: usize,
}

/// A payload that holds several messages.
enum Records<'m> {
    Csv(CsvRows<'m>),
    Influx(InfluxLines<'m>),
}

impl Running {
    /// Computes a payload that came on the topic of a filter of this rule.
    pub(super) fn take<'m>(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'m>,
        payload: &mut Payload<'m>,
        (decode, filter): (&'m Decode, u16),
    ) {
        let join = Route { rule: turn.index, filter }.joined();
        if let (Some(join), true) = (join, message.event.payload.is_empty()) {
            self.keep_joined(turn, message, join, Ok(()));
            return;
        }
        if message.event.payload.is_empty() {
            // It only clears a retained message.
            if usize::from(filter) < turn.rule.filters.len() {
                self.pass_over(turn, message);
            }
            return;
        }
        let records = match decode {
            Decode::Csv(form) => payload
                .text()
                .and_then(|text| CsvRows::new(text, form, payload.tree))
                .map(Records::Csv),
            Decode::Sparkplug => {
                payload.held = None;
                self.take_metrics(turn, message, payload, filter);
                return;
            }
            Decode::Influx => payload.text().map(InfluxLines::new).map(Records::Influx),
            _ => {
                let outcome = payload.decode(decode, message);
                self.handle(turn, message, filter, outcome);
                return;
            }
        };
        payload.held = None;
        match records {
            Ok(records) => self.take_records(turn, message, payload.tree, records, filter),
            Err(error) => self.handle(turn, message, filter, Err(fault(&error))),
        }
    }

    fn take_records<'m>(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'m>,
        tree: &FieldTree,
        mut records: Records<'m>,
        filter: u16,
    ) {
        let event = message.event;
        let mut taken = 0;
        while let Some(record) = records.next(&mut message.slots(tree)) {
            let Record { payload, number, outcome } = record;
            message.event = Event { payload, ..event };
            message.record = Some((records.word(), number));
            self.handle(turn, message, filter, outcome.map_err(|error| fault(&error)));
            taken += 1;
            if taken >= RECORDS_MAX && !records.rest().trim_ascii().is_empty() {
                message.event = Event { payload: records.rest(), ..event };
                message.record = None;
                self.handle(turn, message, filter, Err(too_many(records.word())));
                break;
            }
        }
        (message.event, message.record) = (event, None);
        if taken == 0 {
            self.pass_over(turn, message);
        }
    }

    /// Counts a payload without any message.
    pub(super) fn pass_over(&mut self, turn: &Turn<'_>, message: &Message<'_>) {
        self.metrics.matched += 1;
        self.pass_by(Filtered::Empty);
        if self.is_traced() {
            self.trace_message(turn, message, turn.out.len());
        }
    }
}

impl<'m> Payload<'m> {
    pub(super) fn new(text: Result<&'m str, Utf8Error>, tree: &'m FieldTree) -> Self {
        Self { text, tree, held: None }
    }

    fn text(&self) -> Result<&'m str, DecodeError> {
        self.text.map_err(|_| DecodeError::Utf8)
    }

    /// Fills the slots, unless they hold the payload as this rule wants it.
    fn decode(&mut self, decode: &'m Decode, message: &mut Message<'m>) -> Result<(), Fault> {
        // What another rule has made of it is gone.
        message.texts.arena.truncate(self.held.as_ref().map_or(0, |held| held.arena));
        if decode.is_scalar() {
            // They are read where they are used, and leave the slots alone.
            return self.text().map(|_| ()).map_err(|error| fault(&error));
        }
        if let Some(held) = self.held.as_ref().filter(|held| held.decode == decode) {
            return held.outcome.clone();
        }
        let event = message.event;
        let outcome = decode.read(event.payload, self.text, &mut message.slots(self.tree));
        let outcome = outcome.map_err(|error| fault(&error));
        let arena = message.texts.arena.len();
        self.held = Some(Held { decode, outcome: outcome.clone(), arena });
        outcome
    }
}

impl<'m> Message<'m> {
    /// Empty slots for the fields of the message.
    pub(super) fn slots<'s>(&'s mut self, tree: &'s FieldTree) -> Slots<'s> {
        Slots::clear(tree, self.fields, &mut self.texts.arena)
    }

    /// A fault that says which part of the payload it belongs to.
    pub(super) fn name(&self, fault: Fault) -> Fault {
        let Some((word, number)) = self.record else { return fault };
        Fault { message: format!("{word} {number}: {}", fault.message), ..fault }
    }
}

impl<'m> Records<'m> {
    fn next(&mut self, slots: &mut Slots<'_>) -> Option<Record<'m>> {
        match self {
            Records::Csv(rows) => rows.next(slots),
            Records::Influx(lines) => lines.next(slots),
        }
    }

    fn rest(&self) -> &'m [u8] {
        match self {
            Records::Csv(rows) => rows.rest(),
            Records::Influx(lines) => lines.rest(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Records::Csv(_) => "row",
            Records::Influx(_) => "line",
        }
    }
}

pub(super) fn fault(error: &DecodeError) -> Fault {
    Fault { code: code::DECODE_FAULT, message: error.to_string() }
}

pub(super) fn too_many(word: &str) -> Fault {
    let message = format!("only the first {RECORDS_MAX} {word}s of a payload are read");
    Fault { code: code::SIZE_FAULT, message }
}
