//! `tumbling 1d at 06:00 Europe/Berlin`: windows by the calendar.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use weir_config::nearest;

use super::Report;
use super::window::Words;
use crate::window::{Calendar, Unit};
use crate::zone::{zone, zone_names};

/// Reads a window by the calendar; `None` if it is not one, and `Some(None)` if it is a wrong one.
pub(super) fn read_calendar(
    words: &Words<'_>,
    report: &mut Report<'_>,
) -> Option<Option<Calendar>> {
    let end = words.list.len();
    let at = words.list.iter().position(|(_, word)| *word == "at");
    let size = words.written(1..at.unwrap_or(end));
    let unit = read_unit(size);
    let is_calendar = at.is_some() || matches!(unit, Some(Unit::Months(_)));
    is_calendar.then(|| read_parts(words, at.unwrap_or(end), unit, report))
}

/// Reads what follows the length: a day of the week, a time and a zone, each of which may be left
/// out.
fn read_parts(
    words: &Words<'_>,
    at: usize,
    unit: Option<Unit>,
    report: &mut Report<'_>,
) -> Option<Calendar> {
    let Some(mut unit) = unit else {
        let message = format!("`{}` is no length of the calendar", words.written(1..at));
        let label = "1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d, 1w, 1mo, 2mo, 3mo, 4mo, 6mo or 1y";
        words.error(1..at, message, label, None, report);
        return None;
    };
    let mut next = at + 1;
    if let Some(day) = word(words, next).and_then(read_weekday) {
        let Unit::Weeks(first) = &mut unit else {
            let message = "only a window of a week begins on a day of the week";
            words.error(next..next + 1, message, "leave it out", None, report);
            return None;
        };
        *first = day;
        next += 1;
    }
    let time = word(words, next).and_then(read_time);
    next += usize::from(time.is_some());
    let zone = match word(words, next) {
        Some(name) => read_zone(name, next, words, report)?,
        None => TimeZone::UTC,
    };
    if words.list.len() > next + 1 {
        let message = "nothing can follow the time zone";
        words.error(next + 1..words.list.len(), message, "not understood", None, report);
        return None;
    }
    Some(Calendar { unit, at: time.unwrap_or(Time::midnight()), zone })
}

fn word<'t>(words: &Words<'t>, at: usize) -> Option<&'t str> {
    words.list.get(at).map(|(_, word)| *word)
}

fn read_unit(size: &str) -> Option<Unit> {
    let split = size.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = size.split_at_checked(split)?;
    let number: i64 = number.parse().ok()?;
    match (number, unit.trim()) {
        (1 | 2 | 3 | 4 | 6 | 8 | 12 | 24, "h") => Some(Unit::Hours(number)),
        (1, "d") => Some(Unit::Hours(24)),
        (1, "w") | (7, "d") => Some(Unit::Weeks(Weekday::Monday)),
        (1 | 2 | 3 | 4 | 6 | 12, "mo") => Some(Unit::Months(number)),
        (1, "y") => Some(Unit::Months(12)),
        _ => None,
    }
}

fn read_weekday(word: &str) -> Option<Weekday> {
    Some(match word.to_ascii_lowercase().as_str() {
        "mon" | "monday" => Weekday::Monday,
        "tue" | "tuesday" => Weekday::Tuesday,
        "wed" | "wednesday" => Weekday::Wednesday,
        "thu" | "thursday" => Weekday::Thursday,
        "fri" | "friday" => Weekday::Friday,
        "sat" | "saturday" => Weekday::Saturday,
        "sun" | "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// `06:00`.
fn read_time(word: &str) -> Option<Time> {
    let (hour, minute) = word.split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn read_zone(
    name: &str,
    at: usize,
    words: &Words<'_>,
    report: &mut Report<'_>,
) -> Option<TimeZone> {
    let found = zone(name);
    if found.is_none() {
        let looks_like_time = name.contains(':') || name.starts_with(|c: char| c.is_ascii_digit());
        let (message, label) = match looks_like_time {
            true => (format!("`{name}` is not a time of day"), "for example 06:00"),
            false => (format!("unknown time zone `{name}`"), "not a name of the IANA database"),
        };
        let names = zone_names();
        let help = nearest(name, names.iter().map(String::as_str));
        let help = help.map(|near| format!("did you mean `{near}`?"));
        words.error(at..at + 1, message, label, help, report);
    }
    found
}
