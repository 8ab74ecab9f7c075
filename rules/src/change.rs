//! `change`: what is sent is what has changed, compared with what was sent last.
//!
//! The receiver is never further off than the deadband for longer than `at_most_every`: a result
//! that comes too soon is held back, and the newest one is sent when the time is over.

use crate::boxed::{self, Kept};
use crate::expression::Program;
use crate::held::HeldMessage;
use crate::value::{Texts, Value};

/// When a result is sent.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The values that decide.
    pub(crate) fields: Vec<Program>,
    pub(crate) deadband: Deadband,
    /// Time after which a result is sent although nothing has changed, in milliseconds.
    pub(crate) at_least_every: Option<i64>,
    /// Time in which no other result is sent, in milliseconds.
    pub(crate) at_most_every: Option<i64>,
}

/// How far a number may move without a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deadband {
    pub(crate) by: Option<f64>,
    /// Percent of the number that was sent last.
    pub(crate) percent: Option<f64>,
}

/// What a key keeps of the result that was sent last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) values: Vec<Kept>,
    /// Arrival of the message, or end of the window, in milliseconds since the Unix epoch.
    pub(crate) at: i64,
    pub(crate) held: Option<Held>,
}

/// A result that waits until another one may be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) values: Vec<Kept>,
    /// One for each destination.
    pub(crate) messages: Vec<HeldMessage>,
}

/// What happens with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It waits until another one may be sent.
    Hold,
    /// It says nothing new.
    Same,
    Send,
}

impl Change {
    /// Compares a result with the one that was sent last. A clock that was set back counts like
    /// one that has gone on by as much.
    pub(crate) fn judge(
        &self,
        sent: Option<&Sent>,
        values: &[Value],
        time: i64,
        texts: &Texts<'_>,
    ) -> Verdict {
        let Some(sent) = sent else { return Verdict::Send };
        let elapsed = time.saturating_sub(sent.at).saturating_abs();
        let is_due = self.at_least_every.is_some_and(|every| elapsed >= every);
        if !is_due && !self.differs(&sent.values, values, texts) {
            return Verdict::Same;
        }
        match self.at_most_every {
            Some(every) if elapsed < every => Verdict::Hold,
            _ => Verdict::Send,
        }
    }

    /// Forecast of the memory of a key.
    pub(crate) fn typical_bytes(&self) -> usize {
        let values = self.fields.len() * size_of::<Kept>();
        let held = if self.at_most_every.is_some() { values + TYPICAL_MESSAGE_BYTES } else { 0 };
        size_of::<Sent>() + values + held
    }

    fn differs(&self, sent: &[Kept], values: &[Value], texts: &Texts<'_>) -> bool {
        sent.len() != values.len()
            || sent
                .iter()
                .zip(values)
                .any(|(sent, value)| self.deadband.differs(sent, *value, texts))
    }
}

impl Deadband {
    fn differs(self, (bits, text): &Kept, value: Value, texts: &Texts<'_>) -> bool {
        let now = boxed::bits(value);
        match (boxed::number(*bits), value) {
            (Some(before), Value::Number(number)) => self.is_left(before, number),
            (_, Value::Text(found)) => {
                now != *bits || text.as_deref() != Some(texts.resolve(found))
            }
            _ => now != *bits,
        }
    }

    /// Whether one of the two bounds is passed; without bounds, whether the number is another.
    fn is_left(self, before: f64, number: f64) -> bool {
        let distance = (number - before).abs();
        let passed = |bound: f64| distance > bound;
        match (self.by, self.percent) {
            (None, None) => passed(0.0),
            (by, percent) => {
                let share = percent.map(|percent| before.abs() * percent / 100.0);
                by.is_some_and(passed) || share.is_some_and(passed)
            }
        }
    }
}

impl Sent {
    /// Estimate of the memory it uses.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + kept_bytes(&self.values) + self.held.as_ref().map_or(0, Held::bytes)
    }
}

impl Held {
    fn bytes(&self) -> usize {
        let messages = self.messages.iter();
        kept_bytes(&self.values)
            + messages
                .map(|one| size_of::<HeldMessage>() + one.topic.len() + one.payload.len())
                .sum::<usize>()
    }
}

fn kept_bytes(values: &[Kept]) -> usize {
    let texts = values.iter().filter_map(|(_, text)| text.as_ref());
    size_of_val(values) + texts.map(|text| text.len()).sum::<usize>()
}

/// For forecasts.
const TYPICAL_MESSAGE_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn change(by: Option<f64>, percent: Option<f64>) -> Change {
        let deadband = Deadband { by, percent };
        Change { fields: Vec::new(), deadband, at_least_every: None, at_most_every: None }
    }

    fn judge(change: &Change, before: Value, value: Value, elapsed: i64) -> Verdict {
        let texts = Texts::default();
        let values = vec![(boxed::bits(before), boxed::text(before, &texts))];
        let sent = Sent { values, at: 1000, held: None };
        change.judge(Some(&sent), &[value], 1000 + elapsed, &texts)
    }

    #[test]
    fn one_of_two_bounds_is_enough() {
        let both = change(Some(0.5), Some(2.0));
        let number =
            |before: f64, value: f64| judge(&both, Value::Number(before), Value::Number(value), 1);
        assert_eq!(number(10.0, 10.2), Verdict::Same);
        assert_eq!(number(10.0, 10.3), Verdict::Send);
        assert_eq!(number(100.0, 100.5), Verdict::Same);
        assert_eq!(number(100.0, 99.4), Verdict::Send);
        let percent = change(None, Some(2.0));
        assert_eq!(judge(&percent, Value::Number(0.0), Value::Number(0.1), 1), Verdict::Send);
        assert_eq!(judge(&percent, Value::Number(-50.0), Value::Number(-51.0), 1), Verdict::Same);
        let any = change(None, None);
        assert_eq!(judge(&any, Value::Number(0.0), Value::Number(-0.0), 1), Verdict::Same);
        assert_eq!(judge(&any, Value::Number(1.0), Value::Number(1.000_001), 1), Verdict::Send);
    }

    #[test]
    fn another_kind_is_a_change() {
        let band = change(Some(1.0), None);
        for (before, value, verdict) in [
            (Value::Null, Value::Null, Verdict::Same),
            (Value::Null, Value::Number(0.0), Verdict::Send),
            (Value::Number(0.0), Value::Null, Verdict::Send),
            (Value::Bool(true), Value::Bool(true), Verdict::Same),
            (Value::Bool(true), Value::Bool(false), Verdict::Send),
            (Value::Number(1.0), Value::Bool(true), Verdict::Send),
        ] {
            assert_eq!(judge(&band, before, value, 1), verdict, "{before:?} {value:?}");
        }
    }

    #[test]
    fn time_lets_pass_and_holds_back() {
        let paced =
            Change { at_least_every: Some(100), at_most_every: Some(10), ..change(None, None) };
        let (same, other) = (Value::Number(1.0), Value::Number(2.0));
        assert_eq!(judge(&paced, same, same, 99), Verdict::Same);
        assert_eq!(judge(&paced, same, same, 100), Verdict::Send);
        assert_eq!(judge(&paced, same, same, -100), Verdict::Send);
        assert_eq!(judge(&paced, same, other, 9), Verdict::Hold);
        assert_eq!(judge(&paced, same, other, 10), Verdict::Send);
        assert_eq!(judge(&paced, same, other, -10), Verdict::Send);
    }
}
