//! Parts of the calendar: hours, days and dates of a time, in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::calendar::{date_of, read_timestamp, write_timestamp};
use crate::value::{Texts, Value};

/// What is asked of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CalendarPart {
    Date,
    Day,
    Hour,
    Minute,
    Month,
    Second,
    TimeText,
    Weekday,
    Year,
}

/// The functions by name.
pub(crate) const CALENDAR: [(&str, CalendarPart); 9] = [
    ("date", CalendarPart::Date),
    ("day", CalendarPart::Day),
    ("hour", CalendarPart::Hour),
    ("minute", CalendarPart::Minute),
    ("month", CalendarPart::Month),
    ("second", CalendarPart::Second),
    ("time_text", CalendarPart::TimeText),
    ("weekday", CalendarPart::Weekday),
    ("year", CalendarPart::Year),
];

impl CalendarPart {
    pub(crate) fn name(self) -> &'static str {
        CALENDAR.iter().find(|known| known.1 == self).map_or("", |known| known.0)
    }

    /// Whether it gives a text.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, CalendarPart::Date | CalendarPart::TimeText)
    }
}

/// Computes a part of a time in milliseconds, or as an RFC 3339 text; null if that is not a time
/// between the years 1 and 9999. `None` if the value can be no time.
pub(crate) fn calendar(
    part: CalendarPart,
    value: Value,
    zone: &TimeZone,
    texts: &mut Texts<'_>,
) -> Option<Value> {
    let time = match value {
        Value::Null => None,
        Value::Number(ms) => Some(ms.floor() as i64),
        Value::Text(text) => read_timestamp(texts.resolve(text)),
        _ => return None,
    };
    let timed = time.filter(|ms| (TIME_MIN..TIME_END).contains(ms));
    let Some((ms, offset)) = timed.and_then(|ms| {
        let stamp = Timestamp::from_millisecond(ms).ok()?;
        Some((ms, i64::from(zone.to_offset(stamp).seconds())))
    }) else {
        return Some(Value::Null);
    };
    let local = ms + offset * 1000;
    let days = local.div_euclid(DAY_MS);
    let of_day = local.rem_euclid(DAY_MS);
    let (year, month, day) = date_of(days);
    Some(Value::Number(match part {
        CalendarPart::Date => {
            return Some(texts.store(&format!("{year:04}-{month:02}-{day:02}")));
        }
        CalendarPart::TimeText => return Some(texts.append(|out| write_local(local, offset, out))),
        CalendarPart::Day => day as f64,
        CalendarPart::Hour => (of_day / 3_600_000) as f64,
        CalendarPart::Minute => (of_day / 60_000 % 60) as f64,
        CalendarPart::Month => month as f64,
        CalendarPart::Second => (of_day / 1000 % 60) as f64,
        // 1970-01-01 was a Thursday.
        CalendarPart::Weekday => ((days + 3).rem_euclid(7) + 1) as f64,
        CalendarPart::Year => year as f64,
    }))
}

/// Appends a local time with its distance from UTC.
fn write_local(local: i64, offset: i64, out: &mut String) {
    write_timestamp(local, out);
    if offset != 0 {
        out.pop();
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
        out.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
}

const DAY_MS: i64 = 86_400_000;
/// 0001-01-02 and 9999-12-31, so that no zone leads out of the calendar.
const TIME_MIN: i64 = -62_135_510_400_000;
const TIME_END: i64 = 253_402_214_400_000;
