//! Time stamps as text (RFC 3339), in the proleptic Gregorian calendar.

use std::fmt::Write;

/// Appends `2026-11-20T11:24:00.000Z`.
pub(crate) fn write_timestamp(ms: i64, out: &mut String) {
    let days = ms.div_euclid(DAY_MS);
    let (year, month, day) = date_of(days);
    let ms = ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let fraction = ms % 1000;
    let written = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z"
    );
    debug_assert!(written.is_ok(), "writing to a text cannot fail");
}

/// Reads a time stamp with an offset; `T` may be a space, the fraction is cut to milliseconds.
pub(crate) fn read_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is =
        |at: usize, allowed: &[u8]| text.as_bytes().get(at).is_some_and(|b| allowed.contains(b));
    let shape = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let real_date = (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    // A leap second counts as the next second.
    if !shape || !real_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = split_fraction(text.get(19..)?)?;
    let seconds = hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(days_of(year, month, day) * DAY_MS + seconds * 1000 + fraction)
}

/// Milliseconds of an optional `.123456`, and what follows.
fn split_fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at_checked(end)?;
    if digits.is_empty() {
        return None;
    }
    let mut ms = 0;
    for at in 0..3 {
        ms = ms * 10 + digits.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    }
    Some((ms, zone))
}

/// Seconds that a zone is ahead of UTC.
fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..)?;
    let (hours, minutes) = match digits.len() {
        5 => digits.split_once(':')?,
        4 => digits.split_at_checked(2)?,
        _ => return None,
    };
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last of a year.
    let shifted = days + DAYS_TO_1970;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    let year = era * 400 + year_of_era + i64::from(january);
    (year, if january { month - 9 } else { month + 3 }, day)
}

/// Days since 1970-01-01 of a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - DAYS_TO_1970
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DAY_MS: i64 = 86_400_000;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from the first of March of year 0 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(ms: i64) -> String {
        let mut out = String::new();
        write_timestamp(ms, &mut out);
        out
    }

    #[test]
    fn known_stamps() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(read_timestamp("2000-02-29 01:00:00.5+01:00"), Some(951_782_400_500));
        assert_eq!(read_timestamp("2000-02-29T00:00:00.123456789Z"), Some(951_782_400_123));
    }

    #[test]
    fn wrong_stamps_are_refused() {
        for wrong in ["", "2001-02-29T00:00:00Z", "2000-01-01T00:00:00", "2000-01-01T24:00:00Z"] {
            assert_eq!(read_timestamp(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn stamps_read_back(ms in -62_135_596_800_000i64..253_402_300_800_000) {
            prop_assert_eq!(read_timestamp(&text(ms)), Some(ms));
        }

        #[test]
        fn arbitrary_texts_never_panic(text in ".{0,40}") {
            let _ = read_timestamp(&text);
        }
    }
}
