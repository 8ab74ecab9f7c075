//! Event time: when a message happened, and up to when everything has probably come in.
//!
//! The watermark of a key is the latest time of its messages less the allowed lateness. When a
//! key has been silent for the idle time, its watermark goes on with the clock, so that windows
//! close although no message comes. It never goes back.

use crate::calendar::read_timestamp;
use crate::code;
use crate::expression::{Fault, Program};
use crate::key::KeyState;
use crate::value::{Texts, Value};

/// Which time a rule counts with.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    /// When the broker received the message. Nothing is late.
    Arrival,
    Field(EventTime),
}

/// A time stamp in the message.
#[derive(Clone, Debug)]
pub(crate) struct EventTime {
    pub(crate) program: Program,
    pub(crate) unit: Unit,
    /// How far behind the latest one a message may be, in milliseconds.
    pub(crate) late: i64,
    /// Silence after which the watermark follows the clock, in milliseconds.
    pub(crate) idle: Option<i64>,
    /// How far ahead of its arrival a stamp may be, in milliseconds.
    pub(crate) ahead: i64,
    /// Whether all keys of one client share a watermark.
    pub(crate) per_source: bool,
}

/// The unit of a time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// By the size of the number; a text is RFC 3339.
    Guess,
    Microseconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
    Seconds,
}

impl EventTime {
    /// The time of a message in milliseconds.
    /// It is held against its arrival if the clock was set by then.
    pub(crate) fn read(
        &self,
        value: Value,
        (arrived, clock_is_set): (i64, bool),
        texts: &Texts<'_>,
    ) -> Result<i64, Fault> {
        let field = &self.program.source;
        let time = match (value, self.unit) {
            (Value::Number(number), unit) if unit != Unit::Rfc3339 => unit.milliseconds(number),
            (Value::Text(text), Unit::Guess | Unit::Rfc3339) => read_timestamp(texts.resolve(text)),
            _ => None,
        };
        let Some(time) = time.filter(|time| TIME_RANGE.contains(time)) else {
            let message = match value {
                Value::Null => format!("time field `{field}` is missing"),
                _ => format!("time field `{field}` cannot be read as a time"),
            };
            return Err(Fault { code: code::TIME_FAULT, message });
        };
        if clock_is_set && time > arrived.saturating_add(self.ahead) {
            let ahead = time - arrived;
            let message = format!("time field `{field}` is {ahead} ms ahead of the clock");
            return Err(Fault { code: code::AHEAD_FAULT, message });
        }
        Ok(time)
    }

    /// The watermark that the messages of a key alone give.
    pub(crate) fn watermark(&self, newest: i64) -> i64 {
        newest - self.late
    }

    /// When the clock alone brings the watermark of a silent key to `end`.
    pub(crate) fn idle_deadline(&self, key: &KeyState, end: i64) -> Option<i64> {
        let wait = (end - self.watermark(key.newest)).max(self.idle?);
        Some(key.arrived + wait)
    }

    /// The watermark of a key that has been silent until `clock`.
    pub(crate) fn idle_watermark(&self, key: &KeyState, clock: i64) -> i64 {
        self.watermark(key.newest) + (clock - key.arrived)
    }
}

impl Unit {
    pub(crate) fn milliseconds(self, number: f64) -> Option<i64> {
        let ms = match self {
            Unit::Guess => return Self::guess(number).milliseconds(number),
            Unit::Microseconds => number / 1e3,
            Unit::Milliseconds => number,
            Unit::Nanoseconds => number / 1e6,
            Unit::Rfc3339 => return None,
            Unit::Seconds => number * 1e3,
        };
        let whole = if self == Unit::Seconds { ms.round() } else { ms.floor() };
        (whole.abs() < 1e15).then_some(whole as i64)
    }

    /// Seconds reach to the year 5138, and milliseconds begin in 1973.
    pub(crate) fn guess(number: f64) -> Self {
        let size = number.abs();
        if size < 1e11 {
            Unit::Seconds
        } else if size < 1e14 {
            Unit::Milliseconds
        } else if size < 1e17 {
            Unit::Microseconds
        } else {
            Unit::Nanoseconds
        }
    }
}

/// The years 0 to 9999.
const TIME_RANGE: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// A clock before 2020 was never set: then stamps cannot be held against it.
pub(crate) const CLOCK_TRUSTED_FROM: i64 = 1_577_836_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_guessed_from_the_size() {
        for stamp in [1_763_636_640.0, 1_763_636_640_000.0, 1.76363664e15, 1.76363664e18] {
            assert_eq!(Unit::Guess.milliseconds(stamp), Some(1_763_636_640_000), "{stamp}");
        }
    }

    #[test]
    fn fractions_of_seconds_are_kept() {
        assert_eq!(Unit::Seconds.milliseconds(1_763_636_640.123), Some(1_763_636_640_123));
    }
}
